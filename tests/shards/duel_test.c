/* When it is on, who wins, and that its books are kept. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "bench/keys.c"
#include "bench/limited.c"
#include "shards/base/memory.h"
#include "tests/models/notes.h"

enum { LIMIT = 4 << 20, FITS = 40000, VALUE_BYTES = 64, SHARDS = 4, SEED = 5, REQUESTS_A_MS = 100 };

static void init(struct limited *limited, enum eviction_policy policy, int64_t limit_bytes) {
    limited_init(limited, &(struct limited_options){.policy = policy,
                                                    .limit_bytes = limit_bytes,
                                                    .shard_count = SHARDS,
                                                    .value_bytes = VALUE_BYTES,
                                                    .seed = SEED});
    duel_tend(&limited->duel, 0);
}

static bool prefers_recent(const struct limited *limited) {
    return atomic_load(&limited->shards.eviction.prefers_recent);
}

/* Requests `from` to `to`. */
static void ask(struct limited *limited, uint64_t from, uint64_t to,
                uint64_t (*key_of)(struct keys *keys, uint64_t at), struct keys *keys) {
    for (uint64_t at = from; at < to; at++) {
        int64_t now_ms = (int64_t)(at / REQUESTS_A_MS);
        char name[KEYS_NAME_BYTES];
        keys_write_name(name, key_of(keys, at));
        limited_ask(limited, bytes_of(name, sizeof(name)), VALUE_BYTES, now_ms);
        if (at % REQUESTS_A_MS == 0) duel_tend(&limited->duel, now_ms);
    }
    duel_validate(&limited->duel);
}

/* A window of half of what fits, that moves on by a key in four requests: what was counted long ago is never asked for
 * again. */
static uint64_t from_window(struct keys *keys, uint64_t at) {
    return at / 4 + keys_next(keys) % (FITS / 2);
}

/* Zipf, of ten times as many as fit. */
static uint64_t from_zipf(struct keys *keys, uint64_t at) {
    (void)at;
    return keys_next(keys);
}

static void whoever_hits_more_wins_and_may_lose_again(void **state) {
    (void)state;
    struct limited limited;
    init(&limited, EVICTION_ALLKEYS_ADAPTIVE, LIMIT);
    struct keys uniform, zipf;
    keys_init(&uniform, FITS / 2, 0, SEED);
    keys_init(&zipf, FITS * 10, 0.9, SEED);
    ask(&limited, 0, 1000000, from_window, &uniform);
    assert_true(prefers_recent(&limited));
    ask(&limited, 1000000, 3000000, from_zipf, &zipf);
    assert_false(prefers_recent(&limited));
    limited_release(&limited);
}

/* A lookup that this side would have hit and the other not: both have the key, until the other has let it go. */
static void win(struct limited *limited, enum duel_side side, uint64_t times) {
    struct simulation *simulation = &limited->duel.simulation;
    struct note note = {
        .bytes = VALUE_BYTES, .deadline_ms = ENTRY_NO_EXPIRY, .is_lookup = true, .is_there = true};
    for (uint64_t i = 0; i < times; i++) {
        if (population_find(&simulation->population, note.hash) == NULL)
            duel_note(&limited->duel, &note, 0);
        struct member *member = population_find(&simulation->population, note.hash);
        miniature_dismiss(&simulation->miniatures[1 - side], member, MISS_EVICTED);
        duel_note(&limited->duel, &note, 0);
    }
}

static void little_evidence_changes_nothing(void **state) {
    (void)state;
    struct limited limited;
    init(&limited, EVICTION_ALLKEYS_ADAPTIVE, LIMIT);
    win(&limited, DUEL_RECENCY, 4);
    assert_int_equal(limited.duel.wins[DUEL_RECENCY], 4);
    assert_false(prefers_recent(&limited));
    win(&limited, DUEL_RECENCY, 1);
    assert_true(prefers_recent(&limited));
    limited_release(&limited);
}

/* Of 200, 28 are twice the root: either side has to lead by more to win the others over. */
static void a_narrow_lead_changes_nothing(void **state) {
    (void)state;
    struct limited limited;
    init(&limited, EVICTION_ALLKEYS_ADAPTIVE, LIMIT);
    win(&limited, DUEL_FREQUENCY, 86);
    win(&limited, DUEL_RECENCY, 114);
    assert_false(prefers_recent(&limited));
    win(&limited, DUEL_RECENCY, 2);
    assert_true(prefers_recent(&limited));
    win(&limited, DUEL_FREQUENCY, 40);
    assert_true(prefers_recent(&limited));
    limited_release(&limited);
}

static void the_past_is_outweighed_by_the_present(void **state) {
    (void)state;
    struct limited limited;
    init(&limited, EVICTION_ALLKEYS_ADAPTIVE, LIMIT);
    win(&limited, DUEL_RECENCY, 100000);
    assert_true(prefers_recent(&limited));
    uint64_t wins = 0;
    while (prefers_recent(&limited)) {
        win(&limited, DUEL_FREQUENCY, 1);
        wins++;
    }
    assert_in_range(wins, 256, 600);
    limited_release(&limited);
}

/* All fits: nothing is missed that came before, so neither side can win. */
static void nothing_is_decided_where_all_fits(void **state) {
    (void)state;
    struct limited limited;
    init(&limited, EVICTION_ALLKEYS_ADAPTIVE, 16 * LIMIT);
    struct keys keys;
    keys_init(&keys, FITS, 0.9, SEED);
    ask(&limited, 0, 300000, from_zipf, &keys);
    assert_int_equal(limited.duel.wins[DUEL_RECENCY] + limited.duel.wins[DUEL_FREQUENCY], 0);
    assert_false(prefers_recent(&limited));
    limited_release(&limited);
}

static void set_rules(struct limited *limited, enum eviction_policy policy, int64_t limit_bytes) {
    atomic_store(&limited->shards.eviction.policy, policy);
    atomic_store(&limited->shards.eviction.limit_bytes, limit_bytes);
    duel_tend(&limited->duel, 1);
}

static void it_is_on_for_that_policy_and_a_limit_only(void **state) {
    (void)state;
    struct limited limited;
    size_t used_before = memory_used();
    init(&limited, EVICTION_ALLKEYS_LRU, LIMIT);
    assert_int_equal(duel_followed_below(&limited.duel), 0);
    set_rules(&limited, EVICTION_ALLKEYS_ADAPTIVE, 0);
    assert_int_equal(duel_followed_below(&limited.duel), 0);
    set_rules(&limited, EVICTION_ALLKEYS_ADAPTIVE, LIMIT);
    assert_int_not_equal(duel_followed_below(&limited.duel), 0);
    set_rules(&limited, EVICTION_ALLKEYS_LFU, LIMIT);
    assert_int_equal(duel_followed_below(&limited.duel), 0);
    limited_release(&limited);
    assert_int_equal(memory_used(), used_before);
}

/* Another limit, and an empty store, begin anew. */
static void what_was_learnt_goes_with_its_store(void **state) {
    (void)state;
    struct limited limited;
    init(&limited, EVICTION_ALLKEYS_ADAPTIVE, LIMIT);
    struct keys keys;
    keys_init(&keys, FITS / 2, 0, SEED);
    ask(&limited, 0, 1000000, from_window, &keys);
    assert_true(prefers_recent(&limited));
    set_rules(&limited, EVICTION_ALLKEYS_ADAPTIVE, 2 * LIMIT);
    assert_false(prefers_recent(&limited));
    assert_int_equal(limited.duel.simulation.population.count, 0);
    ask(&limited, 0, 1000, from_window, &keys);
    assert_int_not_equal(limited.duel.simulation.population.count, 0);
    duel_empty(&limited.duel, 1);
    assert_int_equal(limited.duel.simulation.population.count, 0);
    assert_int_not_equal(duel_followed_below(&limited.duel), 0);
    limited_release(&limited);
}

/* A store that grows: fewer of its keys are followed, and never more than there are places for. */
static void of_more_keys_fewer_are_followed(void **state) {
    (void)state;
    struct limited limited;
    init(&limited, EVICTION_ALLKEYS_ADAPTIVE, INT64_C(1) << 30);
    uint64_t below = duel_followed_below(&limited.duel);
    struct random random;
    random_init(&random, SEED);
    for (int64_t i = 0; i < 20000; i++) {
        struct note note = note_of_presence(&random, below, VALUE_BYTES);
        duel_note(&limited.duel, &note, i);
    }
    duel_validate(&limited.duel);
    const struct population *population = &limited.duel.simulation.population;
    assert_in_range(population->count, population->count_max / 4, population->count_max);
    assert_true(duel_followed_below(&limited.duel) <= below / 8);
    limited_release(&limited);
}

static void refused_memory_leaves_it_off(void **state) {
    (void)state;
    struct limited limited;
    init(&limited, EVICTION_ALLKEYS_LRU, LIMIT);
    atomic_store(&limited.shards.eviction.policy, EVICTION_ALLKEYS_ADAPTIVE);
    for (int64_t allowed = 0; allowed < 3; allowed++) {
        memory_refuse_after(allowed);
        duel_tend(&limited.duel, 1);
        memory_refuse_after(-1);
        assert_int_equal(duel_followed_below(&limited.duel), 0);
    }
    duel_tend(&limited.duel, 2);
    assert_int_not_equal(duel_followed_below(&limited.duel), 0);
    limited_release(&limited);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whoever_hits_more_wins_and_may_lose_again),
        cmocka_unit_test(little_evidence_changes_nothing),
        cmocka_unit_test(a_narrow_lead_changes_nothing),
        cmocka_unit_test(the_past_is_outweighed_by_the_present),
        cmocka_unit_test(nothing_is_decided_where_all_fits),
        cmocka_unit_test(it_is_on_for_that_policy_and_a_limit_only),
        cmocka_unit_test(what_was_learnt_goes_with_its_store),
        cmocka_unit_test(of_more_keys_fewer_are_followed),
        cmocka_unit_test(refused_memory_leaves_it_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
