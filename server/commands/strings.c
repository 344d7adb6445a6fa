/* Strings: GET, SET and their kin. */
#include <string.h>

#include "server/call.h"
#include "server/config.h"
#include "server/server.h"
#include "shards/base/memory.h"
#include "shards/base/number.h"
#include "shards/types/string.h"

#include "expiry_options.h"
#include "lcs.h"

/* The key of argument 1 for reading, when it is a string; `*entry` is NULL when absent. False: an error
 * was replied. */
static bool read_string(struct call *call, uint32_t index, struct entry **entry) {
    *entry = call_read(call, index);
    if (*entry == NULL || entry_type(*entry) == ENTRY_STRING) return true;
    call_wrong_type(call);
    return false;
}

static bool write_string(struct call *call, uint32_t index, struct place *place) {
    *place = call_write(call, index);
    if (place->entry == NULL || entry_type(place->entry) == ENTRY_STRING) return true;
    call_wrong_type(call);
    return false;
}

/* The same for a command that replies the value, too. */
static bool take_string(struct call *call, struct place *place) {
    bool is_good = write_string(call, 1, place);
    call_count_read(call, place);
    return is_good;
}

static uint64_t size_max(const struct call *call) {
    return (uint64_t)config_number(&call->server->config->proto_max_bulk_len);
}

/* ---- Reading --------------------------------------------------------------------------------- */

static void get(struct call *call) {
    struct entry *entry;
    if (!read_string(call, 1, &entry)) return;
    if (entry == NULL) {
        reply_null(call->reply);
    } else {
        call_reply_value(call, entry);
    }
}

static void mget(struct call *call) {
    reply_array(call->reply, call->arg_count - 1);
    for (uint32_t i = 1; i < call->arg_count; i++) {
        struct entry *entry = call_read(call, i);
        if (entry == NULL || entry_type(entry) != ENTRY_STRING) {
            reply_null(call->reply);
        } else {
            call_reply_value(call, entry);
        }
    }
}

static void length(struct call *call) {
    struct entry *entry;
    if (!read_string(call, 1, &entry)) return;
    reply_integer(call->reply, entry == NULL ? 0 : (int64_t)entry_value(entry).size);
}

static void get_range(struct call *call) {
    int64_t start, end;
    struct entry *entry;
    if (!call_integer(call, 2, &start) || !call_integer(call, 3, &end)) return;
    if (!read_string(call, 1, &entry)) return;
    reply_bulk(call->reply,
               entry == NULL ? BYTES("") : string_slice(entry_value(entry), start, end));
}

/* ---- Setting --------------------------------------------------------------------------------- */

static enum status put(struct place *place, struct bytes value, int64_t deadline_ms) {
    return place_put(place, &(struct entry_content){.value = value, .type = ENTRY_STRING},
                     deadline_ms);
}

/* Before anything is replied or changed: could the value be kept? */
static bool has_room(struct call *call, struct bytes value) {
    int64_t max =
        atomic_load_explicit(&call->server->shards.eviction.value_max, memory_order_relaxed);
    if (max == 0 || value.size <= (uint64_t)max) return true;
    call_failed(call, STATUS_NO_ROOM);
    return false;
}

/* SET's condition on what is there. */
enum condition { ALWAYS, IF_ABSENT, IF_PRESENT, IF_EQUAL };

struct set_options {
    enum condition condition;
    struct bytes comparison; /* of IF_EQUAL */
    bool reply_old;
    struct expiry_option expiry;
};

/* The same condition twice is no contradiction. */
static bool take_condition(struct set_options *options, enum condition condition) {
    if (options->condition != ALWAYS && options->condition != condition) return false;
    options->condition = condition;
    return true;
}

static bool read_set_options(struct call *call, struct set_options *options) {
    for (uint32_t i = 3; i < call->arg_count; i++) {
        bool has_next = i + 1 < call->arg_count;
        if (call_is(call, i, "NX") && take_condition(options, IF_ABSENT)) continue;
        if (call_is(call, i, "XX") && take_condition(options, IF_PRESENT)) continue;
        if (call_is(call, i, "IFEQ") && options->condition == ALWAYS && has_next) {
            options->condition = IF_EQUAL;
            options->comparison = call->args[++i];
        } else if (call_is(call, i, "GET")) {
            options->reply_old = true;
        } else if (!expiry_option_take(call, &i, EXPIRY_ALLOW_KEEP, &options->expiry)) {
            call_syntax_error(call);
            return false;
        }
    }
    return expiry_option_resolve(call, &options->expiry);
}

static bool condition_holds(const struct set_options *options, const struct entry *entry) {
    switch (options->condition) {
    case ALWAYS:
        return true;
    case IF_ABSENT:
        return entry == NULL;
    case IF_PRESENT:
        return entry != NULL;
    case IF_EQUAL:
        return entry != NULL && entry_type(entry) == ENTRY_STRING &&
               bytes_equal(entry_value(entry), options->comparison);
    }
    return false;
}

static void set_with_options(struct call *call) {
    struct set_options options = {.condition = ALWAYS};
    if (!read_set_options(call, &options)) return;
    struct place place = call_write(call, 1);
    bool is_string = place.entry == NULL || entry_type(place.entry) == ENTRY_STRING;
    if (!is_string && (options.reply_old || options.condition == IF_EQUAL)) {
        call_wrong_type(call);
        return;
    }
    if (options.reply_old) call_count_read(call, &place);
    bool holds = condition_holds(&options, place.entry);
    int64_t deadline_ms = options.expiry.deadline_ms;
    if (options.expiry.kind == EXPIRY_KEEP) {
        deadline_ms = place.entry != NULL ? entry_deadline_ms(place.entry) : ENTRY_NO_EXPIRY;
    }
    if (holds && !has_room(call, call->args[2])) return;
    if (options.reply_old && place.entry != NULL) {
        call_reply_value(call, place.entry);
    } else if (options.reply_old || !holds) {
        reply_null(call->reply);
    }
    if (!holds) return;
    enum status status = STATUS_OK;
    if (deadline_ms != ENTRY_NO_EXPIRY && deadline_ms <= call->now_ms) {
        if (place.entry != NULL) place_remove(&place); /* already over: set and gone */
    } else {
        status = put(&place, call->args[2], deadline_ms);
    }
    if (options.reply_old)
        return; /* the old value was the reply; a refused write leaves it, and INFO counts it */
    if (status == STATUS_OK) {
        reply_simple(call->reply, "OK");
    } else {
        call_failed(call, status);
    }
}

static void set(struct call *call) {
    if (call->arg_count > 3) {
        set_with_options(call);
        return;
    }
    struct place place = call_write(call, 1);
    enum status status = put(&place, call->args[2], ENTRY_NO_EXPIRY);
    if (__builtin_expect(status != STATUS_OK, 0)) {
        call_failed(call, status);
        return;
    }
    reply_simple(call->reply, "OK");
}

static void set_if_absent(struct call *call) {
    struct place place = call_write(call, 1);
    bool was_absent = place.entry == NULL;
    enum status status = was_absent ? put(&place, call->args[2], ENTRY_NO_EXPIRY) : STATUS_OK;
    if (status != STATUS_OK) {
        call_failed(call, status);
    } else {
        reply_integer(call->reply, was_absent);
    }
}

static void set_for(struct call *call, int64_t unit_ms) {
    struct expiry_option expiry = {.kind = unit_ms == 1 ? EXPIRY_MS : EXPIRY_S, .argument = 2};
    if (!expiry_option_resolve(call, &expiry)) return;
    struct place place = call_write(call, 1);
    enum status status = put(&place, call->args[3], expiry.deadline_ms);
    if (status != STATUS_OK) {
        call_failed(call, status);
    } else {
        reply_simple(call->reply, "OK");
    }
}
static void set_for_seconds(struct call *call) {
    set_for(call, 1000);
}
static void set_for_milliseconds(struct call *call) {
    set_for(call, 1);
}

static void get_and_set(struct call *call) {
    struct place place;
    if (!take_string(call, &place) || !has_room(call, call->args[2])) return;
    if (place.entry == NULL) {
        reply_null(call->reply);
    } else {
        call_reply_value(call, place.entry);
    }
    enum status status = put(&place, call->args[2], ENTRY_NO_EXPIRY);
    (void)status; /* refused: the old value stays, and was the reply */
}

static void get_and_delete(struct call *call) {
    struct place place;
    if (!take_string(call, &place)) return;
    if (place.entry == NULL) {
        reply_null(call->reply);
        return;
    }
    call_reply_value(call, place.entry);
    place_remove(&place);
}

static void get_and_expire(struct call *call) {
    struct expiry_option expiry = {.kind = EXPIRY_NONE};
    for (uint32_t i = 2; i < call->arg_count; i++) {
        if (!expiry_option_take(call, &i, EXPIRY_ALLOW_PERSIST, &expiry)) {
            call_syntax_error(call);
            return;
        }
    }
    struct place place;
    if (!take_string(call, &place)) return;
    if (place.entry == NULL) {
        reply_null(call->reply);
        return;
    }
    if (!expiry_option_resolve(call, &expiry)) return;
    call_reply_value(call, place.entry);
    if (expiry.kind == EXPIRY_NONE) return;
    if (expiry.deadline_ms != ENTRY_NO_EXPIRY && expiry.deadline_ms <= call->now_ms) {
        place_remove(&place);
        return;
    }
    struct entry *moved =
        database_set_deadline(place.database, &place.key, place.entry, expiry.deadline_ms);
    (void)moved; /* refused: the deadline stays as it was; the value was replied */
}

/* ---- Many at once ---------------------------------------------------------------------------- */

/* Pairs are written one by one under all locks. Memory refused in the middle leaves the pairs before it
 * written, which the error says: there is nothing to go back to without keeping every old value. */
static bool set_pairs(struct call *call) {
    for (uint32_t i = 1; i + 1 < call->arg_count; i += 2) {
        if (!has_room(call, call->args[i + 1])) return false;
    }
    for (uint32_t i = 1; i + 1 < call->arg_count; i += 2) {
        struct place place = call_write(call, i);
        enum status status = put(&place, call->args[i + 1], ENTRY_NO_EXPIRY);
        if (status == STATUS_OK) continue;
        call_failed(call, status);
        return false;
    }
    return true;
}

static bool pairs_are_whole(struct call *call) {
    if (call->arg_count % 2 == 1) return true;
    reply_error_format(call->reply, "ERR wrong number of arguments for '%s' command",
                       call->command->name);
    return false;
}

static void mset(struct call *call) {
    if (pairs_are_whole(call) && set_pairs(call)) reply_simple(call->reply, "OK");
}

static void mset_if_absent(struct call *call) {
    if (!pairs_are_whole(call)) return;
    for (uint32_t i = 1; i + 1 < call->arg_count; i += 2) {
        if (call_write(call, i).entry != NULL) {
            reply_integer(call->reply, 0);
            return;
        }
    }
    if (set_pairs(call)) reply_integer(call->reply, 1);
}

/* ---- Changing -------------------------------------------------------------------------------- */

static void append(struct call *call) {
    struct place place;
    if (!write_string(call, 1, &place)) return;
    uint64_t size;
    enum status status = string_append(&place, call->args[2], size_max(call), &size);
    if (status == STATUS_OK) {
        reply_integer(call->reply, (int64_t)size);
    } else {
        call_failed(call, status);
    }
}

static void set_range(struct call *call) {
    int64_t offset;
    if (!call_integer(call, 2, &offset)) return;
    if (offset < 0) {
        reply_error(call->reply, "ERR offset is out of range");
        return;
    }
    struct place place;
    if (!write_string(call, 1, &place)) return;
    uint64_t size;
    enum status status =
        string_set_range(&place, (uint64_t)offset, call->args[3], size_max(call), &size);
    if (status == STATUS_OK) {
        reply_integer(call->reply, (int64_t)size);
    } else {
        call_failed(call, status);
    }
}

static void add(struct call *call, int64_t delta) {
    struct place place;
    if (!write_string(call, 1, &place)) return;
    int64_t result;
    enum status status = string_add(&place, delta, &result);
    if (status == STATUS_OK) {
        reply_integer(call->reply, result);
    } else {
        call_failed(call, status);
    }
}
static void increment(struct call *call) {
    add(call, 1);
}
static void decrement(struct call *call) {
    add(call, -1);
}
static void increment_by(struct call *call) {
    int64_t delta;
    if (call_integer(call, 2, &delta)) add(call, delta);
}
static void decrement_by(struct call *call) {
    int64_t delta;
    if (!call_integer(call, 2, &delta)) return;
    if (delta == INT64_MIN) {
        reply_error(call->reply, "ERR decrement would overflow");
        return;
    }
    add(call, -delta);
}

static void increment_by_fraction(struct call *call) {
    struct place place;
    if (!write_string(call, 1, &place)) return;
    long double delta, present;
    if ((place.entry != NULL && !number_read_long_double(entry_value(place.entry), &present)) ||
        !number_read_long_double(call->args[2], &delta)) {
        reply_error(call->reply, "ERR value is not a valid float");
        return;
    }
    char text[NUMBER_TEXT_LONG_DOUBLE_MAX];
    size_t size;
    enum status status = string_add_fraction(&place, delta, text, &size);
    if (status == STATUS_OK) {
        reply_bulk(call->reply, bytes_of(text, size));
    } else if (status == STATUS_OVERFLOW) {
        reply_error(call->reply, "ERR increment would produce NaN or Infinity");
    } else {
        call_failed(call, status);
    }
}

/* ---- Rows ------------------------------------------------------------------------------------ */

static const struct command rows[] = {
    {.name = "append",
     .run = append,
     .arity = 3,
     .flags = COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_FAST,
     .keys = ONE_KEY_AT(1),
     .group = GROUP_STRING,
     .since = "2.0.0",
     .complexity = "O(n) in the appended text, amortised",
     .summary = "Appends a text to the string of a key; makes it when it is absent.",
     .syntax = "key value"},
    {.name = "decr",
     .run = decrement,
     .arity = 2,
     .flags = COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_FAST,
     .keys = ONE_KEY_AT(1),
     .group = GROUP_STRING,
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Takes one from the integer of a key; an absent one counts as 0.",
     .syntax = "key"},
    {.name = "decrby",
     .run = decrement_by,
     .arity = 3,
     .flags = COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_FAST,
     .keys = ONE_KEY_AT(1),
     .group = GROUP_STRING,
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Takes a number from the integer of a key; an absent one counts as 0.",
     .syntax = "key decrement"},
    {.name = "get",
     .run = get,
     .arity = 2,
     .flags = COMMAND_READ | COMMAND_FAST,
     .keys = ONE_KEY_AT(1),
     .group = GROUP_STRING,
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Returns the string of a key.",
     .syntax = "key"},
    {.name = "getdel",
     .run = get_and_delete,
     .arity = 2,
     .flags = COMMAND_WRITE | COMMAND_DELETES | COMMAND_FAST,
     .keys = ONE_KEY_AT(1),
     .group = GROUP_STRING,
     .since = "6.2.0",
     .complexity = "O(1)",
     .summary = "Returns the string of a key and deletes the key.",
     .syntax = "key"},
    {.name = "getex",
     .run = get_and_expire,
     .arity = -2,
     .flags = COMMAND_WRITE | COMMAND_FAST,
     .keys = ONE_KEY_AT(1),
     .group = GROUP_STRING,
     .since = "6.2.0",
     .complexity = "O(1)",
     .summary = "Returns the string of a key and sets or clears its expiry.",
     .syntax = "key [expiration: EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT "
               "unix-time-milliseconds | PERSIST]"},
    {.name = "getrange",
     .run = get_range,
     .arity = 4,
     .flags = COMMAND_READ,
     .keys = ONE_KEY_AT(1),
     .group = GROUP_STRING,
     .since = "2.4.0",
     .complexity = "O(n) in the returned part",
     .summary = "Returns a part of the string of a key.",
     .syntax = "key start end"},
    {.name = "getset",
     .run = get_and_set,
     .arity = 3,
     .flags = COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_FAST,
     .keys = ONE_KEY_AT(1),
     .group = GROUP_STRING,
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Sets the string of a key and returns the old one.",
     .syntax = "key value"},
    {.name = "incr",
     .run = increment,
     .arity = 2,
     .flags = COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_FAST,
     .keys = ONE_KEY_AT(1),
     .group = GROUP_STRING,
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Adds one to the integer of a key; an absent one counts as 0.",
     .syntax = "key"},
    {.name = "incrby",
     .run = increment_by,
     .arity = 3,
     .flags = COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_FAST,
     .keys = ONE_KEY_AT(1),
     .group = GROUP_STRING,
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Adds a number to the integer of a key; an absent one counts as 0.",
     .syntax = "key increment"},
    {.name = "incrbyfloat",
     .run = increment_by_fraction,
     .arity = 3,
     .flags = COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_FAST,
     .keys = ONE_KEY_AT(1),
     .group = GROUP_STRING,
     .since = "2.6.0",
     .complexity = "O(1)",
     .summary = "Adds a decimal fraction to the number of a key; an absent one counts as 0.",
     .syntax = "key increment:double"},
    {.name = "lcs",
     .run = strings_lcs,
     .arity = -3,
     .flags = COMMAND_READ,
     .keys = KEYS_FROM_TO(1, 2),
     .group = GROUP_STRING,
     .since = "7.0.0",
     .complexity = "O(n m) in the two strings",
     .summary = "Finds the longest common subsequence of two strings.",
     .syntax = "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]"},
    {.name = "mget",
     .run = mget,
     .arity = -2,
     .flags = COMMAND_READ | COMMAND_FAST,
     .keys = KEYS_EACH(1, 1),
     .group = GROUP_STRING,
     .since = "1.0.0",
     .complexity = "O(n) in the keys",
     .summary = "Returns the strings of several keys, as of one instant.",
     .syntax = "key [key ...]"},
    {.name = "mset",
     .run = mset,
     .arity = -3,
     .flags = COMMAND_WRITE | COMMAND_DENY_OOM,
     .keys = KEYS_EACH(1, 2),
     .group = GROUP_STRING,
     .since = "1.0.1",
     .complexity = "O(n) in the keys",
     .summary = "Sets the strings of several keys at one instant.",
     .syntax = "key value [key value ...]"},
    {.name = "msetnx",
     .run = mset_if_absent,
     .arity = -3,
     .flags = COMMAND_WRITE | COMMAND_DENY_OOM,
     .keys = KEYS_EACH(1, 2),
     .group = GROUP_STRING,
     .since = "1.0.1",
     .complexity = "O(n) in the keys",
     .summary = "Sets the strings of several keys, only if none of them exists.",
     .syntax = "key value [key value ...]"},
    {.name = "psetex",
     .run = set_for_milliseconds,
     .arity = 4,
     .flags = COMMAND_WRITE | COMMAND_DENY_OOM,
     .keys = ONE_KEY_AT(1),
     .group = GROUP_STRING,
     .since = "2.6.0",
     .complexity = "O(1)",
     .summary = "Sets the string of a key and its expiry in milliseconds.",
     .syntax = "key milliseconds value"},
    {.name = "set",
     .run = set,
     .arity = -3,
     .flags = COMMAND_WRITE | COMMAND_DENY_OOM,
     .keys = ONE_KEY_AT(1),
     .group = GROUP_STRING,
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Sets the string of a key, whatever it held; can ask for a condition, an expiry "
                "and the old value.",
     .syntax = "key value [condition: NX | XX | IFEQ comparison-value] [GET] "
               "[expiration: EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT "
               "unix-time-milliseconds | KEEPTTL]"},
    {.name = "setex",
     .run = set_for_seconds,
     .arity = 4,
     .flags = COMMAND_WRITE | COMMAND_DENY_OOM,
     .keys = ONE_KEY_AT(1),
     .group = GROUP_STRING,
     .since = "2.0.0",
     .complexity = "O(1)",
     .summary = "Sets the string of a key and its expiry in seconds.",
     .syntax = "key seconds value"},
    {.name = "setnx",
     .run = set_if_absent,
     .arity = 3,
     .flags = COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_FAST,
     .keys = ONE_KEY_AT(1),
     .group = GROUP_STRING,
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Sets the string of a key, only if the key is absent.",
     .syntax = "key value"},
    {.name = "setrange",
     .run = set_range,
     .arity = 4,
     .flags = COMMAND_WRITE | COMMAND_DENY_OOM,
     .keys = ONE_KEY_AT(1),
     .group = GROUP_STRING,
     .since = "2.2.0",
     .complexity = "O(n) in the written text; in the whole string when it is copied",
     .summary = "Overwrites a part of the string of a key.",
     .syntax = "key offset value"},
    {.name = "strlen",
     .run = length,
     .arity = 2,
     .flags = COMMAND_READ | COMMAND_FAST,
     .keys = ONE_KEY_AT(1),
     .group = GROUP_STRING,
     .since = "2.2.0",
     .complexity = "O(1)",
     .summary = "Returns the length of the string of a key, in bytes.",
     .syntax = "key"},
    {.name = "substr",
     .run = get_range,
     .arity = 4,
     .flags = COMMAND_READ,
     .keys = ONE_KEY_AT(1),
     .group = GROUP_STRING,
     .since = "1.0.0",
     .complexity = "O(n) in the returned part",
     .summary = "Returns a part of the string of a key: the old name of GETRANGE.",
     .syntax = "key start end"},
};

const struct command_group_rows commands_strings = {rows, sizeof(rows) / sizeof(rows[0])};
