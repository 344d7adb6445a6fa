/* The store against the thread sanitizer: reads, writes, hints without a lock, flushes, swaps, scans, upkeep and
 * eviction by deadline, all at once. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "shards/base/random.h"
#include "shards/shards.h"

enum { THREADS = 6, ROUNDS = 50000, KEYS = 3000, SHARDS = 4, DATABASES = 3, VALUE_BYTES = 40 };

struct participant {
    struct shards *shards;
    uint32_t number;
    int64_t now_ms;
    struct random random;
    bool has_seen_halves; /* a value whose bytes differ */
    uint64_t visited;
    pthread_t thread;
};

struct request {
    char text[32];
    struct key key;
    struct shard *shard;
    uint32_t database;
};

static void request_draw(struct participant *participant, struct request *request) {
    uint64_t number = random_below(&participant->random, KEYS);
    int size = snprintf(request->text, sizeof(request->text), "key:%u", (unsigned)number);
    struct bytes name = bytes_of(request->text, (size_t)size);
    request->key = shards_key(participant->shards, name);
    request->shard = shards_of(participant->shards, name);
    request->database = (uint32_t)random_below(&participant->random, DATABASES);
}

/* As a worker does for a batch: hints first, without any lock. */
static void request_hint(const struct request *request) {
    const struct table *table = &request->shard->databases[request->database]->table;
    table_prefetch_bucket(table, request->key.hash);
    table_prefetch_entry(table, request->key.hash);
}

static void read_one(struct participant *participant, const struct request *request) {
    rwlock_read_lock(&request->shard->lock);
    const struct database *database = request->shard->databases[request->database];
    struct entry *entry = database_find(database, &request->key, participant->now_ms);
    if (entry != NULL) {
        struct bytes value = entry_value(entry);
        for (size_t i = 1; i < value.size; i++) {
            if (value.data[i] != value.data[0]) participant->has_seen_halves = true;
        }
        atomic_store_explicit(&entry->access, (uint32_t)value.size, memory_order_relaxed);
    } else {
        enum miss_reason reason = database_miss_reason(database, &request->key);
        struct misses *misses = misses_of_worker(&participant->shards->misses, participant->number);
        counters_add(&misses[request->database].by_reason[reason], 1);
    }
    rwlock_read_unlock(&request->shard->lock);
    struct counters *row = &counters_of_worker(&participant->shards->counters,
                                               participant->number)[request->shard->index];
    counters_add(entry != NULL ? &row->hits : &row->misses, 1);
    counters_add(&row->reads, 1);
}

static void write_one(struct participant *participant, const struct request *request) {
    char value[VALUE_BYTES];
    uint64_t draw = random_next(&participant->random);
    memset(value, (int)(draw % 256), sizeof(value));
    struct entry_content content = {.value = bytes_of(value, 1 + draw / 256 % VALUE_BYTES)};
    int64_t deadline_ms =
        draw % 3 == 0 ? participant->now_ms + (int64_t)(draw / 1024 % 500) : ENTRY_NO_EXPIRY;
    rwlock_write_lock(&request->shard->lock);
    struct database *database = request->shard->databases[request->database];
    struct entry *entry =
        database_find_for_write(database, &request->key, participant->now_ms, NULL, NULL);
    if (draw % 5 == 0) {
        if (entry != NULL) {
            database_remember_deleted(database, request->key.hash);
            database_remove(database, &request->key, entry, NULL);
        }
    } else if (database_put(database, &request->key, &entry, &content, deadline_ms, NULL) !=
               STATUS_OK) {
        participant->has_seen_halves = true;
    }
    rwlock_write_unlock(&request->shard->lock);
}

static void count_visit(void *context, struct entry *entry) {
    struct participant *participant = context;
    participant->visited += entry_key(entry).size;
}

/* Flushes are rare enough for databases to become large ones, which are detached. */
static void do_the_rare(struct participant *participant) {
    struct shards *shards = participant->shards;
    uint32_t database = (uint32_t)random_below(&participant->random, DATABASES);
    uint64_t what = random_below(&participant->random, 8000);
    if (what == 0) {
        if (shards_flush(shards, (int32_t)database) != STATUS_OK)
            participant->has_seen_halves = true;
    } else if (what == 1) {
        shards_swap(shards, database, (uint32_t)random_below(&participant->random, DATABASES));
    } else if (what == 2) {
        shards_random(shards, database, participant->now_ms, &participant->random, count_visit,
                      participant);
        participant->visited += shards_key_count(shards, database) + shards_footprint(shards);
    } else if (what < 1000) {
        shards_upkeep(shards, (uint32_t)random_below(&participant->random, SHARDS),
                      participant->now_ms, 64);
    } else if (what < 1400) {
        shards_scan(shards, database, random_next(&participant->random), participant->now_ms,
                    count_visit, participant);
    } else if (what < 1420) {
        eviction_look(&shards->eviction);
        shards_ease(shards, (uint32_t)random_below(&participant->random, SHARDS),
                    participant->now_ms, 4);
        participant->visited += shards_lateness(shards).total;
    }
}

static void *participate(void *argument) {
    struct participant *participant = argument;
    for (int round = 0; round < ROUNDS; round++) {
        struct request request;
        request_draw(participant, &request);
        request_hint(&request);
        if (random_below(&participant->random, 2) == 0) {
            read_one(participant, &request);
        } else {
            write_one(participant, &request);
        }
        do_the_rare(participant);
        if (round % 8 == 0) participant->now_ms++;
    }
    return NULL;
}

static void workers_that_do_everything_at_once_leave_a_sound_store(void **state) {
    (void)state;
    struct shards shards;
    struct shards_options options = {
        .shard_count = SHARDS,
        .database_count = DATABASES,
        .worker_count = THREADS,
        .seed = 5,
        .reserve_bytes = (size_t)64 << 20,
    };
    assert_int_equal(shards_init(&shards, &options), STATUS_OK);
    atomic_store(&shards.eviction.policy, EVICTION_VOLATILE_TTL);
    atomic_store(&shards.eviction.limit_bytes, 1); /* there is always too much */
    struct participant participants[THREADS];
    for (uint32_t i = 0; i < THREADS; i++) {
        participants[i] = (struct participant){.shards = &shards, .number = i, .now_ms = 1000};
        random_init(&participants[i].random, i);
        assert_int_equal(
            pthread_create(&participants[i].thread, NULL, participate, &participants[i]), 0);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(participants[i].thread, NULL), 0);
        assert_false(participants[i].has_seen_halves);
    }
    struct counters_sum sum = counters_sum_all(&shards.counters);
    assert_int_equal(sum.reads, sum.hits + sum.misses);
    assert_true(sum.hits > 0);
    struct misses_sum why = misses_sum_all(&shards.misses);
    uint64_t misses = 0;
    for (int reason = 0; reason < MISS_REASONS; reason++) {
        misses += why.by_reason[reason];
    }
    assert_int_equal(misses, sum.misses);
    assert_true(why.by_reason[MISS_EXPIRED] > 0 && why.by_reason[MISS_DELETED] > 0);
    assert_true(shards_lateness(&shards).total > 0);
    uint64_t evicted = 0;
    for (uint32_t i = 0; i < SHARDS; i++) {
        evicted += atomic_load(&shards.shards[i].eviction.evicted);
    }
    assert_true(evicted > 0);
    for (uint32_t i = 0; i < SHARDS; i++) {
        shard_validate(&shards.shards[i]);
    }
    shards_release(&shards);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_that_do_everything_at_once_leave_a_sound_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
