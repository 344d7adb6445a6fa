/* Latency events: what took at least `latency-monitor-threshold` milliseconds, by kind, as Redis's LATENCY keeps it.
 *
 * Of each kind the last LATENCY_SAMPLES seconds in which it happened are kept, the longest of each second. Off while
 * the threshold is 0. Any thread: a lock, a leaf, taken only for what was that slow and by whoever asks. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "shards/base/bytes.h"

enum latency_event {
    LATENCY_COMMAND,        /* one that isn't marked fast */
    LATENCY_FAST_COMMAND,   /* one that is */
    LATENCY_LOCK_WAIT,      /* a command waited for a shard's lock */
    LATENCY_EVICTION_CYCLE, /* room was made at the memory limit: before a write, in a step of upkeep
                             * in one shard, or by a worker that pays at once for what is past it */
    LATENCY_EXPIRE_CYCLE,   /* a step of upkeep in one shard: expired keys, flushed memory */
    LATENCY_SNAPSHOT,       /* all shards were locked, for a snapshot to begin */
    LATENCY_EVENTS,
};

enum { LATENCY_SAMPLES = 160 };

struct latency_sample {
    int64_t time_s;
    uint64_t took_ms;
};

struct latency_series {
    struct latency_sample samples[LATENCY_SAMPLES]; /* oldest first */
    uint32_t count;
    uint64_t longest_ms; /* ever, or since the reset */
};

struct latency {
    pthread_mutex_t lock;
    struct latency_series series[LATENCY_EVENTS]; /* lock */
};

void latency_init(struct latency *latency);
void latency_release(struct latency *latency);

void latency_note(struct latency *latency, enum latency_event event, int64_t time_s,
                  uint64_t took_ms);
struct latency_series latency_series(struct latency *latency, enum latency_event event);
/* Forget one kind; true when there was anything. */
bool latency_reset(struct latency *latency, enum latency_event event);

const char *latency_event_name(enum latency_event event);
/* LATENCY_EVENTS: there is none of that name. */
enum latency_event latency_event_find(struct bytes name);
