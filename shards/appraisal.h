/* What a cache of another size would hold, going by what this one does: for simulations (simulation.h) of it. */
#pragma once

#include <stdint.h>

#include "shards.h"

struct appraisal {
    int64_t full_bytes;   /* that a full cache uses */
    int64_t beside_bytes; /* of them neither entries nor what indexes them */
    double entries_share; /* of the rest: entries */
};

/* `own_bytes` in use are to be left out of account: the asker's. Takes each shard's lock in turn, for reading. */
struct appraisal appraise(struct shards *shards, int64_t limit_bytes, uint64_t own_bytes);
/* Bytes of entries in a full cache of so many times the size; at least 0. */
double appraisal_entries(const struct appraisal *appraisal, double times);
