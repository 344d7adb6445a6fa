/* The memory limit as the server keeps it: what the configuration says, handed to the shards; and what a command that
 * needs memory is told. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "shards/base/status.h"

struct call;
struct server;
struct worker;

/* Keys to evict, and as many to move: for one write at the limit, for one step of upkeep in a shard. */
enum { LIMIT_VICTIMS = 8, LIMIT_VICTIMS_UPKEEP = 32 };

/* The server's part of it. Measured once all is started, before the first key: `base_bytes`, memory_used();
 * `base_beyond_bytes`, resident beyond that. */
struct limit {
    _Atomic int64_t base_bytes, base_beyond_bytes;
    _Atomic bool is_trimming;   /* a job is at it */
    _Atomic int64_t trimmed_to; /* bytes that a trimming left resident beyond what is counted */
    _Atomic int64_t glided_ms;  /* when the grace of a lowered limit began, or last shrank */
    int64_t returned_seen;      /* worker 0: eviction_rules.returned_bytes when it last looked */
};

/* When all that is needed without a key is there: measure that. STATUS_REFUSED when the limit is below it; why is in
 * `error` (CONFIG_ERROR_MAX). */
must_use enum status limit_measure(struct server *server, char *error);
/* The same at start, and hand the options to the shards. */
must_use enum status limit_start(struct server *server, char *error);
/* A line for the log: the limit, and how it was chosen. */
void limit_describe(const struct server *server, char *out, size_t size);
/* The options' hook. */
enum status limit_apply(void *context, struct config *config, char *error);

/* Has a limit that was lowered still to be reached? Then there is upkeep to do. Any thread. */
bool limit_is_gliding(const struct server *server);
/* After a turn: evict what memory is far past its limit by. Worker 0 also: a step towards a limit that was lowered; and
 * did evictions give much back to the allocator? */
void limit_turn(struct worker *worker);
/* Between turns, now and then: look at the memory in use, and worker 0 at which way allkeys-adaptive should lean,
 * and at what the allocator keeps. */
void limit_tick(struct worker *worker);

/* So much is about to be freed in the background, where it no longer counts as used; or was. False: so much is on its
 * way already that it has to be freed at once. Any thread. */
bool limit_note_leaving(struct server *server, int64_t bytes);
void limit_note_left(struct server *server, int64_t bytes);

/* Have a job give back the pages that the allocator keeps but doesn't use. Any thread; O(1). */
void limit_trim(struct server *server);

/* The call was not admitted in that shard; no lock is held. Look for room in the others. True: some was made, or
 * memory is within its limit meanwhile; false: there is none, and the error is replied. O(shards). */
bool limit_relieve(struct call *call, uint32_t shard_index);
