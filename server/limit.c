/* Memory that sherd takes without a single key (workers, buffers, empty shards) is measured at start. A limit
 * below that can't be kept by evicting: at start it is an error, and so it is later where it would cost all
 * keys. With noeviction nothing is lost by it, writes are refused: then it is allowed, as in Redis.
 *
 * A limit that is lowered below what is in use is reached in steps, between turns. At once, it would be the
 * writes that reach it: each of them hundreds of evictions, until all is done; halving 128 MiB of small values
 * so stalled everybody for half a second. So what is in use stays allowed (`grace_bytes`), and less of it after
 * each turn: as much as upkeep has evicted. A write meanwhile pays for what it adds, as it always does at the
 * limit. If nobody may go, the grace ends after GLIDE_PATIENCE_MS, and writes are refused.
 *
 * A write makes room before it runs, by a bounded number of keys, whatever it will add: where values of a megabyte
 * push out such of 64 bytes, ten thousand would have to go for one. So memory may come to be past its limit, by what
 * a turn adds. The worker that finds it so pays after its turn, the longer the further it is past, before it reads
 * on: whoever adds faster than is evicted is slowed down by it. */
#include "limit.h"

#include <stdio.h>

#include "call.h"
#include "clients_memory.h"
#include "clock.h"
#include "gate.h"
#include "machine_memory.h"
#include "server.h"
#include "shards/base/memory.h"
#include "shards/room.h"

enum {
    TRIM_DIVISOR = 64,                /* a part of the limit, and */
    TRIM_BYTES_MIN = 2 * 1024 * 1024, /* are tolerated beyond what is counted */
    TRIM_LOOK_BYTES_MIN = 1024 * 1024,
    GLIDE_PATIENCE_MS = 1000,
    VICTIMS_DUE = 256, /* in one shard, before the next shard's turn */
    DUE_US = 1000, /* of work between two turns, for each margin that memory is past its limit, */
    DUE_US_MAX = 20000,                   /* but no more at once */
    DUE_RETRY_MS = 100,                   /* where nobody may go, until it is tried again */
    LEAVING_DIVISOR = 16,                 /* a part of the limit, or */
    LEAVING_BYTES_MIN = 16 * 1024 * 1024, /* may be on its way out before others have to wait */
};

static void set(_Atomic uint32_t *rule, const config_field *field) {
    atomic_store_explicit(rule, (uint32_t)config_number(field), memory_order_relaxed);
}

/* Redis takes any number; here a shard is locked meanwhile. */
static void set_samples(struct eviction_rules *rules, const config_field *field) {
    int64_t samples = config_number(field);
    if (samples > EVICTION_SAMPLES_MAX) samples = EVICTION_SAMPLES_MAX;
    atomic_store_explicit(&rules->samples, (uint32_t)samples, memory_order_relaxed);
}

/* A turn's step towards a limit that was lowered. */
static void glide(struct server *server, int64_t now_ms) {
    struct eviction_rules *rules = &server->shards.eviction;
    int64_t glided_ms = atomic_load_explicit(&server->limit.glided_ms, memory_order_relaxed);
    /* While writers are held nobody evicts, which says nothing of whether any may go. */
    if (gate_holds_writers(server) || room_glide(rules)) {
        atomic_store_explicit(&server->limit.glided_ms, now_ms, memory_order_relaxed);
    } else if (now_ms - glided_ms > GLIDE_PATIENCE_MS) {
        atomic_store_explicit(&rules->grace_bytes, 0, memory_order_relaxed);
    }
}

/* From what is in use now, if somebody may be evicted. */
static void begin_glide(struct server *server, int64_t limit) {
    struct eviction_rules *rules = &server->shards.eviction;
    uint32_t policy = atomic_load_explicit(&rules->policy, memory_order_relaxed);
    atomic_store_explicit(&rules->limit_bytes, limit, memory_order_relaxed);
    eviction_look(rules);
    int64_t past = atomic_load_explicit(&rules->used_bytes, memory_order_relaxed) - limit;
    bool glides = limit != 0 && past > 0 && eviction_policy_evicts((enum eviction_policy)policy);
    atomic_store_explicit(&rules->grace_bytes, glides ? past : 0, memory_order_relaxed);
    atomic_store_explicit(&server->limit.glided_ms, clock_unix_ms(), memory_order_relaxed);
    for (uint32_t i = 0; glides && i < server->worker_count; i++) {
        (void)worker_keep_up(&server->workers[i]); /* a full mailbox: then at its next tick */
    }
}

static int64_t base_bytes(const struct server *server) {
    return atomic_load_explicit(&server->limit.base_bytes, memory_order_relaxed);
}

/* What can be kept if everybody else goes; the allocator rounds up, by a quarter at the most. */
static int64_t value_max(const struct server *server) {
    int64_t limit = config_number(&server->config->maxmemory);
    int64_t room = (limit - base_bytes(server)) / 5 * 4;
    return limit == 0 ? 0 : room > 1 ? room : 1;
}

static void hand_over(struct server *server) {
    const struct config *config = server->config;
    struct eviction_rules *rules = &server->shards.eviction;
    set(&rules->policy, &config->maxmemory_policy);
    set_samples(rules, &config->maxmemory_samples);
    set(&rules->lfu_log_factor, &config->lfu_log_factor);
    set(&rules->lfu_decay_minutes, &config->lfu_decay_time);
    atomic_store_explicit(&rules->value_max, value_max(server), memory_order_relaxed);
    begin_glide(server, config_number(&config->maxmemory));
    clients_memory_apply(server);
}

static enum status refuse_too_little(const struct server *server, char *error) {
    snprintf(error, CONFIG_ERROR_MAX,
             "maxmemory %lld is less than the %lld bytes that sherd takes without any key "
             "(%u workers, %u shards): raise it, or take fewer workers",
             (long long)config_number(&server->config->maxmemory), (long long)base_bytes(server),
             server->worker_count, server->shards.count);
    return STATUS_REFUSED;
}

static bool is_too_little(const struct server *server) {
    int64_t limit = config_number(&server->config->maxmemory);
    return limit != 0 && limit < base_bytes(server);
}

enum status limit_measure(struct server *server, char *error) {
    int64_t used = (int64_t)memory_used();
    int64_t beyond = (int64_t)memory_resident() - used;
    atomic_store_explicit(&server->limit.base_bytes, used, memory_order_relaxed);
    atomic_store_explicit(&server->limit.base_beyond_bytes, beyond, memory_order_relaxed);
    return is_too_little(server) ? refuse_too_little(server, error) : STATUS_OK;
}

enum status limit_start(struct server *server, char *error) {
    enum status status = limit_measure(server, error);
    if (status == STATUS_OK) hand_over(server);
    return status;
}

enum status limit_apply(void *context, struct config *config, char *error) {
    struct server *server = context;
    if (is_too_little(server) &&
        eviction_policy_evicts((enum eviction_policy)config_number(&config->maxmemory_policy))) {
        return refuse_too_little(server, error);
    }
    hand_over(server);
    return STATUS_OK;
}

/* What workers receive into: a constant in the end, so no business of the limit's. */
static int64_t receive_memory(const struct server *server) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < server->worker_count; i++) {
        const struct engine *engine = server->workers[i].engine;
        bytes += atomic_load_explicit(&engine->statistics.receive_memory, memory_order_relaxed);
    }
    return (int64_t)bytes;
}

/* What the process has in memory beyond what is counted, and beyond what it had so at start. */
static int64_t beyond_counted(const struct server *server) {
    int64_t base = atomic_load_explicit(&server->limit.base_beyond_bytes, memory_order_relaxed);
    return (int64_t)memory_resident() - (int64_t)memory_used() - receive_memory(server) - base;
}

static void trim(void *context, void *subject) {
    (void)subject;
    struct server *server = context;
    memory_trim();
    atomic_store_explicit(&server->limit.trimmed_to, beyond_counted(server), memory_order_relaxed);
    atomic_store_explicit(&server->limit.is_trimming, false, memory_order_relaxed);
}

void limit_trim(struct server *server) {
    if (atomic_exchange_explicit(&server->limit.is_trimming, true, memory_order_relaxed)) return;
    struct job job = {.run = trim, .context = server};
    if (!jobs_try(server->jobs, job))
        atomic_store_explicit(&server->limit.is_trimming, false, memory_order_relaxed);
}

/* Allocators keep freed pages for some seconds, in the hope of more work of the kind. Where what comes is of
 * another kind (small values, which lie in slabs), these pages are beyond the limit: have them given back, by a
 * job, since it takes a while. What a trimming leaves is pages that are in use in part: no use for other sizes.
 * It counts as used (up to a quarter of the limit, says eviction_look: more could only be a mistake of ours,
 * for which no keys should go). */
static void trim_if_needed(struct server *server) {
    int64_t limit = config_number(&server->config->maxmemory);
    int64_t beyond = beyond_counted(server);
    int64_t left = atomic_load_explicit(&server->limit.trimmed_to, memory_order_relaxed);
    if (beyond < left) {
        left = beyond;
        atomic_store_explicit(&server->limit.trimmed_to, left, memory_order_relaxed);
    }
    int64_t tolerated = limit / TRIM_DIVISOR + TRIM_BYTES_MIN;
    int64_t hidden = left > tolerated ? left - tolerated : 0;
    atomic_store_explicit(&server->shards.eviction.hidden_bytes, hidden, memory_order_relaxed);
    if (beyond >= left + tolerated) limit_trim(server);
}

bool limit_note_leaving(struct server *server, int64_t bytes) {
    struct eviction_rules *rules = &server->shards.eviction;
    int64_t limit = atomic_load_explicit(&rules->limit_bytes, memory_order_relaxed);
    int64_t most = limit / LEAVING_DIVISOR;
    if (most < LEAVING_BYTES_MIN) most = LEAVING_BYTES_MIN;
    int64_t before = atomic_load_explicit(&rules->leaving_bytes, memory_order_relaxed);
    if (limit != 0 && before > most) return false;
    atomic_fetch_add_explicit(&rules->leaving_bytes, bytes, memory_order_relaxed);
    return true;
}

void limit_note_left(struct server *server, int64_t bytes) {
    atomic_fetch_sub_explicit(&server->shards.eviction.leaving_bytes, bytes, memory_order_relaxed);
}

bool limit_is_gliding(const struct server *server) {
    return atomic_load_explicit(&server->shards.eviction.grace_bytes, memory_order_relaxed) != 0;
}

/* Ease shard after shard for so long, or until memory is within its limit. False: a whole round achieved nothing. */
static bool ease_for(struct worker *worker, int64_t us) {
    struct shards *shards = &worker->server->shards;
    uint64_t begun_ticks = clock_ticks(),
             most_ticks = (uint64_t)((double)us * clock_ticks_per_us());
    uint32_t idle = 0;
    while (idle < shards->count && clock_ticks() - begun_ticks < most_ticks) {
        bool is_useful = shards_ease(shards, worker->due_shard, worker->now_ms, VICTIMS_DUE);
        idle = is_useful ? 0 : idle + 1;
        worker->due_shard = (worker->due_shard + 1) % shards->count;
        eviction_look(&shards->eviction);
        if (!room_is_past(&shards->eviction)) return true;
    }
    return idle < shards->count;
}

/* A turn that took memory far past its limit pays for it before the next. */
static void pay_what_is_due(struct worker *worker) {
    struct eviction_rules *rules = &worker->server->shards.eviction;
    uint32_t policy = atomic_load_explicit(&rules->policy, memory_order_relaxed);
    if (room_margins_past(rules) == 0 || worker->now_ms < worker->due_again_ms) return;
    if (gate_holds_writers(worker->server)) return; /* who evicts is a writer, too */
    eviction_look(rules);
    int64_t us = room_margins_past(rules) * DUE_US;
    if (us == 0 || !eviction_policy_evicts((enum eviction_policy)policy)) return;
    uint64_t begun_ticks = clock_ticks();
    if (!ease_for(worker, us < DUE_US_MAX ? us : DUE_US_MAX))
        worker->due_again_ms = worker->now_ms + DUE_RETRY_MS;
    timing_note_event(worker->server, LATENCY_EVICTION_CYCLE, begun_ticks);
}

void limit_turn(struct worker *worker) {
    struct server *server = worker->server;
    const struct eviction_rules *rules = &server->shards.eviction;
    int64_t limit = atomic_load_explicit(&rules->limit_bytes, memory_order_relaxed);
    if (limit == 0) return;
    pay_what_is_due(worker);
    if (worker->index != 0) return;
    if (limit_is_gliding(server)) glide(server, worker->now_ms);
    int64_t returned = atomic_load_explicit(&rules->returned_bytes, memory_order_relaxed);
    if (returned - server->limit.returned_seen < limit / TRIM_DIVISOR + TRIM_LOOK_BYTES_MIN) return;
    server->limit.returned_seen = returned;
    trim_if_needed(server);
}

void limit_tick(struct worker *worker) {
    struct server *server = worker->server;
    struct eviction_rules *rules = &server->shards.eviction;
    if (worker->index == 0) duel_tend(&server->duel, worker->now_ms);
    if (atomic_load_explicit(&rules->limit_bytes, memory_order_relaxed) == 0) return;
    eviction_look(rules);
    if (worker->index != 0) return;
    trim_if_needed(server);
}

void limit_describe(const struct server *server, char *out, size_t size) {
    const struct config *config = server->config;
    int64_t limit = config_number(&config->maxmemory);
    if (limit == 0) {
        snprintf(out, size, "no limit (maxmemory is 0)");
        return;
    }
    struct machine_memory memory = machine_memory();
    snprintf(out, size, "limit %lld KiB, %.3g %% of the %llu MiB %s; %s", (long long)limit / 1024,
             (double)limit * 100 / (double)memory.bytes,
             (unsigned long long)memory.bytes / (1024 * 1024),
             memory.is_limited ? "that the cgroup allows" : "of this machine",
             eviction_policy_name((enum eviction_policy)config_number(&config->maxmemory_policy)));
}

bool limit_relieve(struct call *call, uint32_t shard_index) {
    if (shards_relieve(&call->server->shards, shard_index, call->now_ms, LIMIT_VICTIMS))
        return true;
    call->is_refused = true;
    reply_error(call->reply, "OOM command not allowed when used memory > 'maxmemory'.");
    return false;
}
