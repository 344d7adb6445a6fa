/* A curve against caches of those sizes: what they hit is what was estimated. And its books are kept, whatever
 * comes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "bench/keys.c"
#include "bench/limited.c"
#include "shards/base/memory.h"
#include "tests/models/model.h"
#include "tests/models/notes.h"

enum { LIMIT = 8 << 20, KEY_SPACE = 250000, REQUESTS = 1000000, VALUE_BYTES = 64, SHARDS = 32 };
enum { REQUESTS_A_MS = 100, JUDGE_EVERY = 1000, LOOK_EVERY = 20000, SEED = 3 };

static void init(struct limited *limited, enum eviction_policy policy, int64_t limit_bytes) {
    limited_init(limited, &(struct limited_options){.policy = policy,
                                                    .limit_bytes = limit_bytes,
                                                    .shard_count = SHARDS,
                                                    .value_bytes = VALUE_BYTES,
                                                    .seed = SEED});
}

/* All of it counts the same requests, so more memory hits more, warm or not. The point is what chance may leave:
 * what is evicted is the oldest of a few, and a larger miniature may have looked at others. Of a few lookups, just after
 * all are counted anew, one is more than that: then nothing is looked at, and false returned. */
static bool expect_rising(struct curve *curve, int64_t now_ms) {
    enum { LOOKUPS_MIN = 1000 };
    struct curve_report report;
    assert_true(curve_read(curve, now_ms, &report));
    if (report.lookups_noted < LOOKUPS_MIN) return false;
    for (int i = 1; i < CURVE_POINTS; i++) {
        assert_true(report.points[i].hit_ratio > report.points[i - 1].hit_ratio - 0.01);
    }
    return true;
}

/* The hits of the last `counted` requests, as a ratio; with a report, the curve is on from the first request. */
static double replay(enum eviction_policy policy, double exponent, int64_t limit_bytes,
                     uint64_t requests, uint64_t counted, struct curve_report *report) {
    struct limited limited;
    init(&limited, policy, limit_bytes);
    struct keys keys;
    keys_init(&keys, KEY_SPACE, exponent, SEED);
    uint64_t hits = 0, looks = 0;
    bool begins = false;
    if (report != NULL) assert_int_equal(curve_start(&limited.curve, 0, &begins), STATUS_OK);
    for (uint64_t at = 0; at < requests; at++) {
        int64_t now_ms = (int64_t)(at / REQUESTS_A_MS);
        char name[KEYS_NAME_BYTES];
        keys_write_name(name, keys_next(&keys));
        bool is_hit = limited_ask(&limited, bytes_of(name, sizeof(name)), VALUE_BYTES, now_ms);
        hits += is_hit && requests - at <= counted;
        if (at % JUDGE_EVERY == 0) duel_tend(&limited.duel, now_ms);
        if (report != NULL && at % LOOK_EVERY == 0) looks += expect_rising(&limited.curve, now_ms);
    }
    if (report != NULL) {
        assert_true(looks > 0);
        curve_validate(&limited.curve);
        assert_true(curve_read(&limited.curve, 0, report));
    }
    limited_release(&limited);
    return (double)hits / (double)counted;
}

/* Two sizes of seven: it takes a while. The trace and the keys that are followed are the same each time, so two
 * points are no matter of chance: sherd-bench curve tells of other seeds and all sizes. */
static void expect_truth(enum eviction_policy policy, double exponent, uint64_t requests) {
    struct curve_report report;
    replay(policy, exponent, LIMIT, requests, requests, &report);
    assert_in_range(report.bytes, 1, CURVE_BYTES_MAX);
    assert_in_range(report.lookups, requests / 8, requests);
    for (int i = 0; i < CURVE_POINTS; i++) {
        const struct curve_point *point = &report.points[i];
        if (point->times != 0.5 && point->times != 2) continue;
        double truth = replay(policy, exponent, point->limit_bytes, requests, report.lookups, NULL);
        print_message("%s, zipf %g, %g x: %.2f %%, estimated %.2f %%\n",
                      eviction_policy_name(policy), exponent, point->times, truth * 100,
                      point->hit_ratio * 100);
        assert_true(fabs(point->hit_ratio - truth) < 0.02);
    }
}

/* Twice as many where little tells recency from frequency: a smaller cache finds out sooner than the one whose mind all
 * miniatures follow, and a young one is foreseen badly. */
static void the_adaptive_policy_is_foreseen(void **state) {
    (void)state;
    expect_truth(EVICTION_ALLKEYS_ADAPTIVE, 0.7, REQUESTS);
    expect_truth(EVICTION_ALLKEYS_ADAPTIVE, 0.99, 2 * REQUESTS);
}

static void lru_is_foreseen(void **state) {
    (void)state;
    expect_truth(EVICTION_ALLKEYS_LRU, 0.99, REQUESTS);
}

/* Notes of all kinds, under a policy that changes now and then; what isn't possible in a server, too. */
static void its_books_are_kept(void **state) {
    (void)state;
    size_t used_before = memory_used();
    struct random random;
    model_seed(&random, "curve");
    struct limited limited;
    init(&limited, EVICTION_ALLKEYS_LRU, LIMIT);
    bool begins;
    assert_int_equal(curve_start(&limited.curve, 0, &begins), STATUS_OK);
    assert_true(begins);
    for (int64_t step = 1; step <= 400000; step++) {
        uint64_t number = random_below(&random, random_below(&random, 200000) + 1);
        struct note note = {
            .hash = number * UINT64_C(0x9e3779b97f4a7c15) >> 5,
            .database = (uint32_t)random_below(&random, 2),
            .bytes = (uint32_t)random_below(&random, 300),
            .deadline_ms = random_below(&random, 3) == 0
                               ? step + (int64_t)random_below(&random, 5000)
                               : ENTRY_NO_EXPIRY,
            .is_lookup = random_below(&random, 2) == 0,
            .is_there = random_below(&random, 8) != 0,
            .is_deletion = random_below(&random, 4) == 0,
            .leaves_no_trace = random_below(&random, 16) == 0,
        };
        curve_note(&limited.curve, &note, step);
        if (step % 40000 != 0) continue;
        curve_validate(&limited.curve);
        atomic_store(&limited.shards.eviction.policy,
                     (uint32_t)random_below(&random, EVICTION_POLICIES));
        struct curve_report report;
        if (random_below(&random, 2) == 0) curve_read(&limited.curve, step, &report);
    }
    curve_stop(&limited.curve);
    limited_release(&limited);
    assert_int_equal(memory_used(), used_before);
}

/* Under volatile-* a miniature lets those go that have a deadline, however long ago the others were used. */
static void who_has_no_deadline_stays(void **state) {
    (void)state;
    enum { BYTES = 64, LASTING = 100, PASSING = 20000 };
    struct limited limited;
    init(&limited, EVICTION_VOLATILE_LRU, LIMIT);
    bool begins;
    assert_int_equal(curve_start(&limited.curve, 0, &begins), STATUS_OK);
    uint64_t below = curve_followed_below(&limited.curve);
    struct random random;
    model_seed(&random, "curve of the volatile");
    uint64_t lasting[LASTING];
    for (int64_t i = 0; i < LASTING + PASSING; i++) {
        bool lasts = i < LASTING;
        struct note note = note_of_presence(&random, below, BYTES);
        if (lasts) {
            lasting[i] = note.hash;
        } else {
            note.deadline_ms = 1000000 + i;
        }
        curve_note(&limited.curve, &note, i);
    }
    curve_validate(&limited.curve);
    assert_int_equal(curve_followed_below(&limited.curve), below);
    for (int i = 0; i < LASTING; i++) {
        const struct member *member =
            population_find(&limited.curve.simulation.population, lasting[i]);
        assert_non_null(member);
        assert_int_equal(member->present, (1 << CURVE_POINTS) - 1);
    }
    limited_release(&limited);
}

/* A store that grows while it is followed: fewer of its keys are. */
static void of_more_keys_fewer_are_followed(void **state) {
    (void)state;
    enum { KEYS = 140000, FEW = 1000 };
    struct limited limited;
    init(&limited, EVICTION_ALLKEYS_LRU, INT64_C(1) << 30);
    bool begins;
    assert_int_equal(curve_start(&limited.curve, 0, &begins), STATUS_OK);
    uint64_t below = curve_followed_below(&limited.curve);
    for (uint64_t i = 0; i < KEYS; i++) {
        char name[KEYS_NAME_BYTES];
        keys_write_name(name, i);
        limited_ask(&limited, bytes_of(name, sizeof(name)), 1, (int64_t)(i / REQUESTS_A_MS));
        if (i == FEW) assert_int_equal(curve_followed_below(&limited.curve), below);
    }
    struct note note = {.is_lookup = true};
    curve_note(&limited.curve, &note, KEYS);
    curve_validate(&limited.curve);
    assert_int_equal(curve_followed_below(&limited.curve), below / 2);
    struct curve_report report;
    assert_true(curve_read(&limited.curve, KEYS, &report));
    assert_in_range(report.lookups_noted, KEYS / 256 / 4 * 3, KEYS / 256 / 4 * 5);
    limited_release(&limited);
}

/* More keys than can be followed, all used alike: half of them after the other are let go, and what stays is whole. */
static void of_too_many_half_are_followed(void **state) {
    (void)state;
    enum { BYTES = 64 };
    struct limited limited;
    init(&limited, EVICTION_ALLKEYS_ADAPTIVE, INT64_C(1) << 30);
    bool begins;
    assert_int_equal(curve_start(&limited.curve, 0, &begins), STATUS_OK);
    uint64_t below = curve_followed_below(&limited.curve);
    uint32_t most = limited.curve.simulation.population.count_max;
    struct random random;
    model_seed(&random, "curve of many");
    for (int64_t i = 0; i < 3 * (int64_t)most; i++) {
        struct note note = note_of_presence(&random, below, BYTES);
        curve_note(&limited.curve, &note, i);
    }
    curve_validate(&limited.curve);
    assert_int_equal(curve_followed_below(&limited.curve), below / 4);
    assert_in_range(limited.curve.simulation.population.count, most / 2, most);
    limited_release(&limited);
}

static void refused_memory_leaves_it_off(void **state) {
    (void)state;
    struct limited limited;
    init(&limited, EVICTION_ALLKEYS_LRU, LIMIT);
    for (int64_t allowed = 0; allowed < 2; allowed++) {
        bool begins;
        memory_refuse_after(allowed);
        enum status status = curve_start(&limited.curve, 0, &begins);
        memory_refuse_after(-1);
        assert_int_equal(status, STATUS_NO_MEMORY);
        struct curve_report report;
        assert_false(curve_read(&limited.curve, 0, &report));
        assert_int_equal(curve_followed_below(&limited.curve), 0);
    }
    limited_release(&limited);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_adaptive_policy_is_foreseen),
        cmocka_unit_test(lru_is_foreseen),
        cmocka_unit_test(its_books_are_kept),
        cmocka_unit_test(who_has_no_deadline_stays),
        cmocka_unit_test(of_more_keys_fewer_are_followed),
        cmocka_unit_test(of_too_many_half_are_followed),
        cmocka_unit_test(refused_memory_leaves_it_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
