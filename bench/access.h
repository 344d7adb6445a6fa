/* A worker's way to a key, without a client: route, hash, lock, find or put, count, as server/dispatch.c
 * and call.c do. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bench/holds.h"
#include "shards/base/bytes.h"
#include "shards/shards.h"

/* One thread's. */
struct access {
    struct shards *shards;
    struct counters *counters; /* its rows */
    int64_t now_ms;
    struct random random;
    char *reply; /* where GET copies values to, as a reply would */
};

/* A key on its way; `name` outlives it. */
struct access_key {
    struct key key;
    struct shard *shard;
};

/* Route and hash. */
struct access_key access_route(const struct access *access, struct bytes name);
/* The two prefetching passes over a batch; see dispatch.c. */
void access_prefetch_bucket(const struct access_key *at);
void access_prefetch_entry(const struct access_key *at);
/* GET: false when absent. */
bool access_get(struct access *access, const struct access_key *at);
/* SET: anything but STATUS_OK is a full shard or memory refused. */
must_use enum status access_set(struct access *access, const struct access_key *at,
                                struct bytes value);
/* The same until then: ENTRY_NO_EXPIRY, or Unix time in milliseconds. */
must_use enum status access_set_until(struct access *access, const struct access_key *at,
                                      struct bytes value, int64_t deadline_ms);
/* SET, telling how long the shard was held. */
must_use enum status access_set_timed(struct access *access, const struct access_key *at,
                                      struct bytes value, struct hold *hold);
/* DEL: false when absent. */
bool access_remove(struct access *access, const struct access_key *at);
