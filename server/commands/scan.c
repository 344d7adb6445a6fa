/* Whole databases: SCAN, KEYS, RANDOMKEY, and emptying or exchanging them. None of them holds more than
 * one shard's lock for long, but those that must happen at one instant (FLUSHDB, FLUSHALL, SWAPDB), which
 * are O(shards). */
#include <string.h>

#include "server/call.h"
#include "server/config.h"
#include "server/server.h"
#include "server/worker.h"
#include "shards/base/match.h"
#include "shards/base/memory.h"
#include "shards/base/number.h"

/* ---- Collecting names ------------------------------------------------------------------------ */

/* Names copied under the locks and replied after them; one block, grown by doubling: [size, bytes] by turns. It
 * counts as a client's memory, as does the reply that follows: no key is evicted for it. */
struct names {
    char *data;
    size_t size, capacity;
    uint64_t count;   /* collected */
    uint64_t visited; /* seen, whether or not they matched */
    struct bytes pattern;
    bool has_pattern;
    bool is_any_type;
    enum entry_type type;
    bool finds_nothing; /* asked for a type that no key has */
    bool has_failed;
};

static bool names_reserve(struct names *names, size_t more) {
    if (names->capacity - names->size >= more) return true;
    size_t capacity =
        names->capacity * 2 > names->size + more ? names->capacity * 2 : names->size + more + 4096;
    char *grown = memory_resize_for_client(names->data, capacity);
    if (grown == NULL) return false;
    names->data = grown;
    names->capacity = capacity;
    return true;
}

static void names_visit(void *context, struct entry *entry) {
    struct names *names = context;
    names->visited++;
    struct bytes key = entry_key(entry);
    if (names->finds_nothing || (!names->is_any_type && entry_type(entry) != names->type)) return;
    if (names->has_pattern && !match_glob(names->pattern, key)) return;
    if (!names_reserve(names, sizeof(key.size) + key.size)) {
        names->has_failed = true;
        return;
    }
    memcpy(names->data + names->size, &key.size, sizeof(key.size));
    memcpy(names->data + names->size + sizeof(key.size), key.data, key.size);
    names->size += sizeof(key.size) + key.size;
    names->count++;
}

static void names_reply(struct call *call, const struct names *names) {
    reply_array(call->reply, names->count);
    for (size_t at = 0; at < names->size;) {
        size_t size;
        memcpy(&size, names->data + at, sizeof(size));
        reply_bulk(call->reply, bytes_of(names->data + at + sizeof(size), size));
        at += sizeof(size) + size;
    }
}

static void keys(struct call *call) {
    struct names names = {.pattern = call->args[1], .is_any_type = true};
    names.has_pattern = !bytes_equal(names.pattern, BYTES("*"));
    shards_visit_all(&call->server->shards, call->database, call->now_ms, names_visit, &names);
    if (names.has_failed) {
        call_failed(call, STATUS_NO_MEMORY);
    } else {
        names_reply(call, &names);
    }
    memory_free_for_client(names.data);
}

/* ---- SCAN ------------------------------------------------------------------------------------ */

enum { SCAN_COUNT_DEFAULT = 10, SCAN_STEPS_PER_COUNT = 10 };

/* Redis knows more types than sherd, and an unknown one is no error: no key has it. */
static void read_type(struct bytes word, struct names *names) {
    names->is_any_type = false;
    names->type = ENTRY_STRING;
    names->finds_nothing = !bytes_is(word, "string");
}

struct scan_options {
    uint64_t cursor;
    int64_t count;
};

/* What Redis takes, by strtoul: a sign, leading zeros, nothing at all; a negative number wraps. */
static bool read_cursor(struct bytes text, uint64_t *cursor) {
    bool is_negative = text.size > 1 && text.data[0] == '-';
    bool has_sign = is_negative || (text.size > 1 && text.data[0] == '+');
    uint64_t sum = 0;
    for (size_t i = has_sign; i < text.size; i++) {
        unsigned digit = (unsigned char)text.data[i] - (unsigned)'0';
        if (digit > 9 || __builtin_mul_overflow(sum, 10, &sum) ||
            __builtin_add_overflow(sum, digit, &sum))
            return false;
    }
    *cursor = is_negative ? -sum : sum;
    return true;
}

static bool read_scan_options(struct call *call, struct scan_options *options,
                              struct names *names) {
    if (!read_cursor(call->args[1], &options->cursor)) {
        reply_error(call->reply, "ERR invalid cursor");
        return false;
    }
    for (uint32_t i = 2; i < call->arg_count; i += 2) {
        if (i + 1 == call->arg_count) {
            call_syntax_error(call);
            return false;
        }
        if (call_is(call, i, "COUNT")) {
            if (!call_integer(call, i + 1, &options->count)) return false;
            if (options->count < 1) {
                call_syntax_error(call);
                return false;
            }
        } else if (call_is(call, i, "MATCH")) {
            names->pattern = call->args[i + 1];
            names->has_pattern = !bytes_equal(names->pattern, BYTES("*"));
        } else if (call_is(call, i, "TYPE")) {
            read_type(call->args[i + 1], names);
        } else {
            call_syntax_error(call);
            return false;
        }
    }
    return true;
}

static void scan(struct call *call) {
    struct names names = {.is_any_type = true};
    struct scan_options options = {.count = SCAN_COUNT_DEFAULT};
    if (!read_scan_options(call, &options, &names)) return;
    uint64_t wanted = (uint64_t)options.count;
    uint64_t steps =
        wanted *
        SCAN_STEPS_PER_COUNT; /* empty buckets must not make one call walk the whole store */
    uint64_t cursor = options.cursor;
    do {
        cursor = shards_scan(&call->server->shards, call->database, cursor, call->now_ms,
                             names_visit, &names);
    } while (cursor != 0 && names.visited < wanted && --steps != 0);
    if (names.has_failed) {
        call_failed(call, STATUS_NO_MEMORY);
    } else {
        char text[NUMBER_TEXT_MAX];
        reply_array(call->reply, 2);
        reply_bulk(call->reply, bytes_of(text, number_write_unsigned(cursor, text)));
        names_reply(call, &names);
    }
    memory_free_for_client(names.data);
}

static void random_key(struct call *call) {
    struct names names = {.is_any_type = true};
    bool is_found = shards_random(&call->server->shards, call->database, call->now_ms,
                                  &call->worker->random, names_visit, &names);
    if (!is_found || names.has_failed) {
        reply_null(call->reply);
    } else {
        size_t size;
        memcpy(&size, names.data, sizeof(size));
        reply_bulk(call->reply, bytes_of(names.data + sizeof(size), size));
    }
    memory_free_for_client(names.data);
}

static void database_size(struct call *call) {
    reply_integer(call->reply, (int64_t)shards_key_count(&call->server->shards, call->database));
}

/* ---- Emptying and exchanging ----------------------------------------------------------------- */

enum { FLUSH_STEPS = 1024 /* of one shard in one hold */ };

static uint64_t count_keys(const struct shards *shards, int32_t database) {
    if (database != SHARDS_ALL_DATABASES) return shards_key_count(shards, (uint32_t)database);
    uint64_t keys = 0;
    for (uint32_t i = 0; i < shards->database_count; i++) {
        keys += shards_key_count(shards, i);
    }
    return keys;
}

/* The keys are gone at one instant; SYNC waits until their memory is free too, in holds as short as upkeep's. What is
 * due elsewhere stays upkeep's: it knows what GETLEASE may still show, and whether it is to sweep at all. */
static void flush(struct call *call, int32_t database) {
    bool is_lazy = config_number(&call->server->config->lazyfree_lazy_user_flush) != 0;
    if (call->arg_count == 2 && call_is(call, 1, "ASYNC")) {
        is_lazy = true;
    } else if (call->arg_count == 2 && call_is(call, 1, "SYNC")) {
        is_lazy = false;
    } else if (call->arg_count > 1) {
        call_syntax_error(call);
        return;
    }
    struct shards *shards = &call->server->shards;
    uint64_t removed = count_keys(shards, database);
    enum status status = shards_flush(shards, database);
    if (status != STATUS_OK) {
        call_failed(call, status);
        return;
    }
    saver_add_changes(&call->server->saver, removed);
    curve_empty(&call->server->curve, call->now_ms);
    duel_empty(&call->server->duel, call->now_ms);
    for (uint32_t i = 0; !is_lazy && i < shards->count; i++) {
        while (shards_reclaim(shards, i, FLUSH_STEPS)) {
        }
    }
    reply_simple(call->reply, "OK");
}
static void flush_database(struct call *call) {
    flush(call, (int32_t)call->database);
}
static void flush_all(struct call *call) {
    flush(call, SHARDS_ALL_DATABASES);
}

/* Could it be one, on some server? */
static bool is_index(struct call *call, uint32_t index, const char *which) {
    int64_t number;
    if (number_read(call->args[index], &number) && number >= INT32_MIN && number <= INT32_MAX)
        return true;
    reply_error_format(call->reply, "ERR invalid %s DB index", which);
    return false;
}

static void swap_databases(struct call *call) {
    uint32_t a, b;
    if (!is_index(call, 1, "first") || !is_index(call, 2, "second")) return;
    if (!call_database(call, 1, &a) || !call_database(call, 2, &b)) return;
    shards_swap(&call->server->shards, a, b);
    saver_add_changes(&call->server->saver, 1);
    reply_simple(call->reply, "OK");
}

/* ---- Rows ------------------------------------------------------------------------------------ */

static const struct command rows[] = {
    {.name = "dbsize",
     .run = database_size,
     .arity = 1,
     .flags = COMMAND_READ | COMMAND_FAST | COMMAND_NOT_KEYED,
     .group = GROUP_SERVER,
     .since = "1.0.0",
     .complexity = "O(shards)",
     .summary = "Counts the keys of the database.",
     .syntax = ""},
    {.name = "flushall",
     .run = flush_all,
     .arity = -1,
     .flags = COMMAND_WRITE | COMMAND_NOT_KEYED | COMMAND_DANGEROUS,
     .group = GROUP_SERVER,
     .since = "1.0.0",
     .complexity = "O(shards) at once; the memory of n keys is freed in O(n) small steps",
     .summary = "Deletes all keys of all databases.",
     .syntax = "[async: ASYNC | SYNC]"},
    {.name = "flushdb",
     .run = flush_database,
     .arity = -1,
     .flags = COMMAND_WRITE | COMMAND_NOT_KEYED | COMMAND_DANGEROUS,
     .group = GROUP_SERVER,
     .since = "1.0.0",
     .complexity = "O(shards) at once; the memory of n keys is freed in O(n) small steps",
     .summary = "Deletes all keys of the database.",
     .syntax = "[async: ASYNC | SYNC]"},
    {.name = "keys",
     .run = keys,
     .arity = 2,
     .flags = COMMAND_READ | COMMAND_NOT_KEYED | COMMAND_DANGEROUS,
     .group = GROUP_GENERIC,
     .since = "1.0.0",
     .complexity = "O(n) in the keys of the database",
     .summary = "Returns all keys that match a pattern. For looking around: use SCAN in programs.",
     .syntax = "pattern"},
    {.name = "randomkey",
     .run = random_key,
     .arity = 1,
     .flags = COMMAND_READ | COMMAND_NOT_KEYED | COMMAND_TOUCHES_NOTHING,
     .group = GROUP_GENERIC,
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Returns some key of the database.",
     .syntax = ""},
    {.name = "scan",
     .run = scan,
     .arity = -2,
     .flags = COMMAND_READ | COMMAND_NOT_KEYED | COMMAND_TOUCHES_NOTHING,
     .group = GROUP_GENERIC,
     .since = "2.8.0",
     .complexity = "O(1) a call, O(n) for a whole round",
     .summary = "Walks over the keys of the database, a few at a call.",
     .syntax = "cursor [MATCH pattern] [COUNT count] [TYPE type]"},
    {.name = "swapdb",
     .run = swap_databases,
     .arity = 3,
     .flags = COMMAND_WRITE | COMMAND_FAST | COMMAND_NOT_KEYED | COMMAND_DANGEROUS,
     .group = GROUP_SERVER,
     .since = "4.0.0",
     .complexity = "O(shards)",
     .summary = "Exchanges two databases at one instant.",
     .syntax = "index1 index2"},
};

const struct command_group_rows commands_scan = {rows, sizeof(rows) / sizeof(rows[0])};
