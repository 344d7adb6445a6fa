/* What a shard has done and how long its lock was waited for and held: of SHARDS and INFO. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "shards/base/rwlock.h"
#include "shards/counters.h"

struct server;

struct shard_report {
    uint64_t keys;
    size_t bytes;
    struct counters_sum counters;
    struct rwlock_profile lock;
    uint64_t longest_hold_us;
    const char *longest_hold_by; /* a command's name, "upkeep", or "" */
};

/* Takes the shard's lock for reading. Any thread that holds none. */
struct shard_report shard_report(struct server *server, uint32_t index);
