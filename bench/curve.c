/* Is CACHE CURVE right? A trace by Zipf's law is replayed through the shards in process as a cache at a memory
 * limit, with the curve on; then at each of the curve's sizes, without it, which tells the truth.
 *
 * The key space is ten times what fits. The first half of a trace warms up, and the curve is started in it; then
 * the curve counts anew and the caches begin to be counted. Time goes by a millisecond in REQUESTS_A_MS requests.
 * */
#include <stdio.h>
#include <stdlib.h>
#include <math.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/keys.h"
#include "bench/limited.h"
#include "bench/options.h"
#include "bench/report.h"
#include "shards/base/check.h"

struct curve_options {
    long long limit_bytes, value_bytes, shards, turns, seed;
    const char *policy; /* NULL: several */
    bool has_mixed_sizes, prints_json;
};

enum {
    SIZE_SEED = 1000, /* not one of the shards': followed keys would all be of one size */
    ENTRY_BYTES_GUESS = 18,
    JUDGE_EVERY = 1000,
    REQUESTS_A_MS = 100,
    MIXED_BYTES_MIN = 64,
    MIXED_DOUBLINGS = 7,
};

struct course {
    const struct curve_options *options;
    double exponent;
    enum eviction_policy policy;
    uint64_t keys, requests;
};

static size_t value_bytes_of(const struct curve_options *options, struct bytes name) {
    if (!options->has_mixed_sizes) return (size_t)options->value_bytes;
    double fraction = (double)(hash_seeded(name, SIZE_SEED) >> 11) * 0x1p-53;
    return (size_t)(MIXED_BYTES_MIN * exp2(MIXED_DOUBLINGS * fraction));
}

/* Replay at that limit; the hit ratio of the second half. With `report`, the curve is on, and read at the end. */
static double replay(const struct course *course, int64_t limit_bytes,
                     struct curve_report *report) {
    const struct curve_options *options = course->options;
    struct limited limited;
    limited_init(&limited, &(struct limited_options){
                               .policy = course->policy,
                               .limit_bytes = limit_bytes,
                               .shard_count = (uint32_t)options->shards,
                               .value_bytes = options->has_mixed_sizes
                                                  ? (size_t)MIXED_BYTES_MIN << MIXED_DOUBLINGS
                                                  : (size_t)options->value_bytes,
                               .seed = (uint64_t)options->seed,
                           });
    struct keys keys;
    keys_init(&keys, course->keys, course->exponent, (uint64_t)options->seed);
    uint64_t hits = 0, warm = course->requests / 2;
    for (uint64_t at = 0; at < course->requests; at++) {
        char text[KEYS_NAME_BYTES];
        keys_write_name(text, keys_next(&keys));
        struct bytes name = bytes_of(text, sizeof(text));
        int64_t now_ms = (int64_t)(at / REQUESTS_A_MS);
        bool begins = false;
        if (report != NULL && at == course->requests / 8)
            check(curve_start(&limited.curve, now_ms, &begins) == STATUS_OK);
        if (at == warm) curve_recount(&limited.curve, now_ms);
        bool is_hit = limited_ask(&limited, name, value_bytes_of(options, name), now_ms);
        hits += is_hit && at >= warm;
        if (at % JUDGE_EVERY == 0) duel_tend(&limited.duel, now_ms);
    }
    if (report != NULL) check(curve_read(&limited.curve, 0, report));
    limited_release(&limited);
    return (double)hits / (double)(course->requests - warm);
}

static void print(struct report *report, const struct course *course,
                  const struct curve_report *curve, const struct curve_point *point, double truth) {
    char trace[32];
    snprintf(trace, sizeof(trace), "zipf %g", course->exponent);
    struct report_field fields[] = {
        {.name = "trace", .text = trace},
        {.name = "policy", .text = eviction_policy_name(course->policy)},
        {.name = "times", .number = point->times, .decimals = 2},
        {.name = "hit_percent", .number = truth * 100, .decimals = 2},
        {.name = "estimate", .number = point->hit_ratio * 100, .decimals = 2},
        {.name = "off_by", .number = (point->hit_ratio - truth) * 100, .decimals = 2},
        {.name = "keys_a_key", .number = curve->keys_a_key},
        {.name = "curve_bytes", .number = (double)curve->bytes},
    };
    report_row(report, fields, sizeof(fields) / sizeof(fields[0]));
}

int curve_run(int argc, char **argv) {
    struct curve_options options = {
        .limit_bytes = 32 << 20, .value_bytes = 64, .shards = 32, .turns = 40, .seed = 1};
    const struct option_row rows[] = {
        {"--limit-bytes", OPTION_COUNT, &options.limit_bytes},
        {"--value-bytes", OPTION_COUNT, &options.value_bytes},
        {"--mixed-sizes", OPTION_SWITCH, &options.has_mixed_sizes},
        {"--shards", OPTION_COUNT, &options.shards},
        {"--turns", OPTION_COUNT, &options.turns},
        {"--seed", OPTION_COUNT, &options.seed},
        {"--policy", OPTION_TEXT, &options.policy},
        {"--json", OPTION_SWITCH, &options.prints_json},
    };
    if (!options_read(argc, argv, rows, sizeof(rows) / sizeof(rows[0]))) return EXIT_FAILURE;
    static const double exponents[] = {0.7, 0.99, 1.2};
    static const enum eviction_policy policies[] = {EVICTION_ALLKEYS_ADAPTIVE, EVICTION_ALLKEYS_LRU,
                                                    EVICTION_ALLKEYS_LFU, EVICTION_ALLKEYS_RANDOM};
    enum { TRACES = 3, POLICIES = 4 };
    long long value_bytes = options.has_mixed_sizes ? 1675 : options.value_bytes; /* on average */
    uint64_t fits = (uint64_t)options.limit_bytes /
                    (uint64_t)(KEYS_NAME_BYTES + value_bytes + ENTRY_BYTES_GUESS);
    struct report report;
    report_init(&report, "curve", options.prints_json, TRACES * POLICIES * CURVE_POINTS);
    for (int i = 0; i < TRACES * POLICIES; i++) {
        struct course course = {.options = &options,
                                .exponent = exponents[i / POLICIES],
                                .policy = policies[i % POLICIES],
                                .keys = fits * 10,
                                .requests = fits * (uint64_t)options.turns};
        const char *name = eviction_policy_name(course.policy);
        if (options.policy != NULL && strcmp(options.policy, name) != 0) continue;
        struct curve_report curve;
        replay(&course, options.limit_bytes, &curve);
        for (int j = 0; j < CURVE_POINTS; j++) {
            report_progress(&report, name);
            double truth = replay(&course, curve.points[j].limit_bytes, NULL);
            print(&report, &course, &curve, &curve.points[j], truth);
        }
    }
    return EXIT_SUCCESS;
}
