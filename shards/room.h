/* Room within the memory limit, made in a shard: evict, and move entries out of sparse slabs.
 *
 * What is kept is `limit_bytes` and, while a limit that was lowered is being reached, `grace_bytes` beyond it: who
 * lowers it allows what is in use, and less and less of it as it goes (server/limit.c).
 *
 * Who goes is eviction.h's business; here it is decided when, how much, and which shard pays. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct eviction_rules;
struct reclaimer;
struct shard;

/* A shard's part of the limit. Shard lock (write), but for `moved`. All zero to begin with. */
struct room {
    uint32_t unseen_writes; /* since the memory in use was last looked at */
    uint64_t looked_bytes;  /* in the shard's slabs, then */
    int64_t told_bytes;     /* what of the rules' told_bytes is this shard's */
    int64_t debt_bytes;     /* to be evicted */
    bool is_charged;        /* memory was short when room was last made: growth counts */
    bool is_draining;       /* one of the drainers */
    _Atomic uint64_t moved; /* atomic, relaxed: keys moved out of sparse slabs, a statistic */
};

/* Is more memory in use than the limit wants? Cheap: looks at what somebody else saw. Any thread, no lock. */
bool room_is_short(const struct eviction_rules *rules);
/* More than it allows: a little more than short. The same cost. */
bool room_is_past(const struct eviction_rules *rules);
/* By how many margins (128ths of the limit) it is past it; 0 also where it isn't. The same cost. */
int64_t room_margins_past(const struct eviction_rules *rules);
/* Allow less beyond a limit that was lowered: a little less than is in use now. False: it isn't less. */
bool room_glide(struct eviction_rules *rules);
/* Before something is added to `shard`: make room, if it can be found here, by about so much work: evicting
 * `victims_max` keys and moving as many. False: memory is at its limit, nobody here may go, and adding would
 * take more. With no limit set: true at once. Lock: write. */
bool room_make(struct shard *shard, int64_t now_ms, uint32_t victims_max,
               const struct reclaimer *reclaimer);
/* The same without anything to be added: exactly so much work at most, however far past the limit. Lock: write. */
void room_ease(struct shard *shard, int64_t now_ms, uint32_t victims_max,
               const struct reclaimer *reclaimer);
