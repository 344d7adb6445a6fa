/* What a store holds, as a number: two that hold the same keys with the same values and deadlines have the same. */
#pragma once

#include <stdint.h>

#include "shards/shards.h"

struct digest {
    uint64_t keys, sum;
};

/* Leaves out what expires before `soon_ms`. No snapshot is under way. */
struct digest digest_of(struct shards *shards, int64_t now_ms, int64_t soon_ms);
/* Remove all there is, and what is left of it. */
void digest_empty(struct shards *shards);
