/* Without a limit nothing is evicted: every key misses once, and the hit ratio is that of an unbounded cache, the
 * ceiling for any policy. With one it is what the policy keeps of that, as a server's would be but for the network; but
 * memory is what the store counts, so to compare with others, replay against a server.
 *
 * The store's clock is the trace's: so many requests are a second. What a server does between turns is done here
 * every tenth of a second: deadlines, room, and the judgement of allkeys-adaptive. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/access.h"
#include "bench/replay.h"
#include "server/clock.h"
#include "shards/base/memory.h"
#include "shards/duel.h"

enum { TICK_MS = 100, UPKEEP_LIMIT = 256 };
/* Not a seed of the trace's: keys that are followed would all be of one size. */
enum { STORE_SEED = 11 };

struct replay_store {
    struct shards shards;
    struct duel duel;
    struct access access;
    int64_t begun_ms, ticked_ms;
};

static bool choose_policy(struct replay_store *store, const char *name) {
    for (uint32_t i = 0; i < EVICTION_POLICIES; i++) {
        if (strcmp(name, eviction_policy_name((enum eviction_policy)i)) != 0) continue;
        atomic_store_explicit(&store->shards.eviction.policy, i, memory_order_relaxed);
        return true;
    }
    fprintf(stderr, "sherd-bench: no policy '%s'\n", name);
    return false;
}

static bool store_init(struct replay_store *store, const struct replay_store_options *options) {
    *store = (struct replay_store){.begun_ms = clock_unix_ms()};
    struct shards_options shape = {.shard_count = (uint32_t)options->shards,
                                   .database_count = 1,
                                   .worker_count = 1,
                                   .seed = STORE_SEED};
    char *reply = malloc(TRACE_VALUE_MAX);
    if (reply == NULL) return false;
    if (shards_init(&store->shards, &shape) != STATUS_OK) {
        free(reply);
        return false;
    }
    duel_init(&store->duel, &store->shards);
    store->ticked_ms = store->begun_ms;
    store->access = (struct access){.shards = &store->shards,
                                    .counters = counters_of_worker(&store->shards.counters, 0),
                                    .now_ms = store->begun_ms,
                                    .reply = reply};
    random_init(&store->access.random, shape.seed);
    atomic_store_explicit(&store->shards.eviction.limit_bytes, options->limit_bytes,
                          memory_order_relaxed);
    return true;
}

static void store_release(struct replay_store *store) {
    duel_release(&store->duel);
    shards_release(&store->shards);
    free(store->access.reply);
}

static void tick(struct replay_store *store) {
    struct shards *shards = &store->shards;
    int64_t now_ms = store->access.now_ms;
    if (now_ms < store->ticked_ms + TICK_MS) return;
    store->ticked_ms = now_ms;
    for (uint32_t i = 0; i < shards->count; i++) {
        while (shards_upkeep(shards, i, now_ms, UPKEEP_LIMIT)) {
        }
    }
    eviction_look(&shards->eviction);
    duel_tend(&store->duel, now_ms);
}

/* As server/follow.c does. */
static void follow(struct replay_store *store, const struct access_key *at, bool is_lookup) {
    if (at->key.hash >= duel_followed_below(&store->duel)) return;
    struct note note = {.is_lookup = is_lookup, .is_deletion = !is_lookup};
    note_look(&note, &store->shards, &at->key, store->access.now_ms);
    duel_note(&store->duel, &note, store->access.now_ms);
}

static bool set(struct replay *replay, struct replay_store *store, const struct access_key *at,
                const struct request *request) {
    int64_t deadline_ms = request->ttl_s != 0
                              ? store->access.now_ms + (int64_t)request->ttl_s * 1000
                              : ENTRY_NO_EXPIRY;
    struct bytes value = bytes_of(replay->value, request->value_bytes);
    return access_set_until(&store->access, at, value, deadline_ms) == STATUS_OK;
}

/* False when the store is full. */
static bool replay_one(struct replay *replay, struct replay_store *store,
                       const struct request *request) {
    struct access_key at = access_route(&store->access, request->key);
    if (request->kind == REQUEST_DELETE) {
        access_remove(&store->access, &at);
        follow(store, &at, false);
        return true;
    }
    if (request->kind == REQUEST_GET) {
        bool is_hit = access_get(&store->access, &at);
        replay_count(replay, request->value_bytes, is_hit);
        follow(store, &at, true);
        if (is_hit) return true;
    }
    bool is_set = set(replay, store, &at, request);
    follow(store, &at, false);
    return is_set;
}

bool replay_in_store(struct replay *replay, const struct replay_store_options *options) {
    struct replay_store store;
    size_t used_before = memory_used();
    if (!store_init(&store, options)) {
        fputs("sherd-bench: no memory for a store\n", stderr);
        return false;
    }
    struct request request;
    bool is_well = choose_policy(&store, options->policy);
    bool is_full = false;
    while (is_well && !is_full && replay_next(replay, &request)) {
        store.access.now_ms =
            store.begun_ms + (int64_t)((double)replay->requests * 1000 / options->rate);
        tick(&store);
        is_full = !replay_one(replay, &store, &request);
    }
    if (is_full) fputs("sherd-bench: the store is full\n", stderr);
    replay->keys = shards_key_count(&store.shards, 0);
    replay->used_bytes = memory_used() - used_before;
    store_release(&store);
    return is_well && !is_full;
}
