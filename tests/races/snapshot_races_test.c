/* Snapshots against writers, for the thread sanitizer: amounts move between accounts under both accounts'
 * locks, so at every instant they sum up to the same; a snapshot that isn't of one instant gives another sum.
 * Other keys come and go beside them, so that tables grow and shrink. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>

#include "shards/base/number.h"
#include "shards/base/random.h"
#include "shards/place.h"
#include "shards/shards.h"
#include "shards/snapshot.h"
#include "shards/types/string.h"

enum {
    WRITERS = 3,
    ACCOUNTS = 3000,
    AMOUNT = 1000,
    PASSERS = 6000, /* keys that come and go */
    SNAPSHOTS = 60,
    SHARDS = 4,
};

struct store {
    struct shards shards;
    _Atomic bool is_over;
};

struct writer {
    struct store *store;
    struct random random;
    uint64_t refused;
    pthread_t thread;
};

static struct bytes name_of(char text[32], const char *kind, uint64_t number) {
    return bytes_of(text, (size_t)snprintf(text, 32, "%s%u", kind, (unsigned)number));
}

static struct place place_of(struct shards *shards, struct bytes name) {
    struct place place = {.database = shards_of(shards, name)->databases[0],
                          .key = shards_key(shards, name),
                          .now_ms = 1};
    place.entry = database_find_for_write(place.database, &place.key, 1, NULL, NULL);
    return place;
}

static void move_amount(struct writer *writer) {
    struct shards *shards = &writer->store->shards;
    char text[2][32];
    uint64_t from = random_below(&writer->random, ACCOUNTS);
    uint64_t to = (from + 1 + random_below(&writer->random, ACCOUNTS - 1)) % ACCOUNTS;
    struct bytes names[2] = {name_of(text[0], "a", from), name_of(text[1], "a", to)};
    uint32_t indexes[2] = {router_shard(names[0], SHARDS)};
    uint32_t count = shards_insert(indexes, 1, router_shard(names[1], SHARDS));
    int64_t amount = (int64_t)random_below(&writer->random, 10), result;
    shards_lock(shards, indexes, count, true);
    struct place places[2] = {place_of(shards, names[0]), place_of(shards, names[1])};
    if (string_add(&places[0], -amount, &result) != STATUS_OK ||
        string_add(&places[1], amount, &result) != STATUS_OK) {
        writer->refused++;
    }
    shards_unlock(shards, indexes, count, true);
}

static void let_pass(struct writer *writer) {
    struct shards *shards = &writer->store->shards;
    char text[32];
    struct bytes name = name_of(text, "p", random_below(&writer->random, PASSERS));
    struct rwlock *lock = &shards_of(shards, name)->lock;
    rwlock_write_lock(lock);
    struct place place = place_of(shards, name);
    if (place.entry != NULL) {
        place_remove(&place);
    } else if (place_put(&place, &(struct entry_content){.value = name}, ENTRY_NO_EXPIRY) !=
               STATUS_OK) {
        writer->refused++;
    }
    rwlock_write_unlock(lock);
}

static void *write_on(void *argument) {
    struct writer *writer = argument;
    while (!atomic_load_explicit(&writer->store->is_over, memory_order_relaxed)) {
        move_amount(writer);
        let_pass(writer);
    }
    return NULL;
}

struct sum {
    int64_t amount;
    uint64_t accounts;
};

static void add(void *context, const struct snapshot_entry *entry) {
    struct sum *sum = context;
    int64_t amount;
    if (entry->key.data[0] != 'a' || !number_read(entry->value, &amount)) return;
    sum->amount += amount;
    sum->accounts++;
}

static void open_accounts(struct shards *shards) {
    for (uint64_t i = 0; i < ACCOUNTS; i++) {
        char text[32];
        int64_t result;
        struct place place = place_of(shards, name_of(text, "a", i));
        assert_int_equal(string_add(&place, AMOUNT, &result), STATUS_OK);
    }
}

static void every_snapshot_is_of_one_instant(void **state) {
    (void)state;
    struct store store = {.is_over = false};
    struct shards_options options = {.shard_count = SHARDS,
                                     .database_count = 1,
                                     .worker_count = 1,
                                     .seed = 5,
                                     .reserve_bytes = (size_t)64 << 20};
    assert_int_equal(shards_init(&store.shards, &options), STATUS_OK);
    open_accounts(&store.shards);
    struct writer writers[WRITERS];
    for (uint32_t i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.store = &store};
        random_init(&writers[i].random, i);
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_on, &writers[i]), 0);
    }
    size_t peak = 0;
    for (int i = 0; i < SNAPSHOTS; i++) {
        struct snapshot snapshot;
        struct sum sum = {0};
        assert_int_equal(snapshot_begin(&snapshot, &store.shards, 1), STATUS_OK);
        while (snapshot_step(&snapshot, add, &sum)) {
        }
        peak += snapshot.saved_bytes_peak;
        assert_int_equal(snapshot_end(&snapshot), STATUS_OK);
        assert_int_equal(sum.accounts, ACCOUNTS);
        assert_int_equal(sum.amount, (int64_t)ACCOUNTS * AMOUNT);
    }
    atomic_store_explicit(&store.is_over, true, memory_order_relaxed);
    for (uint32_t i = 0; i < WRITERS; i++) {
        assert_int_equal(pthread_join(writers[i].thread, NULL), 0);
        assert_int_equal(writers[i].refused, 0);
    }
    assert_true(peak > 0); /* writers were in the way at all */
    for (uint32_t i = 0; i < SHARDS; i++) {
        shard_validate(&store.shards.shards[i]);
    }
    shards_release(&store.shards);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_snapshot_is_of_one_instant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
