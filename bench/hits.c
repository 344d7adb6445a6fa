/* What each eviction policy keeps: the shards in process, as a cache (GET; on a miss SET), at a memory limit,
 * over made-up traces, against an exact LRU that may keep as many keys.
 *
 * Time goes by a millisecond a request, so that policies that count minutes see some. The first third of a
 * trace warms up, the rest is counted. A key space is ten times what fits; the traces:
 *
 *     zipf      by Zipf's law, with each of the exponents
 *     scan      by Zipf's law, but each fourth stretch, as long as what fits, are keys that are never asked for again
 *     shift     by Zipf's law; after six times as many requests as keys fit, all keys change places
 *     loop      all keys in turn, a tenth more of them than fit
 *     mixed     half by Zipf's law, half from a loop half as large again as what fits */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/keys.h"
#include "bench/limited.h"
#include "bench/options.h"
#include "bench/report.h"
#include "shards/base/check.h"

struct hits_options {
    long long limit_bytes, value_bytes, shards, turns;
    bool prints_json;
};

enum { SEED = 20260101, ENTRY_BYTES_GUESS = 18, JUDGE_EVERY = 1000 };

/* ---- Traces ---------------------------------------------------------------------------------- */

struct source {
    struct keys keys;
    uint64_t fits; /* keys, about */
};

static uint64_t from_zipf(struct source *source, uint64_t at) {
    (void)at;
    return keys_next(&source->keys);
}

static uint64_t from_scans(struct source *source, uint64_t at) {
    bool is_scan = at % (source->fits * 4) >= source->fits * 3;
    return is_scan ? source->keys.count + at : keys_next(&source->keys);
}

static uint64_t from_shifts(struct source *source, uint64_t at) {
    uint64_t move = at / (source->fits * 6) * 7919;
    return (keys_next(&source->keys) * 104729 + move * 15485863) % source->keys.count;
}

static uint64_t from_loop(struct source *source, uint64_t at) {
    return at % (source->fits * 11 / 10);
}

static uint64_t from_mixed(struct source *source, uint64_t at) {
    if (at % 2 == 0) return keys_next(&source->keys);
    return source->keys.count + at / 2 % (source->fits * 3 / 2);
}

static const struct trace {
    const char *name;
    double exponent;
    uint64_t (*next)(struct source *source, uint64_t at);
} traces[] = {
    {"zipf 0.7", 0.7, from_zipf}, {"zipf 0.99", 0.99, from_zipf}, {"zipf 1.2", 1.2, from_zipf},
    {"scan", 0.99, from_scans},   {"shift", 0.99, from_shifts},   {"loop", 0.99, from_loop},
    {"mixed", 0.99, from_mixed},
};
enum { TRACE_COUNT = sizeof(traces) / sizeof(traces[0]) };

static struct source source_of(const struct trace *trace, uint64_t fits) {
    struct source source = {.fits = fits};
    keys_init(&source.keys, fits * 10, trace->exponent, SEED);
    return source;
}

/* ---- Our shards ------------------------------------------------------------------------------ */

struct score {
    uint64_t hits, asked, keys_max;
};

static struct score replay(const struct hits_options *options, const struct trace *trace,
                           enum eviction_policy policy, uint64_t fits) {
    struct limited limited;
    limited_init(&limited, &(struct limited_options){
                               .policy = policy,
                               .limit_bytes = options->limit_bytes,
                               .shard_count = (uint32_t)options->shards,
                               .value_bytes = (size_t)options->value_bytes,
                               .seed = SEED,
                           });
    struct source source = source_of(trace, fits);
    struct score score = {0};
    uint64_t requests = fits * (uint64_t)options->turns;
    for (uint64_t at = 0; at < requests; at++) {
        char name[KEYS_NAME_BYTES];
        keys_write_name(name, trace->next(&source, at));
        bool is_hit = limited_ask(&limited, bytes_of(name, sizeof(name)),
                                  (size_t)options->value_bytes, (int64_t)at);
        score.hits += is_hit && at > requests / 3;
        score.asked += at > requests / 3;
        if (at % JUDGE_EVERY != 0) continue;
        duel_tend(&limited.duel, (int64_t)at);
        uint64_t keys = shards_key_count(&limited.shards, 0);
        if (keys > score.keys_max) score.keys_max = keys;
    }
    limited_release(&limited);
    return score;
}

/* ---- Exact LRU ------------------------------------------------------------------------------- */

/* A list through arrays, of keys numbered below `space`; place `space` is its head. */
struct lru {
    uint32_t *next, *previous;
    uint64_t space, count;
};

static void lru_unlink(struct lru *lru, uint64_t key) {
    lru->next[lru->previous[key]] = lru->next[key];
    lru->previous[lru->next[key]] = lru->previous[key];
    lru->next[key] = 0;
    lru->previous[key] = 0;
}

static void lru_push(struct lru *lru, uint64_t key) {
    uint32_t first = lru->next[lru->space];
    lru->next[key] = first;
    lru->previous[key] = (uint32_t)lru->space;
    lru->previous[first] = (uint32_t)key;
    lru->next[lru->space] = (uint32_t)key;
}

/* Was it there? It is now. Key 0 is never used: a place is linked if its neighbours aren't both 0. */
static bool lru_ask(struct lru *lru, uint64_t key, uint64_t keys_max) {
    bool is_hit = lru->next[key] != 0 || lru->previous[key] != 0;
    if (is_hit) {
        lru_unlink(lru, key);
    } else if (lru->count == keys_max) {
        lru_unlink(lru, lru->previous[lru->space]);
    } else {
        lru->count++;
    }
    lru_push(lru, key);
    return is_hit;
}

static struct score replay_exact_lru(const struct hits_options *options, const struct trace *trace,
                                     uint64_t fits, uint64_t keys_max) {
    uint64_t requests = fits * (uint64_t)options->turns;
    struct source source = source_of(trace, fits);
    struct lru lru = {.space = fits * 12 + requests + 2};
    lru.next = calloc(lru.space + 1, sizeof(uint32_t));
    lru.previous = calloc(lru.space + 1, sizeof(uint32_t));
    check(lru.next != NULL && lru.previous != NULL);
    lru.next[lru.space] = lru.previous[lru.space] = (uint32_t)lru.space;
    struct score score = {.keys_max = keys_max};
    for (uint64_t at = 0; at < requests; at++) {
        bool is_hit = lru_ask(&lru, trace->next(&source, at) + 1, keys_max);
        score.hits += is_hit && at > requests / 3;
        score.asked += at > requests / 3;
    }
    free(lru.next);
    free(lru.previous);
    return score;
}

/* ---- The subcommand -------------------------------------------------------------------------- */

static void print(struct report *report, const char *trace, const char *policy,
                  const struct score *score) {
    struct report_field fields[] = {
        {.name = "trace", .text = trace},
        {.name = "policy", .text = policy},
        {.name = "hit_percent",
         .number = (double)score->hits * 100 / (double)score->asked,
         .decimals = 2},
        {.name = "keys_max", .number = (double)score->keys_max},
    };
    report_row(report, fields, sizeof(fields) / sizeof(fields[0]));
}

int hits_run(int argc, char **argv) {
    struct hits_options options = {
        .limit_bytes = 8 << 20, .value_bytes = 64, .shards = 32, .turns = 60};
    const struct option_row rows[] = {
        {"--limit-bytes", OPTION_COUNT, &options.limit_bytes},
        {"--value-bytes", OPTION_COUNT, &options.value_bytes},
        {"--shards", OPTION_COUNT, &options.shards},
        {"--turns", OPTION_COUNT, &options.turns},
        {"--json", OPTION_SWITCH, &options.prints_json},
    };
    if (!options_read(argc, argv, rows, sizeof(rows) / sizeof(rows[0]))) return EXIT_FAILURE;
    static const enum eviction_policy policies[] = {EVICTION_ALLKEYS_ADAPTIVE, EVICTION_ALLKEYS_LRU,
                                                    EVICTION_ALLKEYS_LFU, EVICTION_ALLKEYS_RANDOM};
    enum { POLICY_COUNT = sizeof(policies) / sizeof(policies[0]) };
    uint64_t fits = (uint64_t)options.limit_bytes /
                    (uint64_t)(KEYS_NAME_BYTES + options.value_bytes + ENTRY_BYTES_GUESS);
    struct report report;
    report_init(&report, "hits", options.prints_json, TRACE_COUNT * (POLICY_COUNT + 1));
    for (size_t i = 0; i < TRACE_COUNT; i++) {
        struct score score;
        uint64_t keys_max = 0;
        for (size_t j = 0; j < POLICY_COUNT; j++) {
            const char *name = eviction_policy_name(policies[j]);
            report_progress(&report, name);
            score = replay(&options, &traces[i], policies[j], fits);
            if (score.keys_max > keys_max) keys_max = score.keys_max;
            print(&report, traces[i].name, name, &score);
        }
        score = replay_exact_lru(&options, &traces[i], fits, keys_max);
        print(&report, traces[i].name, "exact LRU", &score);
    }
    return EXIT_SUCCESS;
}
