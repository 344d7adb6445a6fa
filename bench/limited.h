/* The shards in process as a cache at a memory limit: GET, and on a miss SET. One thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "shards/curve.h"
#include "shards/duel.h"
#include "shards/shards.h"

struct limited_options {
    enum eviction_policy policy;
    int64_t limit_bytes;
    uint32_t shard_count;
    size_t value_bytes; /* of every value, unless asked for with another */
    uint64_t seed;
};

struct limited {
    struct shards shards;
    struct curve curve; /* off, until somebody starts it */
    struct duel duel;   /* off, too, until it is tended (duel_tend) */
    struct random random;
    struct counters *counters;
    char *value;
    size_t value_bytes;
};

void limited_init(struct limited *limited, const struct limited_options *options);
void limited_release(struct limited *limited);
/* Was it there? It is now, with a value of `value_bytes`, at most the options'. */
bool limited_ask(struct limited *limited, struct bytes name, size_t value_bytes, int64_t now_ms);
