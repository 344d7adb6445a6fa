/* At today's limit it is, once that is reached, what is really there: what is in use beside entries (workers, buffers,
 * half empty slabs; not the asker itself, which is to go again) is taken as it is now, for any size; what indexes them
 * grows with them. */
#include "appraisal.h"

enum {
    MARGIN_DIVISOR = 128, /* of the limit: a full cache stays so much below it, as in room.c */
    GHOST_BYTES = 2,
};

/* What the shards hold, in bytes. */
struct holdings {
    int64_t entries, index; /* entries with their slots; buckets and ghosts, which grow with them */
};

static struct holdings holdings_of(struct shards *shards) {
    struct holdings sum = {0};
    for (uint32_t i = 0; i < shards->count; i++) {
        struct shard *shard = &shards->shards[i];
        rwlock_read_lock(&shard->lock);
        size_t entries = (size_t)(shard->slabs.resident_bytes + shard->slabs.outside_bytes);
        sum.entries += (int64_t)(shard->slabs.used_bytes + shard->slabs.outside_bytes);
        sum.index += (int64_t)(shard_footprint(shard) - entries) +
                     (int64_t)ghost_places(&shard->eviction.ghost) * GHOST_BYTES;
        rwlock_read_unlock(&shard->lock);
    }
    return sum;
}

struct appraisal appraise(struct shards *shards, int64_t limit_bytes, uint64_t own_bytes) {
    struct holdings held = holdings_of(shards);
    eviction_look(&shards->eviction);
    int64_t used = atomic_load_explicit(&shards->eviction.used_bytes, memory_order_relaxed);
    int64_t full = limit_bytes - limit_bytes / MARGIN_DIVISOR;
    int64_t both = held.entries + held.index;
    return (struct appraisal){
        .full_bytes = used > full ? used : full,
        .beside_bytes = used - both - (int64_t)own_bytes,
        .entries_share = held.entries > 0 ? (double)held.entries / (double)both : 1,
    };
}

double appraisal_entries(const struct appraisal *appraisal, double times) {
    double rest = (double)appraisal->full_bytes * times - (double)appraisal->beside_bytes;
    return rest > 0 ? rest * appraisal->entries_share : 0;
}
