/* What is due: a hierarchical timing wheel threaded through the entries that have a deadline.
 *
 * Six levels of 64 slots; a slot of level 0 is 64 ms wide, and each level's slots 64 times as wide as the
 * one below's, so the wheel spans 139 years. Linking, unlinking and moving are O(1), an entry without a
 * deadline pays nothing, one with a deadline 16 bytes in itself. Entries far off come down a level as
 * their slot is reached. Work is handed out in bounded steps, so that a million keys due at once expire
 * over many short holds of the lock. Source: Varghese and Lauck 1987; h2o's timerwheel. An entry becomes
 * due up to a tick after its deadline, never before. Lock: write for what changes, read for the others.
 * Time is an argument. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "entry.h"
#include "slabs.h"

enum { EXPIRY_LEVELS = 6, EXPIRY_SLOTS = 64, EXPIRY_TICK_MS = 64 };

struct expiry {
    struct slabs *slabs;
    uint64_t tick;          /* all ticks before this one are done */
    _Atomic uint64_t count; /* entries linked; read without the lock as a statistic, relaxed */
    uint64_t occupied[EXPIRY_LEVELS]; /* a bit a slot that is not empty */
    uint32_t (*slots)
        [EXPIRY_SLOTS]; /* a row a level of heads: references to entries; NULL before expiry_open */
};

/* An unused wheel costs nothing: its slots (1.5 KiB) come with expiry_open. */
void expiry_init(struct expiry *expiry, struct slabs *slabs, int64_t now_ms);
/* Start anew at `now_ms`, an earlier time included. Nothing may be linked. */
void expiry_restart(struct expiry *expiry, int64_t now_ms);
/* Gives back the slots. What is still linked must not be touched through the wheel any more. */
void expiry_release(struct expiry *expiry);
/* Make sure that there are slots, as the first expiry_link needs them. STATUS_NO_MEMORY changes nothing. */
must_use enum status expiry_open(struct expiry *expiry);
/* Link an entry (made with room for an expiry, not linked) at `deadline_ms`; one already due is due at the
 * next tick. */
void expiry_link(struct expiry *expiry, uint32_t reference, int64_t deadline_ms);
void expiry_unlink(struct expiry *expiry, uint32_t reference);
/* The entry at `from` was copied to `to`, links and all: whatever pointed to it now points there. */
void expiry_replace(struct expiry *expiry, uint32_t from, uint32_t to);
/* The entry that is due soonest, or one close to it: the first `looks` (at least 1) of its slot are compared. 0 when
 * none is linked. Lock: read. */
uint32_t expiry_soonest(const struct expiry *expiry, uint32_t looks);
/* Advance towards `now_ms`, at most `*limit` steps (an entry handled, or a slot passed, is one), which are subtracted
 * from `*limit`. Returns one entry that is due, unlinked, or 0 when nothing (more) is due or the limit is used up. */
uint32_t expiry_take_due(struct expiry *expiry, int64_t now_ms, uint32_t *limit);
/* True when `expiry_take_due` at `now_ms` would have something to do. Cheap. */
bool expiry_has_work(const struct expiry *expiry, int64_t now_ms);
void expiry_validate(const struct expiry *expiry);
