#include "gathering.h"

#include "shard.h"

static uint32_t rounds_wanted(const struct shard *shard) {
    return atomic_load_explicit(&shard->eviction.rules->gatherings, memory_order_relaxed);
}

bool gathering_is_wanted(const struct shard *shard) {
    uint32_t done = atomic_load_explicit(&shard->gathering.rounds, memory_order_relaxed);
    return done != rounds_wanted(shard);
}

static void gather(void *context, struct entry *entry) {
    struct gathering *gathering = context;
    if (entry_gather(entry)) atomic_fetch_add_explicit(&gathering->moved, 1, memory_order_relaxed);
}

void gathering_step(struct shard *shard, uint32_t buckets) {
    struct gathering *gathering = &shard->gathering;
    for (; buckets > 0; buckets--) {
        if (gathering->database == 0 && gathering->bucket == 0)
            gathering->begun = rounds_wanted(shard);
        const struct table *table = &shard_database(shard, gathering->database)->table;
        gathering->bucket = table_sweep(table, gathering->bucket, gather, gathering);
        if (gathering->bucket != 0) continue;
        gathering->database = (gathering->database + 1) % shard->database_count;
        if (gathering->database != 0) continue;
        atomic_store_explicit(&gathering->rounds, gathering->begun, memory_order_relaxed);
        return;
    }
}
