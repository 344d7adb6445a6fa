#include "upkeep.h"

#include "clock.h"
#include "gate.h"
#include "limit.h"
#include "server.h"
#include "timing.h"
#include "worker.h"

enum {
    UPKEEP_STEPS = 128, /* of one shard: a hold of some tens of microseconds */
    UPKEEP_US = 100,    /* between two turns, and what one shard's steps take over that */
};

void upkeep_begin(struct worker *worker) {
    uint32_t shards = worker->server->shards.count, workers = worker->server->worker_count;
    worker->upkeep_left = (shards + workers - 1 - worker->index) / workers; /* all its own */
}

static bool shard_needs_upkeep(const struct server *server, const struct shard *shard) {
    if (atomic_load_explicit(&shard->has_flushed, memory_order_relaxed)) return true;
    return shard_has_deadlines(shard) &&
           atomic_load_explicit(&server->expiry_is_active, memory_order_relaxed);
}

/* Bounded steps in one shard towards the memory limit; true when more is left. */
static bool ease(struct worker *worker, uint32_t index) {
    struct server *server = worker->server;
    uint64_t begun_ticks = clock_ticks();
    bool has_more = shards_ease(&server->shards, index, worker->now_ms, LIMIT_VICTIMS_UPKEEP);
    timing_note_event(server, LATENCY_EVICTION_CYCLE, begun_ticks);
    return has_more;
}

/* The same for what is due, and for what was flushed. */
static bool sweep(struct worker *worker, uint32_t index) {
    struct server *server = worker->server;
    if (!shard_needs_upkeep(server, &server->shards.shards[index])) return false;
    /* What GETLEASE may still show stays: the sweep is that much behind. To all others expired is absent. */
    int64_t due_ms = worker->now_ms - config_number(&server->config->lease_stale_ms);
    uint64_t begun_ticks = clock_ticks();
    bool has_more = shards_upkeep(&server->shards, index, due_ms, UPKEEP_STEPS);
    timing_note_event(server, LATENCY_EXPIRE_CYCLE, begun_ticks);
    return has_more;
}

/* One shard after the other, until a whole round of them had nothing more to do; but leave off in time for those who
 * ask: the next turn goes on from there. */
void upkeep_go_on(struct worker *worker) {
    struct server *server = worker->server;
    if (gate_holds_writers(server)) { /* who evicts or sweeps is a writer, too */
        worker->upkeep_left = 0;
        return;
    }
    uint64_t begun_ticks = clock_ticks();
    uint64_t enough_ticks = (uint64_t)(UPKEEP_US * clock_ticks_per_us());
    while (worker->upkeep_left > 0) {
        worker->upkeep_left--;
        bool has_more = ease(worker, worker->upkeep_shard);
        has_more |= sweep(worker, worker->upkeep_shard);
        if (has_more) upkeep_begin(worker);
        worker->upkeep_shard += server->worker_count;
        if (worker->upkeep_shard >= server->shards.count) worker->upkeep_shard = worker->index;
        if (clock_ticks() - begun_ticks > enough_ticks) break;
    }
}

bool upkeep_is_wanted(const struct worker *worker) {
    const struct server *server = worker->server;
    for (uint32_t i = worker->index; i < server->shards.count; i += server->worker_count) {
        if (shard_needs_upkeep(server, &server->shards.shards[i])) return true;
    }
    return false;
}
