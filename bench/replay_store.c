/* Nothing is evicted here: the store in process has no limit, so every key misses once, and the hit ratio is that of an
 * unbounded cache, the ceiling for any policy. For a bounded one, replay against a server. */
#include <stdio.h>
#include <stdlib.h>

#include "bench/access.h"
#include "bench/replay.h"
#include "server/clock.h"
#include "shards/base/memory.h"

struct replay_store {
    struct shards shards;
    struct access access;
};

static bool store_init(struct replay_store *store) {
    *store = (struct replay_store){0};
    struct shards_options shape = {
        .shard_count = 1, .database_count = 1, .worker_count = 1, .seed = 1};
    char *reply = malloc(TRACE_VALUE_MAX);
    if (reply == NULL) return false;
    if (shards_init(&store->shards, &shape) != STATUS_OK) {
        free(reply);
        return false;
    }
    store->access = (struct access){.shards = &store->shards,
                                    .counters = counters_of_worker(&store->shards.counters, 0),
                                    .now_ms = clock_unix_ms(),
                                    .reply = reply};
    return true;
}

static void store_release(struct replay_store *store) {
    shards_release(&store->shards);
    free(store->access.reply);
}

/* False when the store is full. */
static bool replay_one(struct replay *replay, struct replay_store *store,
                       const struct request *request) {
    struct access_key at = access_route(&store->access, request->key);
    if (request->kind == REQUEST_DELETE) {
        access_remove(&store->access, &at);
        return true;
    }
    if (request->kind == REQUEST_GET) {
        bool is_hit = access_get(&store->access, &at);
        replay_count(replay, request->value_bytes, is_hit);
        if (is_hit) return true;
    }
    return access_set(&store->access, &at, bytes_of(replay->value, request->value_bytes)) ==
           STATUS_OK;
}

bool replay_in_store(struct replay *replay) {
    struct replay_store store;
    size_t used_before = memory_used();
    if (!store_init(&store)) {
        fputs("sherd-bench: no memory for a store\n", stderr);
        return false;
    }
    struct request request;
    bool is_full = false;
    while (!is_full && replay_next(replay, &request)) {
        is_full = !replay_one(replay, &store, &request);
    }
    if (is_full) fputs("sherd-bench: the store is full\n", stderr);
    replay->keys = shards_key_count(&store.shards, 0);
    replay->used_bytes = memory_used() - used_before;
    store_release(&store);
    return !is_full;
}
