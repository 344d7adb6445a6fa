/* When keys end: EXPIRE and its kin, TTL and its kin, PERSIST. */
#include "expiry_options.h"
#include "server/call.h"

enum expire_condition {
    EXPIRE_IF_NONE = 1,
    EXPIRE_IF_SOME = 2,
    EXPIRE_IF_LATER = 4,
    EXPIRE_IF_SOONER = 8
};

static bool read_expire_conditions(struct call *call, unsigned *conditions) {
    *conditions = 0;
    for (uint32_t i = 3; i < call->arg_count; i++) {
        if (call_is(call, i, "NX")) {
            *conditions |= EXPIRE_IF_NONE;
        } else if (call_is(call, i, "XX")) {
            *conditions |= EXPIRE_IF_SOME;
        } else if (call_is(call, i, "GT")) {
            *conditions |= EXPIRE_IF_LATER;
        } else if (call_is(call, i, "LT")) {
            *conditions |= EXPIRE_IF_SOONER;
        } else {
            reply_error_format(call->reply, "ERR Unsupported option %.*s",
                               call_shown(call->args[i]), call->args[i].data);
            return false;
        }
    }
    if ((*conditions & EXPIRE_IF_NONE) && (*conditions & ~(unsigned)EXPIRE_IF_NONE)) {
        reply_error(call->reply,
                    "ERR NX and XX, GT or LT options at the same time are not compatible");
        return false;
    }
    if ((*conditions & EXPIRE_IF_LATER) && (*conditions & EXPIRE_IF_SOONER)) {
        reply_error(call->reply, "ERR GT and LT options at the same time are not compatible");
        return false;
    }
    return true;
}

/* A key without a deadline counts as one that is infinitely late. */
static bool expire_conditions_hold(unsigned conditions, const struct entry *entry,
                                   int64_t deadline_ms) {
    bool has = entry_has_expiry(entry);
    int64_t present_ms = entry_deadline_ms(entry);
    if ((conditions & EXPIRE_IF_NONE) && has) return false;
    if ((conditions & EXPIRE_IF_SOME) && !has) return false;
    if ((conditions & EXPIRE_IF_LATER) && (!has || deadline_ms <= present_ms)) return false;
    if ((conditions & EXPIRE_IF_SOONER) && has && deadline_ms >= present_ms) return false;
    return true;
}

static void expire(struct call *call, int64_t unit_ms, bool is_absolute) {
    int64_t number, deadline_ms;
    unsigned conditions;
    if (!read_expire_conditions(call, &conditions) || !call_integer(call, 2, &number)) return;
    if (!expiry_deadline(call, number, unit_ms, is_absolute, &deadline_ms)) {
        reply_error_format(call->reply, "ERR invalid expire time in '%s' command",
                           call->command->name);
        return;
    }
    struct place place = call_write(call, 1);
    if (place.entry == NULL || !expire_conditions_hold(conditions, place.entry, deadline_ms)) {
        reply_integer(call->reply, 0);
        return;
    }
    if (deadline_ms <= call->now_ms) {
        place_remove(&place);
    } else if (database_set_deadline(place.database, &place.key, place.entry, deadline_ms) ==
               NULL) {
        call_failed(call, STATUS_NO_MEMORY);
        return;
    }
    reply_integer(call->reply, 1);
}
static void expire_in_seconds(struct call *call) {
    expire(call, 1000, false);
}
static void expire_in_milliseconds(struct call *call) {
    expire(call, 1, false);
}
static void expire_at_second(struct call *call) {
    expire(call, 1000, true);
}
static void expire_at_millisecond(struct call *call) {
    expire(call, 1, true);
}

enum { NO_KEY = -2, NO_DEADLINE = -1 };

/* -2 without a key, -1 without a deadline, otherwise the deadline less `base_ms`, in units, rounded to the
 * nearest. */
static void reply_deadline(struct call *call, int64_t base_ms, int64_t unit_ms) {
    const struct entry *entry = call_read(call, 1);
    if (entry == NULL || !entry_has_expiry(entry)) {
        reply_integer(call->reply, entry == NULL ? NO_KEY : NO_DEADLINE);
        return;
    }
    int64_t left_ms = entry_deadline_ms(entry) - base_ms;
    reply_integer(call->reply,
                  left_ms / unit_ms + (unit_ms > 1 && left_ms % unit_ms >= unit_ms / 2));
}
static void time_to_live_s(struct call *call) {
    reply_deadline(call, call->now_ms, 1000);
}
static void time_to_live_ms(struct call *call) {
    reply_deadline(call, call->now_ms, 1);
}
static void expire_time_s(struct call *call) {
    reply_deadline(call, 0, 1000);
}
static void expire_time_ms(struct call *call) {
    reply_deadline(call, 0, 1);
}

static void persist(struct call *call) {
    struct place place = call_write(call, 1);
    bool had = place.entry != NULL && entry_has_expiry(place.entry);
    if (had &&
        database_set_deadline(place.database, &place.key, place.entry, ENTRY_NO_EXPIRY) == NULL) {
        call_failed(call, STATUS_NO_MEMORY);
        return;
    }
    reply_integer(call->reply, had);
}

/* ---- Rows ------------------------------------------------------------------------------------ */

static const struct command rows[] = {
    {.name = "expire",
     .run = expire_in_seconds,
     .arity = -3,
     .flags = COMMAND_WRITE | COMMAND_FAST,
     .keys = ONE_KEY_AT(1),
     .group = GROUP_GENERIC,
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Lets a key expire in so many seconds.",
     .syntax = "key seconds [condition: NX | XX | GT | LT]"},
    {.name = "expireat",
     .run = expire_at_second,
     .arity = -3,
     .flags = COMMAND_WRITE | COMMAND_FAST,
     .keys = ONE_KEY_AT(1),
     .group = GROUP_GENERIC,
     .since = "1.2.0",
     .complexity = "O(1)",
     .summary = "Lets a key expire at a Unix time.",
     .syntax = "key unix-time-seconds [condition: NX | XX | GT | LT]"},
    {.name = "expiretime",
     .run = expire_time_s,
     .arity = 2,
     .flags = COMMAND_READ | COMMAND_FAST | COMMAND_TOUCHES_NOTHING,
     .keys = ONE_KEY_AT(1),
     .group = GROUP_GENERIC,
     .since = "7.0.0",
     .complexity = "O(1)",
     .summary = "Returns the Unix time at which a key expires, in seconds.",
     .syntax = "key"},
    {.name = "persist",
     .run = persist,
     .arity = 2,
     .flags = COMMAND_WRITE | COMMAND_FAST,
     .keys = ONE_KEY_AT(1),
     .group = GROUP_GENERIC,
     .since = "2.2.0",
     .complexity = "O(1)",
     .summary = "Takes a key's expiry away.",
     .syntax = "key"},
    {.name = "pexpire",
     .run = expire_in_milliseconds,
     .arity = -3,
     .flags = COMMAND_WRITE | COMMAND_FAST,
     .keys = ONE_KEY_AT(1),
     .group = GROUP_GENERIC,
     .since = "2.6.0",
     .complexity = "O(1)",
     .summary = "Lets a key expire in so many milliseconds.",
     .syntax = "key milliseconds [condition: NX | XX | GT | LT]"},
    {.name = "pexpireat",
     .run = expire_at_millisecond,
     .arity = -3,
     .flags = COMMAND_WRITE | COMMAND_FAST,
     .keys = ONE_KEY_AT(1),
     .group = GROUP_GENERIC,
     .since = "2.6.0",
     .complexity = "O(1)",
     .summary = "Lets a key expire at a Unix time in milliseconds.",
     .syntax = "key unix-time-milliseconds [condition: NX | XX | GT | LT]"},
    {.name = "pexpiretime",
     .run = expire_time_ms,
     .arity = 2,
     .flags = COMMAND_READ | COMMAND_FAST | COMMAND_TOUCHES_NOTHING,
     .keys = ONE_KEY_AT(1),
     .group = GROUP_GENERIC,
     .since = "7.0.0",
     .complexity = "O(1)",
     .summary = "Returns the Unix time at which a key expires, in milliseconds.",
     .syntax = "key"},
    {.name = "pttl",
     .run = time_to_live_ms,
     .arity = 2,
     .flags = COMMAND_READ | COMMAND_FAST | COMMAND_TOUCHES_NOTHING,
     .keys = ONE_KEY_AT(1),
     .group = GROUP_GENERIC,
     .since = "2.6.0",
     .complexity = "O(1)",
     .summary = "Returns the milliseconds until a key expires.",
     .syntax = "key"},
    {.name = "ttl",
     .run = time_to_live_s,
     .arity = 2,
     .flags = COMMAND_READ | COMMAND_FAST | COMMAND_TOUCHES_NOTHING,
     .keys = ONE_KEY_AT(1),
     .group = GROUP_GENERIC,
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Returns the seconds until a key expires.",
     .syntax = "key"},
};

const struct command_group_rows commands_expire = {rows, sizeof(rows) / sizeof(rows[0])};
