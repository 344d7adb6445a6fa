/* The server as a whole: time, memory, shards, and its end. */
#include "server/call.h"
#include "server/client.h"
#include "server/clock.h"
#include "server/commands/report.h"
#include "server/limit.h"
#include "server/log.h"
#include "server/metrics.h"
#include "server/server.h"
#include "server/shard_report.h"

static void time_of_day(struct call *call) {
    int64_t now_us = clock_unix_us(); /* the turn's time has milliseconds only */
    reply_array(call->reply, 2);
    reply_bulk_integer(call->reply, now_us / 1000000);
    reply_bulk_integer(call->reply, now_us % 1000000);
}

static void lolwut(struct call *call) {
    static const char sherd[] = "            _..--''''--.._\n"
                                "        .-'  /\\  /\\  /\\   `-.\n"
                                "       /____/  \\/  \\/  \\_____\\\n"
                                "       |~~~~~~~~~~~~~~~~~~~~~|/\\\n"
                                "        \\  o   o   o   o   o  _/\n"
                                "         \\_______________  _/\n"
                                "          `-._   /\\    _/\\/\n"
                                "              `-'  \\  /\n"
                                "                    \\/\n";
    int64_t version;
    if (call->arg_count >= 3 && call_is(call, 1, "VERSION") && !call_integer(call, 2, &version))
        return;
    struct text text = {0};
    text_format(&text, "%s\nsherd ver. %s, a piece of a pot that answers for Redis ver. %s\n",
                sherd, SHERD_VERSION, SERVER_REDIS_VERSION);
    report_reply(call, &text);
}

/* There is no answer but the end of the connection, or why it does not come. No replica is waited for, so NOW changes
 * nothing. */
static void shutdown_server(struct call *call) {
    bool aborts = false, saves = false, saves_not = false, forces = false, has_option = false;
    for (uint32_t i = 1; i < call->arg_count; i++) {
        if (call_is(call, i, "ABORT")) {
            aborts = true;
            continue;
        }
        has_option = true;
        if (call_is(call, i, "SAVE")) {
            saves = true;
        } else if (call_is(call, i, "NOSAVE")) {
            saves_not = true;
        } else if (call_is(call, i, "FORCE")) {
            forces = true;
        } else if (!call_is(call, i, "NOW")) {
            call_syntax_error(call);
            return;
        }
    }
    if ((aborts && has_option) || (saves && saves_not)) {
        call_syntax_error(call);
    } else if (aborts) {
        reply_error(call->reply, "ERR No shutdown in progress.");
    } else {
        enum server_save save = saves       ? SERVER_SAVE_YES
                                : saves_not ? SERVER_SAVE_NO
                                            : SERVER_SAVE_AS_SET;
        if (server_prepare_end(call->server, save) != STATUS_OK && !forces) {
            log_warning("Error trying to save the DB, can't exit (SHUTDOWN NOSAVE does)");
            reply_error(call->reply, "ERR Errors trying to SHUTDOWN. Check logs.");
            return;
        }
        call->client->is_finishing = true;
        server_stop(call->server);
    }
}

/* ---- SHARDS ---------------------------------------------------------------------------------- */

static void reply_shard(struct call *call, uint32_t index) {
    struct shard_report report = shard_report(call->server, index);
    struct reply *reply = call->reply;
    reply_map(reply, 12);
    reply_field(reply, "shard", index);
    reply_field(reply, "keys", report.keys);
    reply_field(reply, "bytes", report.bytes);
    reply_field(reply, "reads", report.counters.reads);
    reply_field(reply, "writes", report.counters.writes);
    reply_field(reply, "hits", report.counters.hits);
    reply_field(reply, "misses", report.counters.misses);
    reply_field(reply, "lock_waits", report.lock.waits);
    reply_field(reply, "lock_waited_usec", report.lock.waited_ns / 1000);
    reply_field(reply, "lock_longest_wait_usec", report.lock.longest_wait_ns / 1000);
    reply_field(reply, "lock_longest_hold_usec", report.longest_hold_us);
    reply_bulk_text(reply, "lock_longest_hold_by");
    reply_bulk_text(reply, report.longest_hold_by);
}

static void shards_each(struct call *call) {
    uint32_t count = call->server->shards.count;
    reply_array(call->reply, count);
    for (uint32_t i = 0; i < count; i++) {
        reply_shard(call, i);
    }
}

/* ---- MEMORY ---------------------------------------------------------------------------------- */

/* The entry, and its share of the buckets. */
static void memory_usage(struct call *call) {
    enum { BUCKET_BYTES = 64 /* see table.h */ };
    for (uint32_t i = 3; i < call->arg_count; i += 2) {
        int64_t samples; /* no value has parts to sample yet */
        if (!call_is(call, i, "SAMPLES") || i + 1 == call->arg_count) {
            call_syntax_error(call);
            return;
        }
        if (!call_integer(call, i + 1, &samples)) return;
        if (samples < 0) {
            call_syntax_error(call);
            return;
        }
    }
    const struct entry *entry = call_read(call, 2);
    if (entry == NULL) {
        reply_null(call->reply);
        return;
    }
    const struct table *table = &shard_database(call->first_shard, call->database)->table;
    uint64_t buckets = atomic_load_explicit(&table->bucket_count, memory_order_relaxed);
    uint64_t keys = atomic_load_explicit(&table->key_count, memory_order_relaxed);
    reply_integer(call->reply, (int64_t)(entry_footprint(entry) + buckets * BUCKET_BYTES / keys));
}

static uint64_t count_keys(const struct shards *shards) {
    uint64_t keys = 0;
    for (uint32_t i = 0; i < shards->database_count; i++) {
        keys += shards_key_count(shards, i);
    }
    return keys;
}

static double percent_of(int64_t part, int64_t whole) {
    return whole != 0 ? (double)part * 100 / (double)whole : 0;
}

static void reply_fraction(struct reply *reply, const char *name, double number) {
    reply_bulk_text(reply, name);
    reply_double(reply, number);
}

static void memory_statistics(struct call *call) {
    struct metrics metrics;
    metrics_gather(&metrics, call->server, call->now_ms);
    uint64_t keys = count_keys(&call->server->shards);
    double used = (double)metrics.used_bytes;
    struct reply *reply = call->reply;
    reply_map(reply, 9);
    reply_field(reply, "peak.allocated", (uint64_t)metrics.peak_bytes);
    reply_field(reply, "total.allocated", (uint64_t)metrics.used_bytes);
    reply_field(reply, "keys.count", keys);
    reply_field(reply, "keys.bytes-per-key", keys != 0 ? (uint64_t)metrics.data_bytes / keys : 0);
    reply_field(reply, "dataset.bytes", (uint64_t)metrics.data_bytes);
    reply_fraction(reply, "dataset.percentage", percent_of(metrics.data_bytes, metrics.used_bytes));
    reply_fraction(reply, "peak.percentage", percent_of(metrics.used_bytes, metrics.peak_bytes));
    reply_fraction(reply, "fragmentation", used != 0 ? (double)metrics.resident_bytes / used : 0);
    reply_field(reply, "fragmentation.bytes",
                (uint64_t)(metrics.resident_bytes - metrics.used_bytes));
}

/* Two things can be wrong: memory that was once needed and isn't given back, and memory that the process has beyond
 * what we count. */
static void memory_doctor(struct call *call) {
    enum { SMALL_BYTES = 5 * 1024 * 1024 };
    struct metrics metrics;
    metrics_gather(&metrics, call->server, call->now_ms);
    struct text text = {0};
    double ratio =
        metrics.used_bytes != 0 ? (double)metrics.resident_bytes / (double)metrics.used_bytes : 0;
    if (metrics.used_bytes < SMALL_BYTES) {
        text_format(&text, "There is too little in memory (%lld bytes) to judge.\n",
                    (long long)metrics.used_bytes);
    } else if (ratio > 1.4) {
        text_format(&text,
                    "The process holds %.2f times what the server counts. After a peak (the "
                    "highest was %lld bytes) that is "
                    "the allocator's reserve; otherwise it is fragmentation.\n",
                    ratio, (long long)metrics.peak_bytes);
    } else {
        text_format(&text,
                    "Nothing is wrong: the process holds %.2f times what the server counts.\n",
                    ratio);
    }
    report_reply(call, &text);
}

static void memory_purge(struct call *call) {
    limit_trim(call->server);
    reply_simple(call->reply, "OK");
}

static void memory_help(struct call *call) {
    static const char *const lines[] = {
        "DOCTOR",
        "    Return memory problems reports.",
        "PURGE",
        "    Attempt to purge dirty pages for reclamation by allocator.",
        "STATS",
        "    Return information about the memory usage of the server.",
        "USAGE <key> [SAMPLES <count>]",
        "    Return memory in bytes used by <key> and its value. Nested values are",
        "    sampled up to <count> times (default: 5, 0 means sample all).",
        NULL,
    };
    call_reply_help(call, lines);
}

/* ---- Rows ------------------------------------------------------------------------------------ */

enum {
    ALWAYS = COMMAND_LOADING | COMMAND_STALE,
    OPERATOR = ALWAYS | COMMAND_ADMIN | COMMAND_NO_SCRIPT
};

static const struct command memory_rows[] = {
    {.name = "memory|doctor",
     .run = memory_doctor,
     .arity = 2,
     .group = GROUP_SERVER,
     .since = "4.0.0",
     .complexity = "O(shards)",
     .summary = "Says what is wrong with the use of memory, if anything is.",
     .syntax = ""},
    {.name = "memory|help",
     .run = memory_help,
     .arity = 2,
     .flags = ALWAYS,
     .group = GROUP_SERVER,
     .since = "4.0.0",
     .complexity = "O(1)",
     .summary = "Explains MEMORY.",
     .syntax = ""},
    {.name = "memory|purge",
     .run = memory_purge,
     .arity = 2,
     .group = GROUP_SERVER,
     .since = "4.0.0",
     .complexity = "O(1), the rest is done by a job",
     .summary = "Gives back to the system what the allocator keeps and nobody uses.",
     .syntax = ""},
    {.name = "memory|stats",
     .run = memory_statistics,
     .arity = 2,
     .group = GROUP_SERVER,
     .since = "4.0.0",
     .complexity = "O(shards)",
     .summary = "Returns what the memory is used for.",
     .syntax = ""},
    {.name = "memory|usage",
     .run = memory_usage,
     .arity = -3,
     .flags = COMMAND_READ | COMMAND_TOUCHES_NOTHING,
     .keys = ONE_KEY_AT(2),
     .group = GROUP_SERVER,
     .since = "4.0.0",
     .complexity = "O(1)",
     .summary = "Returns the bytes that a key and its value cost.",
     .syntax = "key [SAMPLES count]"},
};

static const struct command rows[] = {
    {.name = "lolwut",
     .run = lolwut,
     .arity = -1,
     .flags = COMMAND_READ | COMMAND_FAST,
     .group = GROUP_SERVER,
     .since = "5.0.0",
     .complexity = "O(1)",
     .summary = "Draws a sherd, and tells the version.",
     .syntax = "[VERSION version]"},
    {.name = "memory",
     .arity = -2,
     .group = GROUP_SERVER,
     .since = "4.0.0",
     .complexity = "by subcommand",
     .summary = "Looks at the use of memory.",
     .syntax = "",
     .subcommands = memory_rows,
     .subcommand_count = sizeof(memory_rows) / sizeof(memory_rows[0])},
    {.name = "shards",
     .run = shards_each,
     .arity = 1,
     .flags = COMMAND_READ | COMMAND_NOT_KEYED | COMMAND_ADMIN,
     .group = GROUP_SERVER,
     .since = "0.1.0",
     .complexity = "O(shards)",
     .summary = "Describes each shard: its keys, its use, its lock.",
     .syntax = ""},
    {.name = "shutdown",
     .run = shutdown_server,
     .arity = -1,
     .flags = OPERATOR | COMMAND_ALLOW_BUSY | COMMAND_UNPAUSED,
     .group = GROUP_SERVER,
     .since = "1.0.0",
     .complexity = "O(n) in the replies that wait",
     .summary = "Stops the server when all replies are sent.",
     .syntax = "[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]"},
    {.name = "time",
     .run = time_of_day,
     .arity = 1,
     .flags = ALWAYS | COMMAND_FAST,
     .group = GROUP_SERVER,
     .since = "2.6.0",
     .complexity = "O(1)",
     .summary = "Returns the time: seconds of the epoch, and microseconds.",
     .syntax = ""},
};

const struct command_group_rows commands_server = {rows, sizeof(rows) / sizeof(rows[0])};
