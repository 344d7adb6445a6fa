/* CACHE: what sherd knows of itself as a cache. Ours; Redis has nothing of the kind. */
#include "server/call.h"
#include "server/commands/curve.h"
#include "server/commands/prefixes.h"
#include "server/server.h"

/* ---- STATS ----------------------------------------------------------------------------------- */

static uint64_t total_of(const struct misses_sum *sum) {
    uint64_t total = 0;
    for (int reason = 0; reason < MISS_REASONS; reason++) {
        total += sum->by_reason[reason];
    }
    return total;
}

static void reply_reasons(struct reply *reply, const struct misses_sum *sum) {
    reply_map(reply, MISS_REASONS);
    for (int reason = 0; reason < MISS_REASONS; reason++) {
        reply_field(reply, misses_reason_name((enum miss_reason)reason), sum->by_reason[reason]);
    }
}

/* Databases without a miss are left out. */
static void reply_databases(struct reply *reply, const struct shards *shards) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < shards->database_count; i++) {
        struct misses_sum sum = misses_sum_database(&shards->misses, i);
        count += total_of(&sum) != 0;
    }
    reply_map(reply, count);
    for (uint32_t i = 0; i < shards->database_count && count > 0; i++) {
        struct misses_sum sum = misses_sum_database(&shards->misses, i);
        if (total_of(&sum) == 0) continue;
        reply_bulk_format(reply, "db%u", i);
        reply_reasons(reply, &sum);
        count--;
    }
}

static void cache_stats(struct call *call) {
    struct shards *shards = &call->server->shards;
    struct reply *reply = call->reply;
    uint64_t hits = counters_sum_all(&shards->counters).hits;
    struct misses_sum why = misses_sum_all(&shards->misses);
    uint64_t misses = total_of(&why);
    uint64_t asked = hits + misses;
    reply_map(reply, 6);
    reply_field(reply, "hits", hits);
    reply_field(reply, "misses", misses);
    reply_bulk_text(reply, "hit_percent");
    reply_double(reply, asked != 0 ? (double)hits * 100 / (double)asked : 0);
    reply_bulk_text(reply, "misses_by_reason");
    reply_reasons(reply, &why);
    reply_field(reply, "gone_keys_remembered_max", shards_ghost_places(shards));
    reply_bulk_text(reply, "databases");
    reply_databases(reply, shards);
}

/* ---- Rows ------------------------------------------------------------------------------------ */

static void cache_help(struct call *call) {
    static const char *const lines[] = {
        "CURVE",
        "    Return the hit ratio that there would be with 0.5, 0.75, 1, 1.25, 1.5, 2 and 4 times",
        "    the maxmemory there is, estimated since the first CACHE CURVE, which begins it.",
        "CURVE RESET",
        "    Count anew.",
        "CURVE STOP",
        "    Stop following requests, and free the memory that takes.",
        "PREFIXES [COUNT <count>] [DELIMITER <delimiter>] [DEPTH <depth>]",
        "    Return the prefixes (up to the delimiter, default ':', at its first or <depth>-th",
        "    place) whose keys are read and written most, hottest first (default: 10). Of each:",
        "    reads, writes, hits, misses and bytes of the last minute or two, estimated from a",
        "    sample of the requests, its share of all, and how many samples tell of it.",
        "STATS",
        "    Return hits, and misses by the reason why the key wasn't there: unknown (it never",
        "    was, or long ago), expired, evicted, deleted; in all and for each database.",
        NULL,
    };
    call_reply_help(call, lines);
}

/* Who shows the beginnings of others' keys, or begins and ends what costs time, is an operator: HOTKEYS has the same. */
enum {
    ALWAYS = COMMAND_LOADING | COMMAND_STALE,
    OPERATOR = ALWAYS | COMMAND_ADMIN | COMMAND_NO_SCRIPT
};

static const struct command cache_rows[] = {
    {.name = "cache|curve",
     .run = cache_curve,
     .arity = -2,
     .flags = OPERATOR,
     .group = GROUP_SERVER,
     .since = "0.1.0",
     .complexity = "O(workers * shards)",
     .summary = "Estimates the hit ratio with less memory, and with more.",
     .syntax = "[RESET | STOP]"},
    {.name = "cache|help",
     .run = cache_help,
     .arity = 2,
     .flags = ALWAYS,
     .group = GROUP_SERVER,
     .since = "0.1.0",
     .complexity = "O(1)",
     .summary = "Explains CACHE.",
     .syntax = ""},
    {.name = "cache|prefixes",
     .run = cache_prefixes,
     .arity = -2,
     .flags = OPERATOR,
     .group = GROUP_SERVER,
     .since = "0.1.0",
     .complexity = "O(n log n) in the samples kept, 8192 or a few more",
     .summary = "Returns the prefixes whose keys are read and written most.",
     .syntax = "[COUNT count] [DELIMITER delimiter] [DEPTH depth]"},
    {.name = "cache|stats",
     .run = cache_stats,
     .arity = 2,
     .flags = ALWAYS,
     .group = GROUP_SERVER,
     .since = "0.1.0",
     .complexity = "O(shards + databases), and as much a worker",
     .summary = "Returns hits, and misses by reason.",
     .syntax = ""},
};

static const struct command rows[] = {
    {.name = "cache",
     .arity = -2,
     .flags = 0,
     .group = GROUP_SERVER,
     .since = "0.1.0",
     .complexity = "by subcommand",
     .summary = "Tells of sherd as a cache.",
     .syntax = "",
     .subcommands = cache_rows,
     .subcommand_count = sizeof(cache_rows) / sizeof(cache_rows[0])},
};

const struct command_group_rows commands_cache = {rows, sizeof(rows) / sizeof(rows[0])};
