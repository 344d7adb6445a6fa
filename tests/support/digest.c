#include "tests/support/digest.h"

#include "shards/base/check.h"
#include "shards/base/hash.h"
#include "shards/snapshot.h"

struct digesting {
    struct digest digest;
    int64_t soon_ms;
};

/* A sum, for they come in any order. */
static void add(void *context, const struct snapshot_entry *entry) {
    struct digesting *digesting = context;
    int64_t deadline_ms = entry->deadline_ms;
    if (deadline_ms != ENTRY_NO_EXPIRY && deadline_ms < digesting->soon_ms) return;
    uint64_t hash = hash_seeded(entry->value, hash_seeded(entry->key, entry->database));
    digesting->digest.sum += hash_seeded(bytes_of(&deadline_ms, sizeof deadline_ms), hash);
    digesting->digest.keys++;
}

struct digest digest_of(struct shards *shards, int64_t now_ms, int64_t soon_ms) {
    struct digesting digesting = {.soon_ms = soon_ms};
    struct snapshot snapshot;
    check(snapshot_begin(&snapshot, shards, now_ms) == STATUS_OK);
    while (snapshot_step(&snapshot, add, &digesting)) {
    }
    check(snapshot_end(&snapshot) == STATUS_OK);
    return digesting.digest;
}

void digest_empty(struct shards *shards) {
    check(shards_flush(shards, SHARDS_ALL_DATABASES) == STATUS_OK);
    for (uint32_t i = 0; i < shards->count; i++) {
        while (shards_upkeep(shards, i, 0, 1000)) {
        }
        shard_validate(&shards->shards[i]);
    }
}
