/* Who is evicted, how much memory stays, and that nothing is lost by moving. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "shards/base/memory.h"
#include "shards/eviction_score.h"
#include "shards/place.h"
#include "shards/room.h"
#include "shards/shards.h"

enum { SHARDS = 4, DATABASES = 3, NOW_MS = 100000000, VICTIMS = 8, VALUE_MAX = 16384 };
static const int64_t LIMIT = 4 << 20;

struct fixture {
    struct shards shards;
    size_t base_bytes; /* counted before there were shards */
    int64_t now_ms;
};

static int set_up(void **state) {
    static struct fixture fixture;
    fixture = (struct fixture){.base_bytes = memory_used(), .now_ms = NOW_MS};
    struct shards_options options = {.shard_count = SHARDS,
                                     .database_count = DATABASES,
                                     .worker_count = 1,
                                     .seed = 5,
                                     .reserve_bytes = (size_t)256 << 20};
    if (shards_init(&fixture.shards, &options) != STATUS_OK) return -1;
    *state = &fixture;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    for (uint32_t i = 0; i < SHARDS; i++) {
        shard_validate(&fixture->shards.shards[i]);
    }
    shards_release(&fixture->shards);
    assert_int_equal(memory_used(), fixture->base_bytes);
    return 0;
}

static void set_rules(struct fixture *fixture, enum eviction_policy policy, int64_t limit) {
    atomic_store(&fixture->shards.eviction.policy, policy);
    atomic_store(&fixture->shards.eviction.limit_bytes, limit);
    eviction_look(&fixture->shards.eviction);
}

/* A key as text, its hash, its shard. */
struct named {
    char text[32];
    struct key key;
    struct shard *shard;
};

static void name(struct fixture *fixture, struct named *named, uint64_t number) {
    int size =
        snprintf(named->text, sizeof(named->text), "key:%012llu", (unsigned long long)number);
    named->key = shards_key(&fixture->shards, bytes_of(named->text, (size_t)size));
    named->shard = shards_of(&fixture->shards, named->key.name);
}

/* As a SET does: room first, in its shard or else in others. False: refused. */
static bool put(struct fixture *fixture, uint32_t database, uint64_t number, size_t size,
                int64_t deadline_ms) {
    static char data[VALUE_MAX];
    struct named named;
    name(fixture, &named, number);
    if (!room_make(named.shard, fixture->now_ms, VICTIMS, NULL) &&
        !shards_relieve(&fixture->shards, named.shard->index, fixture->now_ms, VICTIMS))
        return false;
    struct place place = {
        .database = named.shard->databases[database], .key = named.key, .now_ms = fixture->now_ms};
    place.entry = database_find_for_write(place.database, &place.key, fixture->now_ms, NULL, NULL);
    memset(data, (char)('a' + number % 26), size);
    struct entry_content content = {.value = bytes_of(data, size)};
    assert_int_equal(place_put(&place, &content, deadline_ms), STATUS_OK);
    return true;
}

static struct entry *find(struct fixture *fixture, uint32_t database, uint64_t number) {
    struct named named;
    name(fixture, &named, number);
    return database_find(named.shard->databases[database], &named.key, fixture->now_ms);
}

static bool get(struct fixture *fixture, uint64_t number) {
    struct entry *entry = find(fixture, 0, number);
    if (entry == NULL) return false;
    struct bytes value = entry_value(entry);
    for (size_t i = 0; i < value.size; i++) {
        assert_int_equal(value.data[i], (char)('a' + number % 26));
    }
    struct random random;
    random_init(&random, number);
    eviction_touch(&fixture->shards.eviction, entry, fixture->now_ms, &random);
    return true;
}

static uint64_t evicted(const struct fixture *fixture) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < SHARDS; i++) {
        sum += atomic_load(&fixture->shards.shards[i].eviction.evicted);
    }
    return sum;
}

/* Large databases are freed bit by bit: until then their memory is in use, and nobody is there to be evicted. */
static void what_was_flushed_gives_room(void **state) {
    static const enum eviction_policy policies[] = {EVICTION_NONE, EVICTION_ALLKEYS_LRU};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++) {
        set_rules(fixture, policies[i], 0);
        for (uint64_t j = 0; j < 30000; j++) {
            assert_true(put(fixture, 0, j, 64, ENTRY_NO_EXPIRY));
        }
        assert_int_equal(shards_flush(&fixture->shards, 0), STATUS_OK);
        set_rules(fixture, policies[i], (int64_t)memory_used() / 2);
        assert_false(room_make(&fixture->shards.shards[0], fixture->now_ms, VICTIMS, NULL));
        size_t before = memory_used();
        while (shards_relieve(&fixture->shards, 0, fixture->now_ms, VICTIMS) &&
               memory_used() > before / 2) {
            /* some of it went */
        }
        assert_in_range(memory_used(), 0, before / 2);
        assert_true(put(fixture, 0, 1, 64, ENTRY_NO_EXPIRY));
    }
}

static unsigned count_present(struct fixture *fixture, uint64_t first, uint64_t end) {
    unsigned present = 0;
    for (uint64_t i = first; i < end; i++) {
        present += find(fixture, 0, i) != NULL;
    }
    return present;
}

/* ---- The limit ------------------------------------------------------------------------------- */

static void memory_stays_within_the_limit_under_every_policy_that_evicts_all(void **state) {
    struct fixture *fixture = *state;
    for (int policy = EVICTION_ALLKEYS_LRU; policy < EVICTION_POLICIES; policy++) {
        set_rules(fixture, (enum eviction_policy)policy, LIMIT);
        uint64_t before = evicted(fixture);
        for (uint64_t i = 0; i < 100000; i++) {
            fixture->now_ms++;
            assert_true(put(fixture, 0, i + (uint64_t)policy * 1000000, 64, ENTRY_NO_EXPIRY));
            assert_true((int64_t)memory_used() < LIMIT + LIMIT / 50);
        }
        assert_true(evicted(fixture) - before > 20000);
        assert_true(shards_key_count(&fixture->shards, 0) > 30000);
    }
}

/* The load that fragments: most of what was there in one size goes for another. */
static void memory_stays_within_the_limit_when_sizes_shift(void **state) {
    struct fixture *fixture = *state;
    static const size_t SIZES[] = {64, 1000, 8192, 64, 300, 2000, 16, 8192, 64};
    const int64_t limit = LIMIT * 2;
    set_rules(fixture, EVICTION_ALLKEYS_LRU, limit);
    uint64_t number = 0;
    for (size_t i = 0; i < sizeof(SIZES) / sizeof(SIZES[0]); i++) {
        for (size_t written = 0; written < (size_t)limit * 3; written += SIZES[i] + 100) {
            fixture->now_ms++;
            assert_true(put(fixture, 0, number++, SIZES[i], ENTRY_NO_EXPIRY));
            assert_true((int64_t)memory_used() < limit + limit / 20);
        }
        size_t held = (size_t)shards_key_count(&fixture->shards, 0) * (SIZES[i] + 20);
        assert_true(held > (size_t)limit / 2); /* and it isn't kept by throwing nearly all away */
        for (uint32_t j = 0; j < SHARDS; j++) {
            shard_validate(&fixture->shards.shards[j]);
        }
    }
    assert_true(atomic_load(&fixture->shards.shards[0].room.moved) > 0);
}

static void sizes_of_all_kinds_mixed_stay_within_the_limit(void **state) {
    struct fixture *fixture = *state;
    struct random random;
    random_init(&random, 7);
    set_rules(fixture, EVICTION_ALLKEYS_ADAPTIVE, LIMIT * 2);
    for (uint64_t i = 0; i < 100000; i++) {
        fixture->now_ms++;
        uint64_t number = random_below(&random, 20000);
        int64_t deadline_ms =
            random_below(&random, 3) == 0 ? fixture->now_ms + 50000 : ENTRY_NO_EXPIRY;
        if (get(fixture, number)) continue;
        assert_true(put(fixture, 0, number, random_below(&random, 4000), deadline_ms));
        assert_true((int64_t)memory_used() < LIMIT * 2 + LIMIT / 10);
    }
}

/* A limit is lowered to LIMIT with more than twice as much in use. */
static void lower(struct fixture *fixture, int64_t grace) {
    set_rules(fixture, EVICTION_ALLKEYS_LRU, LIMIT * 4);
    for (uint64_t i = 0; i < 120000; i++) {
        assert_true(put(fixture, 0, i, 64, ENTRY_NO_EXPIRY));
    }
    assert_true((int64_t)memory_used() > LIMIT * 2);
    atomic_store(&fixture->shards.eviction.grace_bytes, grace);
    set_rules(fixture, EVICTION_ALLKEYS_LRU, LIMIT);
}

/* A step of upkeep in each shard, none of which evicts more than it should. True when more is left. */
static bool ease_all(struct fixture *fixture) {
    bool more = false;
    for (uint32_t i = 0; i < SHARDS; i++) {
        uint64_t before = evicted(fixture);
        more |= shards_ease(&fixture->shards, i, fixture->now_ms, VICTIMS);
        assert_true(evicted(fixture) - before <= VICTIMS);
    }
    eviction_look(&fixture->shards.eviction);
    return more;
}

static void a_lowered_limit_is_reached_in_bounded_steps(void **state) {
    struct fixture *fixture = *state;
    lower(fixture, 0);
    int steps = 0;
    while (ease_all(fixture)) {
        assert_true(++steps < 100000);
    }
    assert_true(steps > 100);
    assert_true((int64_t)memory_used() <= LIMIT);
    assert_true(shards_key_count(&fixture->shards, 0) > 20000);
}

/* At once each write would evict some hundred keys, until what is in use is below it. */
static void writes_do_not_pay_for_a_limit_that_is_lowered_by_and_by(void **state) {
    struct fixture *fixture = *state;
    lower(fixture, LIMIT * 4);
    struct eviction_rules *rules = &fixture->shards.eviction;
    uint64_t next = 1000000, paid = 0, writes = 0;
    for (int turn = 0; room_glide(rules) || atomic_load(&rules->grace_bytes) != 0; turn++) {
        assert_true(turn < 100000);
        for (int i = 0; i < 4; i++, writes++) {
            uint64_t before = evicted(fixture);
            bool pays = atomic_load(&rules->grace_bytes) != 0;
            assert_true(put(fixture, 0, next++, 64, ENTRY_NO_EXPIRY));
            if (pays) assert_true(evicted(fixture) - before <= VICTIMS);
            paid += evicted(fixture) - before;
        }
        ease_all(fixture);
    }
    while (ease_all(fixture)) {
        /* what was left to the limit as it is always kept */
    }
    assert_true((int64_t)memory_used() <= LIMIT + LIMIT / 50);
    assert_true(writes > 100);
    assert_true(paid < evicted(fixture));
}

static void without_eviction_writes_are_refused_until_room_is_made(void **state) {
    struct fixture *fixture = *state;
    set_rules(fixture, EVICTION_NONE, LIMIT);
    uint64_t count = 0;
    while (put(fixture, 0, count, 64, ENTRY_NO_EXPIRY)) {
        count++;
    }
    assert_true((int64_t)memory_used() < LIMIT + LIMIT / 50);
    assert_false(shards_relieve(&fixture->shards, 0, fixture->now_ms, VICTIMS));
    assert_int_equal(evicted(fixture), 0);
    assert_int_equal(count_present(fixture, 0, count), count);
    for (uint64_t i = 0; i < count; i += 2) {
        struct named named;
        name(fixture, &named, i);
        struct database *database = named.shard->databases[0];
        database_remove(database, &named.key, find(fixture, 0, i), NULL);
    }
    for (uint64_t i = 0; i < count / 4; i++) {
        assert_true(put(fixture, 0, count + i, 64, ENTRY_NO_EXPIRY));
    }
    assert_true((int64_t)memory_used() < LIMIT + LIMIT / 50);
}

static void a_shard_with_nobody_to_evict_is_relieved_by_others(void **state) {
    struct fixture *fixture = *state;
    set_rules(fixture, EVICTION_ALLKEYS_LRU, LIMIT);
    struct shard *poor = &fixture->shards.shards[0];
    uint64_t number = 0;
    struct named named;
    while (memory_used() < (size_t)LIMIT + VALUE_MAX) {
        name(fixture, &named, ++number);
        if (named.shard == poor) continue;
        set_rules(fixture, EVICTION_ALLKEYS_LRU, 0);
        assert_true(put(fixture, 0, number, 8000, ENTRY_NO_EXPIRY));
    }
    set_rules(fixture, EVICTION_ALLKEYS_LRU, LIMIT);
    assert_false(room_make(poor, fixture->now_ms, VICTIMS, NULL));
    assert_true(shards_relieve(&fixture->shards, 0, fixture->now_ms, VICTIMS));
    assert_true(evicted(fixture) > 0);
}

/* The write that asks found it past the limit; others freed some since. Whether anybody may go doesn't matter then. */
static void memory_that_is_within_its_limit_meanwhile_is_relief(void **state) {
    struct fixture *fixture = *state;
    static const enum eviction_policy policies[] = {EVICTION_NONE, EVICTION_VOLATILE_LRU};
    for (uint64_t i = 0; i < 10000; i++) {
        assert_true(put(fixture, 0, i, 64, ENTRY_NO_EXPIRY));
    }
    for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
        set_rules(fixture, policies[i], (int64_t)memory_used() + 1);
        assert_true(room_is_short(&fixture->shards.eviction));
        assert_true(shards_relieve(&fixture->shards, 0, fixture->now_ms, VICTIMS));
        set_rules(fixture, policies[i], (int64_t)memory_used() - 1);
        assert_false(shards_relieve(&fixture->shards, 0, fixture->now_ms, VICTIMS));
    }
    assert_int_equal(evicted(fixture), 0);
}

/* ---- Volatile policies ----------------------------------------------------------------------- */

static void only_keys_with_a_deadline_go_under_volatile_policies(void **state) {
    struct fixture *fixture = *state;
    for (int policy = EVICTION_VOLATILE_LRU; policy <= EVICTION_VOLATILE_TTL; policy++) {
        set_rules(fixture, (enum eviction_policy)policy, 0);
        uint64_t first = (uint64_t)policy * 1000000;
        for (uint64_t i = 0; i < 4000; i++) {
            assert_true(put(fixture, 0, first + i, 64, ENTRY_NO_EXPIRY));
        }
        set_rules(fixture, (enum eviction_policy)policy, (int64_t)memory_used() + LIMIT / 2);
        uint64_t before = evicted(fixture);
        for (uint64_t i = 10000; i < 60000; i++) {
            int64_t deadline_ms = fixture->now_ms + 1000000 + (int64_t)i;
            assert_true(put(fixture, 0, first + i, 64, deadline_ms));
        }
        assert_true(evicted(fixture) - before > 10000);
        assert_int_equal(count_present(fixture, first, first + 4000), 4000);
    }
}

static void few_keys_with_a_deadline_among_many_are_found(void **state) {
    struct fixture *fixture = *state;
    set_rules(fixture, EVICTION_VOLATILE_LRU, 0);
    for (uint64_t i = 0; i < 60000; i++) {
        int64_t deadline_ms = i % 6000 == 0 ? fixture->now_ms + 100000 : ENTRY_NO_EXPIRY;
        assert_true(put(fixture, 0, i, 64, deadline_ms));
    }
    for (uint32_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &fixture->shards.shards[i];
        uint64_t deadlines = database_deadline_count(shard->databases[0]);
        for (; deadlines > 0; deadlines--) {
            struct eviction_candidate victim;
            assert_true(eviction_choose(&shard->eviction, shard->databases, DATABASES,
                                        fixture->now_ms, &victim));
            struct entry *entry = slabs_at(&shard->slabs, victim.reference);
            assert_true(entry_has_expiry(entry));
            struct key key = {entry_key(entry), victim.hash};
            database_remove(shard->databases[0], &key, entry, NULL);
        }
        struct eviction_candidate victim;
        assert_false(eviction_choose(&shard->eviction, shard->databases, DATABASES, fixture->now_ms,
                                     &victim));
    }
}

/* Of the shard's keys, in two databases, half go: how many of them were of the sooner half? */
static unsigned count_sooner_evicted(struct fixture *fixture, int64_t step_ms) {
    enum { KEYS = 2000 };
    int64_t begin_ms = fixture->now_ms + 1000;
    for (uint64_t i = 0; i < KEYS; i++) {
        int64_t deadline_ms = begin_ms + step_ms * (int64_t)(i * 389 % KEYS);
        assert_true(put(fixture, (uint32_t)(i % 2), i, 64, deadline_ms));
    }
    struct shard *shard = &fixture->shards.shards[1];
    uint64_t keys =
        database_key_count(shard->databases[0]) + database_key_count(shard->databases[1]);
    unsigned sooner = 0;
    for (uint64_t i = 0; i < keys / 2; i++) {
        struct eviction_candidate victim;
        assert_true(eviction_choose(&shard->eviction, shard->databases, DATABASES, fixture->now_ms,
                                    &victim));
        struct entry *entry = slabs_at(&shard->slabs, victim.reference);
        sooner += entry_deadline_ms(entry) < begin_ms + step_ms * KEYS / 2;
        struct key key = {entry_key(entry), victim.hash};
        database_remove(shard->databases[victim.database], &key, entry, NULL);
    }
    return (unsigned)(sooner * 100 / (keys / 2));
}

static void under_volatile_ttl_the_soonest_go_first(void **state) {
    struct fixture *fixture = *state;
    set_rules(fixture, EVICTION_VOLATILE_TTL, 0);
    static const int64_t STEPS_MS[] = {1, 100, 10000, 1000000};
    for (size_t i = 0; i < sizeof(STEPS_MS) / sizeof(STEPS_MS[0]); i++) {
        assert_true(count_sooner_evicted(fixture, STEPS_MS[i]) >= 90);
    }
}

/* ---- Which ----------------------------------------------------------------------------------- */

static void fill(struct fixture *fixture, enum eviction_policy policy, uint64_t keys) {
    set_rules(fixture, policy, 0);
    for (uint64_t i = 0; i < keys; i++) {
        fixture->now_ms += 10;
        assert_true(put(fixture, 0, i, 64, ENTRY_NO_EXPIRY));
    }
}

static void evict_from_all(struct fixture *fixture, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        struct shard *shard = &fixture->shards.shards[i % SHARDS];
        struct eviction_candidate victim;
        assert_true(eviction_choose(&shard->eviction, shard->databases, DATABASES, fixture->now_ms,
                                    &victim));
        struct entry *entry = slabs_at(&shard->slabs, victim.reference);
        eviction_dismiss(&shard->eviction, shard->databases, &victim);
        struct key key = {entry_key(entry), victim.hash};
        database_remove(shard->databases[victim.database], &key, entry, NULL);
    }
}

static void under_lru_those_that_were_used_long_ago_go(void **state) {
    struct fixture *fixture = *state;
    fill(fixture, EVICTION_ALLKEYS_LRU, 10000);
    for (uint64_t i = 0; i < 5000; i++) {
        assert_true(get(fixture, i)); /* the older half is the fresher one now */
    }
    evict_from_all(fixture, 4000);
    assert_true(count_present(fixture, 0, 5000) > 4950);
    assert_true(count_present(fixture, 5000, 10000) < 1050);
}

static void under_lfu_those_that_were_used_seldom_go(void **state) {
    struct fixture *fixture = *state;
    fill(fixture, EVICTION_ALLKEYS_LFU, 10000);
    for (int round = 0; round < 60; round++) {
        for (uint64_t i = 0; i < 5000; i++) {
            assert_true(get(fixture, i));
        }
    }
    evict_from_all(fixture, 4000);
    assert_true(count_present(fixture, 0, 5000) > 4950);
}

static void under_adaptive_a_scan_does_not_push_out_what_is_used(void **state) {
    struct fixture *fixture = *state;
    fill(fixture, EVICTION_ALLKEYS_ADAPTIVE, 5000);
    for (uint64_t i = 0; i < 5000; i++) {
        assert_true(get(fixture, i));
    }
    for (uint64_t i = 10000; i < 60000; i++) {
        fixture->now_ms++;
        assert_true(put(fixture, 0, i, 64, ENTRY_NO_EXPIRY));
        if (i >= 15000 && i % SHARDS == 0) evict_from_all(fixture, SHARDS);
    }
    assert_true(count_present(fixture, 0, 5000) > 4900);
}

/* As many of 64 bytes as of 1000, by turns: the even ones are small. */
static void fill_with_two_sizes(struct fixture *fixture, uint64_t keys) {
    set_rules(fixture, EVICTION_ALLKEYS_ADAPTIVE, 0);
    for (uint64_t i = 0; i < keys; i++) {
        assert_true(put(fixture, 0, i, i % 2 == 0 ? 64 : 1000, ENTRY_NO_EXPIRY));
    }
    fixture->now_ms += 10000;
}

static uint64_t count_present_of_every_other(struct fixture *fixture, uint64_t first,
                                             uint64_t end) {
    uint64_t count = 0;
    for (uint64_t i = first; i < end; i += 2) {
        count += find(fixture, 0, i) != NULL;
    }
    return count;
}

static void under_adaptive_the_larger_go_first_among_equals(void **state) {
    struct fixture *fixture = *state;
    fill_with_two_sizes(fixture, 4000);
    evict_from_all(fixture, 1000);
    assert_true(count_present_of_every_other(fixture, 0, 4000) > 1900);
    assert_true(count_present_of_every_other(fixture, 1, 4000) < 1100);
}

static void under_adaptive_the_larger_stay_when_they_are_used_more(void **state) {
    struct fixture *fixture = *state;
    fill_with_two_sizes(fixture, 4000);
    for (int round = 0; round < 8; round++) {
        for (uint64_t i = 1; i < 4000; i += 2) {
            assert_true(get(fixture, i));
        }
    }
    fixture->now_ms += 1000;
    evict_from_all(fixture, 1000);
    assert_true(count_present_of_every_other(fixture, 0, 4000) < 1100);
    assert_true(count_present_of_every_other(fixture, 1, 4000) > 1900);
}

/* Of the same size, used as often: those that came last are strangers. */
static void under_adaptive_the_newest_go_first_among_equals(void **state) {
    struct fixture *fixture = *state;
    fill(fixture, EVICTION_ALLKEYS_ADAPTIVE, 2000);
    fixture->now_ms += 100000;
    for (uint64_t i = 2000; i < 4000; i++) {
        assert_true(put(fixture, 0, i, 64, ENTRY_NO_EXPIRY));
    }
    fixture->now_ms += 1000;
    evict_from_all(fixture, 1000);
    assert_true(count_present(fixture, 0, 2000) > 1900);
}

static void an_expired_key_that_comes_back_goes_on_counting(void **state) {
    struct fixture *fixture = *state;
    set_rules(fixture, EVICTION_ALLKEYS_ADAPTIVE, 0);
    assert_true(put(fixture, 0, 17, 64, fixture->now_ms + 1000));
    assert_true(get(fixture, 17));
    assert_true(get(fixture, 17));
    fixture->now_ms += 1000;
    assert_true(put(fixture, 0, 17, 64, ENTRY_NO_EXPIRY));
    assert_int_equal(atomic_load(&find(fixture, 0, 17)->access) & 15, 3);
}

static void a_key_that_comes_back_goes_on_counting(void **state) {
    struct fixture *fixture = *state;
    fill(fixture, EVICTION_ALLKEYS_ADAPTIVE, 4000);
    struct named named;
    name(fixture, &named, 17);
    struct departure departure = {
        .hash = named.key.hash, .keys = 4000 / SHARDS, .reason = MISS_EVICTED, .uses = 6};
    ghost_remember(&named.shard->eviction.ghost, &departure);
    struct entry *entry = find(fixture, 0, 17);
    if (entry != NULL) database_remove(named.shard->databases[0], &named.key, entry, NULL);
    assert_true(put(fixture, 0, 17, 64, ENTRY_NO_EXPIRY));
    assert_int_equal(atomic_load(&find(fixture, 0, 17)->access) & 15, 7);
}

static void keys_of_every_database_may_go(void **state) {
    struct fixture *fixture = *state;
    set_rules(fixture, EVICTION_ALLKEYS_RANDOM, 0);
    for (uint64_t i = 0; i < 900; i++) {
        assert_true(put(fixture, (uint32_t)(i % DATABASES), i, 64, ENTRY_NO_EXPIRY));
    }
    uint64_t keys[SHARDS] = {0};
    for (uint32_t i = 0; i < SHARDS; i++) {
        for (uint32_t j = 0; j < DATABASES; j++) {
            keys[i] += database_key_count(fixture->shards.shards[i].databases[j]);
        }
        for (struct shard *shard = &fixture->shards.shards[i]; keys[i] > 0; keys[i]--) {
            struct eviction_candidate victim;
            assert_true(eviction_choose(&shard->eviction, shard->databases, DATABASES,
                                        fixture->now_ms, &victim));
            struct entry *entry = slabs_at(&shard->slabs, victim.reference);
            struct key key = {entry_key(entry), victim.hash};
            database_remove(shard->databases[victim.database], &key, entry, NULL);
        }
    }
}

/* ---- Counting -------------------------------------------------------------------------------- */

static void lfu_counts_grow_by_logarithm_and_are_lost_by_the_minute(void **state) {
    struct fixture *fixture = *state;
    fill(fixture, EVICTION_ALLKEYS_LFU, 1);
    struct eviction_rules *rules = &fixture->shards.eviction;
    struct entry *entry = find(fixture, 0, 0);
    struct random random;
    random_init(&random, 3);
    assert_int_equal(eviction_frequency(rules, entry, fixture->now_ms), 5);
    for (int i = 0; i < 1000; i++) {
        eviction_touch(rules, entry, fixture->now_ms, &random);
    }
    uint32_t count = eviction_frequency(rules, entry, fixture->now_ms);
    assert_in_range(count, 14, 24); /* Redis's table says 18 after 1000 hits, at factor 10 */
    assert_int_equal(eviction_frequency(rules, entry, fixture->now_ms + 3 * 60000), count - 3);
    atomic_store(&rules->lfu_decay_minutes, 0);
    assert_int_equal(eviction_frequency(rules, entry, fixture->now_ms + 3 * 60000), count);
    atomic_store(&rules->lfu_decay_minutes, 1);
    assert_int_equal(eviction_frequency(rules, entry, fixture->now_ms + 1000 * 60000), 0);
}

/* Workers read their clocks a turn apart, and the system's may be set back. */
static void who_was_used_in_the_future_was_used_now(void **state) {
    struct fixture *fixture = *state;
    struct eviction_rules *rules = &fixture->shards.eviction;
    struct random random;
    random_init(&random, 3);
    static const int ahead_ms[] = {4, 70, 1500, 3600 * 1000};
    for (size_t i = 0; i < sizeof(ahead_ms) / sizeof(ahead_ms[0]); i++) {
        int64_t now_ms = fixture->now_ms, then_ms = now_ms + ahead_ms[i];
        struct eviction_view view = {rules, now_ms, true};
        uint32_t stamp = eviction_stamp(then_ms);
        assert_int_equal(eviction_idle_s(now_ms, stamp), 0);
        struct eviction_subject ahead = {.access = stamp},
                                present = {.access = eviction_stamp(now_ms)};
        struct eviction_subject before = {.access = eviction_stamp(now_ms - 2000)};
        assert_true(eviction_score_recent(&view, &ahead) <= eviction_score_recent(&view, &present));
        assert_true(eviction_score_adaptive(&view, &ahead) <
                    eviction_score_adaptive(&view, &before));
        fill(fixture, EVICTION_ALLKEYS_LFU, 1);
        struct entry *entry = find(fixture, 0, 0);
        for (int j = 0; j < 1000; j++) {
            eviction_touch(rules, entry, then_ms, &random);
        }
        uint32_t count = eviction_frequency(rules, entry, then_ms);
        assert_int_equal(eviction_frequency(rules, entry, now_ms), count);
        eviction_touch(rules, entry, now_ms, &random);
        assert_true(eviction_frequency(rules, entry, now_ms) >= count);
    }
}

static void every_policy_keeps_the_second_of_the_last_use(void **state) {
    struct fixture *fixture = *state;
    for (int policy = EVICTION_NONE; policy < EVICTION_POLICIES; policy++) {
        fill(fixture, (enum eviction_policy)policy, 1);
        fixture->now_ms += 12345;
        assert_true(get(fixture, 0));
        uint32_t seconds = atomic_load(&find(fixture, 0, 0)->access) >> 8;
        assert_int_equal(seconds, fixture->now_ms / 1000 & 0xffffff);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(memory_stays_within_the_limit_under_every_policy_that_evicts_all),
        TEST(memory_stays_within_the_limit_when_sizes_shift),
        TEST(what_was_flushed_gives_room),
        TEST(sizes_of_all_kinds_mixed_stay_within_the_limit),
        TEST(a_lowered_limit_is_reached_in_bounded_steps),
        TEST(writes_do_not_pay_for_a_limit_that_is_lowered_by_and_by),
        TEST(without_eviction_writes_are_refused_until_room_is_made),
        TEST(a_shard_with_nobody_to_evict_is_relieved_by_others),
        TEST(memory_that_is_within_its_limit_meanwhile_is_relief),
        TEST(only_keys_with_a_deadline_go_under_volatile_policies),
        TEST(few_keys_with_a_deadline_among_many_are_found),
        TEST(under_volatile_ttl_the_soonest_go_first),
        TEST(under_lru_those_that_were_used_long_ago_go),
        TEST(under_lfu_those_that_were_used_seldom_go),
        TEST(under_adaptive_a_scan_does_not_push_out_what_is_used),
        TEST(under_adaptive_the_larger_go_first_among_equals),
        TEST(under_adaptive_the_larger_stay_when_they_are_used_more),
        TEST(under_adaptive_the_newest_go_first_among_equals),
        TEST(an_expired_key_that_comes_back_goes_on_counting),
        TEST(a_key_that_comes_back_goes_on_counting),
        TEST(keys_of_every_database_may_go),
        TEST(lfu_counts_grow_by_logarithm_and_are_lost_by_the_minute),
        TEST(who_was_used_in_the_future_was_used_now),
        TEST(every_policy_keeps_the_second_of_the_last_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
