/* Keys of any type: deleting, naming, moving, and looking at them from outside. */
#include <string.h>

#include "server/call.h"
#include "server/client.h"
#include "server/server.h"
#include "server/worker.h"
#include "shards/base/number.h"
#include "shards/types/string.h"

/* ---- Counting over several keys
 * --------------------------------------------------------------------------------------------- */

static void delete (struct call *call) {
    int64_t removed = 0;
    for (uint32_t i = 1; i < call->arg_count; i++) {
        struct place place = call_write(call, i);
        if (place.entry == NULL) continue;
        place_remove(&place);
        removed++;
    }
    reply_integer(call->reply, removed);
}

/* EXISTS counts a key as often as it is named; TOUCH is the same but for what call_read does to the access time. */
static void count_present(struct call *call) {
    int64_t present = 0;
    for (uint32_t i = 1; i < call->arg_count; i++) {
        present += call_read(call, i) != NULL;
    }
    reply_integer(call->reply, present);
}

static const char *type_name(const struct entry *entry) {
    static const char *const names[] = {[ENTRY_STRING] = "string"};
    return names[entry_type(entry)];
}

static void type(struct call *call) {
    const struct entry *entry = call_read(call, 1);
    reply_simple(call->reply, entry == NULL ? "none" : type_name(entry));
}

/* ---- Deadlines
 * ----------------------------------------------------------------------------------------------------------------- */

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
            reply_error_format(call->reply, "ERR Unsupported option %.*s", (int)call->args[i].size,
                               call->args[i].data);
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
    int64_t number, ms, deadline_ms;
    unsigned conditions;
    if (!call_integer(call, 2, &number) || !read_expire_conditions(call, &conditions)) return;
    if (__builtin_mul_overflow(number, unit_ms, &ms) ||
        __builtin_add_overflow(ms, is_absolute ? 0 : call->now_ms, &deadline_ms)) {
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
    reply_integer(call->reply, (entry_deadline_ms(entry) - base_ms + unit_ms / 2) / unit_ms);
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

/* ---- Renaming, copying, moving
 * ---------------------------------------------------------------------------------------------- */

/* Put what is at `from` at `to` as well, deadline included. A blob is shared, not copied: writers copy it
 * when they change it. */
static enum status copy_entry(const struct place *from, struct place *to) {
    struct blob *blob = entry_blob(from->entry);
    struct entry_content content = {
        .value = blob != NULL ? BYTES("") : entry_value(from->entry),
        .blob = blob != NULL ? blob_retain(blob) : NULL,
        .type = entry_type(from->entry),
        .encoding = entry_encoding(from->entry) == ENTRY_RAW ? ENTRY_RAW : ENTRY_INLINE,
    };
    enum status status = place_put(to, &content, entry_deadline_ms(from->entry));
    if (status != STATUS_OK && blob != NULL) blob_release(blob);
    return status;
}

static void rename_key(struct call *call, bool only_if_absent) {
    struct place from = call_write(call, 1);
    if (from.entry == NULL) {
        reply_error(call->reply, "ERR no such key");
        return;
    }
    bool is_same = bytes_equal(call->args[1], call->args[2]);
    struct place to = is_same ? from : call_write(call, 2);
    if (only_if_absent && to.entry != NULL) {
        reply_integer(call->reply, 0);
        return;
    }
    enum status status = STATUS_OK;
    if (!is_same) {
        /* Finding and putting `to` may have moved nothing of `from`: entries move only when they are written. */
        status = copy_entry(&from, &to);
        if (status == STATUS_OK) place_remove(&from);
    }
    if (status != STATUS_OK) {
        call_failed(call, status);
    } else if (only_if_absent) {
        reply_integer(call->reply, 1);
    } else {
        reply_simple(call->reply, "OK");
    }
}
static void rename_always(struct call *call) {
    rename_key(call, false);
}
static void rename_if_absent(struct call *call) {
    rename_key(call, true);
}

static bool read_database(struct call *call, uint32_t index, uint32_t *database) {
    int64_t number;
    if (!number_read(call->args[index], &number)) {
        reply_error(call->reply, "ERR value is not an integer or out of range");
        return false;
    }
    if (number < 0 || number >= call->server->shards.database_count) {
        reply_error(call->reply, "ERR DB index is out of range");
        return false;
    }
    *database = (uint32_t)number;
    return true;
}

static void copy(struct call *call) {
    uint32_t database = call->database;
    bool replaces = false;
    for (uint32_t i = 3; i < call->arg_count; i++) {
        if (call_is(call, i, "REPLACE")) {
            replaces = true;
        } else if (call_is(call, i, "DB") && i + 1 < call->arg_count) {
            if (!read_database(call, ++i, &database)) return;
        } else {
            call_syntax_error(call);
            return;
        }
    }
    if (database == call->database && bytes_equal(call->args[1], call->args[2])) {
        reply_error(call->reply, "ERR source and destination objects are the same");
        return;
    }
    struct place from = call_write(call, 1);
    struct place to = call_write_in(call, 2, database);
    if (from.entry == NULL || (to.entry != NULL && !replaces)) {
        reply_integer(call->reply, 0);
        return;
    }
    enum status status = copy_entry(&from, &to);
    if (status == STATUS_OK) {
        reply_integer(call->reply, 1);
    } else {
        call_failed(call, status);
    }
}

static void move(struct call *call) {
    uint32_t database;
    if (!read_database(call, 2, &database)) return;
    if (database == call->database) {
        reply_error(call->reply, "ERR source and destination objects are the same");
        return;
    }
    struct place from = call_write(call, 1);
    struct place to = call_write_in(call, 1, database);
    if (from.entry == NULL || to.entry != NULL) {
        reply_integer(call->reply, 0);
        return;
    }
    enum status status = copy_entry(&from, &to);
    if (status != STATUS_OK) {
        call_failed(call, status);
        return;
    }
    place_remove(&from);
    reply_integer(call->reply, 1);
}

/* ---- OBJECT
 * ---------------------------------------------------------------------------------------------------------------------- */

static struct entry *object_of(struct call *call) {
    struct entry *entry = call_read(call, 2);
    if (entry == NULL) reply_null(call->reply);
    return entry;
}

static void object_encoding(struct call *call) {
    const struct entry *entry = object_of(call);
    if (entry != NULL) reply_bulk_text(call->reply, string_encoding_name(entry));
}

static void object_frequency(struct call *call) {
    if (object_of(call) == NULL) return;
    reply_error(call->reply, "ERR An LFU maxmemory policy is not selected, access frequency not "
                             "tracked. Please note that "
                             "when switching between policies at runtime LRU and LFU data will "
                             "take some time to adjust.");
}

static void object_idle_time(struct call *call) {
    const struct entry *entry = object_of(call);
    if (entry == NULL) return;
    uint32_t accessed_s = atomic_load_explicit(&entry->access, memory_order_relaxed) >> 8;
    uint32_t now_s = (uint32_t)(call->now_ms / 1000) & 0xffffff;
    reply_integer(call->reply, (int64_t)((now_s - accessed_s) & 0xffffff));
}

static void object_references(struct call *call) {
    if (object_of(call) != NULL) reply_integer(call->reply, 1);
}

static void object_help(struct call *call) {
    static const char *const lines[] = {
        "ENCODING <key>",
        "    Return the kind of internal representation used in order to store the value",
        "    associated with a <key>.",
        "FREQ <key>",
        "    Return the access frequency index of the <key>. The returned integer is",
        "    proportional to the logarithm of the recent access frequency of the key.",
        "IDLETIME <key>",
        "    Return the idle time of the <key>, that is the approximated number of",
        "    seconds elapsed since the last access to the key.",
        "REFCOUNT <key>",
        "    Return the number of references of the value associated with the specified",
        "    <key>.",
        NULL,
    };
    call_reply_help(call, lines);
}

/* ---- Rows
 * ------------------------------------------------------------------------------------------------------------------------ */

/* clang-format off: a row reads best as a row */
static const struct command object_rows[] = {
    {.name = "object|encoding",
     .run = object_encoding,
     .arity = 3,
     .flags = COMMAND_READ | COMMAND_TOUCHES_NOTHING,
     .keys = ONE_KEY_AT(2),
     .group = GROUP_GENERIC,
     .since = "2.2.3",
     .complexity = "O(1)",
     .summary = "Returns how a value is kept.",
     .syntax = "key"},
    {.name = "object|freq",
     .run = object_frequency,
     .arity = 3,
     .flags = COMMAND_READ | COMMAND_TOUCHES_NOTHING,
     .keys = ONE_KEY_AT(2),
     .group = GROUP_GENERIC,
     .since = "4.0.0",
     .complexity = "O(1)",
     .summary = "Returns how often a key is used, under an LFU policy.",
     .syntax = "key"},
    {.name = "object|help",
     .run = object_help,
     .arity = 2,
     .flags = COMMAND_LOADING | COMMAND_STALE,
     .group = GROUP_GENERIC,
     .since = "6.2.0",
     .complexity = "O(1)",
     .summary = "Explains OBJECT.",
     .syntax = ""},
    {.name = "object|idletime",
     .run = object_idle_time,
     .arity = 3,
     .flags = COMMAND_READ | COMMAND_TOUCHES_NOTHING,
     .keys = ONE_KEY_AT(2),
     .group = GROUP_GENERIC,
     .since = "2.2.3",
     .complexity = "O(1)",
     .summary = "Returns the seconds since a key was last used.",
     .syntax = "key"},
    {.name = "object|refcount",
     .run = object_references,
     .arity = 3,
     .flags = COMMAND_READ | COMMAND_TOUCHES_NOTHING,
     .keys = ONE_KEY_AT(2),
     .group = GROUP_GENERIC,
     .since = "2.2.3",
     .complexity = "O(1)",
     .summary = "Returns 1: values are not shared between keys.",
     .syntax = "key"},
};

static const struct command rows[] = {
    {.name = "copy",
     .run = copy,
     .arity = -3,
     .flags = COMMAND_WRITE | COMMAND_DENY_OOM,
     .keys = KEYS_FROM_TO(1, 2),
     .group = GROUP_GENERIC,
     .since = "6.2.0",
     .complexity = "O(1) for large strings, O(n) for short ones",
     .summary = "Copies a key to another, perhaps in another database.",
     .syntax = "source destination [DB destination-db] [REPLACE]"},
    {.name = "del",
     .run = delete,
     .arity = -2,
     .flags = COMMAND_WRITE,
     .keys = KEYS_EACH(1, 1),
     .group = GROUP_GENERIC,
     .since = "1.0.0",
     .complexity = "O(n) in the keys; large values are freed in the background",
     .summary = "Deletes keys.",
     .syntax = "key [key ...]"},
    {.name = "exists",
     .run = count_present,
     .arity = -2,
     .flags = COMMAND_READ | COMMAND_FAST | COMMAND_TOUCHES_NOTHING,
     .keys = KEYS_EACH(1, 1),
     .group = GROUP_GENERIC,
     .since = "1.0.0",
     .complexity = "O(n) in the keys",
     .summary = "Counts the keys that exist.",
     .syntax = "key [key ...]"},
    {.name = "expire",
     .run = expire_in_seconds,
     .arity = -3,
     .flags = COMMAND_WRITE | COMMAND_FAST,
     .keys = ONE_KEY_AT(1),
     .group = GROUP_GENERIC,
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Lets a key expire in so many seconds.",
     .syntax = "key seconds [NX | XX | GT | LT]"},
    {.name = "expireat",
     .run = expire_at_second,
     .arity = -3,
     .flags = COMMAND_WRITE | COMMAND_FAST,
     .keys = ONE_KEY_AT(1),
     .group = GROUP_GENERIC,
     .since = "1.2.0",
     .complexity = "O(1)",
     .summary = "Lets a key expire at a Unix time.",
     .syntax = "key unix-time-seconds [NX | XX | GT | LT]"},
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
    {.name = "move",
     .run = move,
     .arity = 3,
     .flags = COMMAND_WRITE | COMMAND_FAST,
     .keys = ONE_KEY_AT(1),
     .group = GROUP_GENERIC,
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Moves a key to another database.",
     .syntax = "key db"},
    {.name = "object",
     .arity = -2,
     .flags = 0,
     .group = GROUP_GENERIC,
     .since = "2.2.3",
     .complexity = "by subcommand",
     .summary = "Looks at a value from outside.",
     .syntax = "",
     .subcommands = object_rows,
     .subcommand_count = sizeof(object_rows) / sizeof(object_rows[0])},
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
     .syntax = "key milliseconds [NX | XX | GT | LT]"},
    {.name = "pexpireat",
     .run = expire_at_millisecond,
     .arity = -3,
     .flags = COMMAND_WRITE | COMMAND_FAST,
     .keys = ONE_KEY_AT(1),
     .group = GROUP_GENERIC,
     .since = "2.6.0",
     .complexity = "O(1)",
     .summary = "Lets a key expire at a Unix time in milliseconds.",
     .syntax = "key unix-time-milliseconds [NX | XX | GT | LT]"},
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
    {.name = "rename",
     .run = rename_always,
     .arity = 3,
     .flags = COMMAND_WRITE,
     .keys = KEYS_FROM_TO(1, 2),
     .group = GROUP_GENERIC,
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Renames a key, over one that has the name.",
     .syntax = "key newkey"},
    {.name = "renamenx",
     .run = rename_if_absent,
     .arity = 3,
     .flags = COMMAND_WRITE | COMMAND_FAST,
     .keys = KEYS_FROM_TO(1, 2),
     .group = GROUP_GENERIC,
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Renames a key, if none has the name.",
     .syntax = "key newkey"},
    {.name = "touch",
     .run = count_present,
     .arity = -2,
     .flags = COMMAND_READ | COMMAND_FAST,
     .keys = KEYS_EACH(1, 1),
     .group = GROUP_GENERIC,
     .since = "3.2.1",
     .complexity = "O(n) in the keys",
     .summary = "Counts the keys that exist, and marks them as used.",
     .syntax = "key [key ...]"},
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
    {.name = "type",
     .run = type,
     .arity = 2,
     .flags = COMMAND_READ | COMMAND_FAST | COMMAND_TOUCHES_NOTHING,
     .keys = ONE_KEY_AT(1),
     .group = GROUP_GENERIC,
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Returns the type of a key's value.",
     .syntax = "key"},
    {.name = "unlink",
     .run = delete,
     .arity = -2,
     .flags = COMMAND_WRITE | COMMAND_FAST,
     .keys = KEYS_EACH(1, 1),
     .group = GROUP_GENERIC,
     .since = "4.0.0",
     .complexity = "O(n) in the keys; large values are freed in the background",
     .summary = "Deletes keys: the same as DEL here.",
     .syntax = "key [key ...]"},
};
/* clang-format on */

const struct command_group_rows commands_keys = {rows, sizeof(rows) / sizeof(rows[0])};
