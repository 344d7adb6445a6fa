/* Which commands are timed, and who is told: the histograms, the slow log, the latency events, the lock profile.
 *
 * Timed each: commands that aren't marked fast; fast ones over several keys, those that had to wait for a lock or for
 * memory, and one call in COMMAND_SAMPLE. All others are timed with the batch that they are in. See timing.c, where it is
 * said what the slow log misses for it (nothing) and where it is vague. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "latency.h"
#include "shards/base/status.h"

struct call;
struct command;
struct config;
struct server;
struct worker;

/* The longest time that a command held a shard's lock, as far as it was timed. */
struct timing_hold {
    uint64_t held_us;
    const struct command *command; /* NULL: none was timed */
};

/* The server's part. */
struct timing_limits {
    _Atomic uint64_t notable_ticks; /* atomic, relaxed: a command that takes so long is looked at */
    _Atomic uint64_t
        slow_ticks;             /* atomic, relaxed: and this is the least that anybody is told of */
    _Atomic bool times_all;     /* atomic, relaxed: a limit is too low to time batches */
    pthread_mutex_t holds_lock; /* a leaf; for what was notable only */
    struct timing_hold *holds;  /* holds_lock; a shard each */
};

/* The worker's part; this thread only, but for what is atomic. */
struct timing {
    uint64_t notable_ticks; /* as the server's, when the batch began; */
    uint64_t slow_ticks;    /* this, too */
    uint64_t sample_mask;   /* a fast command is timed when its count has none of these bits */
    uint64_t timed_ticks;   /* of this batch's commands that were timed each */
    uint64_t waited_ns;     /* for locks, by the command that runs */
    uint32_t timed;         /* which fast ones: a bit a request */
    int64_t watch_until_ms; /* a batch was slow, and nobody knows why: until then all are timed */
    _Atomic uint64_t running_ticks; /* atomic, relaxed: in batches; a statistic */
};

/* Once there are shards. STATUS_NO_MEMORY. */
must_use enum status timing_start(struct server *server);
void timing_stop(struct server *server);
/* A hook of the options (config.h): what is notable changes. */
enum status timing_apply(void *server, struct config *config, char *error);

/* Around a batch of requests: begin returns when. */
uint64_t timing_begin_batch(struct worker *worker);
void timing_end_batch(struct worker *worker, uint64_t begun_ticks);

/* A command has run, and was timed. The slow path: when that was notable. */
void timing_note(struct call *call, uint64_t took_ticks);
/* A command waited for a lock so long. */
void timing_note_wait(struct call *call, uint64_t waited_ns);
/* Something else, which began then (clock_ticks), is over: an event, if it took long. Any thread. */
void timing_note_event(struct server *server, enum latency_event event, uint64_t begun_ticks);

/* Any thread. */
struct timing_hold timing_longest_hold(struct server *server, uint32_t shard);
void timing_reset_holds(struct server *server);
