/* Where a worker's time goes: receiving, running, waiting for locks, sending, upkeep, idling. What WORKERS tells.
 *
 * Measured are one turn in PROFILE_GAP, chosen by chance, and those that follow a turn in which nothing came (who has
 * nothing to do has time to measure). The sums halve every PROFILE_HALVING_MS, so they tell of the last ten seconds or
 * so. The worker writes; any thread reads. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct worker;

enum profile_part {
    PROFILE_RECEIVING, /* from the kernel's buffers to parsed requests, and settling their clients */
    PROFILE_RUNNING,   /* commands, without: */
    PROFILE_LOCKS,     /* waiting for shards' locks */
    PROFILE_SENDING,   /* handing replies to the kernel, and what it does with them at once */
    PROFILE_UPKEEP,    /* expiry, eviction between turns, the tick */
    PROFILE_IDLE,      /* waiting for something to happen: the rest */
    PROFILE_PARTS,
};

enum { PROFILE_GAP = 32, PROFILE_HALVING_MS = 5000 };

struct profile {
    /* This thread only. */
    uint32_t until_next; /* turns that follow a busy one, until one of them is measured */
    uint32_t weight;     /* turns that this one stands for; 0: it isn't measured */
    bool was_idle;       /* nothing came in the turn before */
    uint64_t began_ticks, ran_ticks;
    uint64_t running_ticks, waited_ns; /* as they were when it began */
    uint64_t ended_ticks;              /* when the last one that was measured was over */
    int64_t halved_ms;
    _Atomic uint64_t ticks[PROFILE_PARTS]; /* atomic, relaxed: statistics; all but PROFILE_IDLE */
    _Atomic uint64_t all_ticks;            /* the same: in which they were counted */
};

/* Around a turn; the second when its requests have run, with whether nothing at all came. The worker's thread. */
void profile_begin(struct worker *worker);
void profile_note_ran(struct worker *worker, bool was_idle);
void profile_end(struct worker *worker);

/* Percent of the time that went into each part; all 0 before anything was measured. Any thread. */
struct profile_shares {
    double percent[PROFILE_PARTS];
};
struct profile_shares profile_shares(const struct profile *profile);
const char *profile_part_name(enum profile_part part);
