/* The memory limit as the server keeps it: what the configuration says, handed to the shards; and what a command that
 * needs memory is told. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "call.h"
#include "config.h"
#include "server.h"

/* Work for one write at the limit, for one shard between two turns. */
enum { LIMIT_VICTIMS = 8, LIMIT_VICTIMS_UPKEEP = 256 };

/* At start, when all that is needed without a key is there: hand the options to the shards. STATUS_REFUSED when the
 * limit is below that; why is in `error` (CONFIG_ERROR_MAX). */
must_use enum status limit_start(struct server *server, char *error);
/* A line for the log: the limit, and how it was chosen. */
void limit_describe(const struct server *server, char *out, size_t size);
/* The options' hook. */
enum status limit_apply(void *context, struct config *config, char *error);

/* After a turn: did evictions give much back to the allocator? */
void limit_turn(struct worker *worker);
/* Between turns, now and then: look at the memory in use, and worker 0 at which way allkeys-adaptive should lean. */
void limit_tick(struct worker *worker);

/* Under the shard's lock for writing, before the command runs: is there memory for it? Makes room where it can. */
static inline bool limit_admits(const struct call *call, struct shard *shard) {
    const struct shards *shards = &call->server->shards;
    if (__builtin_expect(
            atomic_load_explicit(&shards->eviction.limit_bytes, memory_order_relaxed) == 0, 1))
        return true;
    if (!(call->command->flags & COMMAND_DENY_OOM)) return true;
    return shard_make_room(shard, call->now_ms, LIMIT_VICTIMS, &shards->reclaimer);
}
/* It was not admitted in that shard; no lock is held. Look for room in the others; false: there is none, and the error is
 * replied. */
bool limit_relieve(struct call *call, uint32_t shard_index);
