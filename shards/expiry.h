/* What is due: the earliest deadline of each slab, and a sweep of those in which it has come.
 *
 * An entry with a deadline holds its deadline, eight bytes, and is in no list. What is known beside it is known of
 * a slab (slabs.h), of some hundred entries: none of them is due before such a time. Setting a deadline can only
 * lower that time; a sweep walks over the slab's entries, hands out those that are due, and reckons it anew. Slabs
 * wait in a heap, 24 bytes for each 64 KiB; a shard without deadlines has none.
 *
 * A sweep is done in slices and may be left at any entry. A slab that was swept rests for EXPIRY_REST_MS, so that
 * the next sweep of it finds more than one: an entry is handed out up to that much late, never before its deadline.
 * Lock: the shard's, for writing by what changes, for reading by the others. Time is an argument. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/region.h"
#include "base/status.h"
#include "entry.h"
#include "slabs.h"

enum { EXPIRY_REST_MS = 512 };

/* Of the slab of that number; and, at the same index, who has that place in the heap. */
struct expiry_slab {
    int64_t due_ms;    /* none of its entries has an earlier deadline */
    int64_t rested_ms; /* it is not swept before */
    uint32_t place;    /* in the heap, from 1; 0: it has no deadlines, and the times mean nothing */
    uint32_t slab_here;
};

/* A shard's, whatever its databases: they share its slabs. */
struct expiry {
    struct slabs *slabs;
    struct region region; /* of struct expiry_slab; reserved at the first deadline */
    uint32_t known_count; /* slabs that there is room for, those that have none included */
    uint32_t heap_count;
    bool is_sweeping;
    struct slabs_walk walk; /* of the sweep */
    int64_t walk_due_ms;    /* the earliest deadline that it met and that had not come */
    int64_t now_ms; /* when a sweep was last looked for; not the little that time may step back */
    int64_t handed_ms; /* the latest deadline that was handed out */
};

/* Costs nothing yet. */
void expiry_init(struct expiry *expiry, struct slabs *slabs);
void expiry_release(struct expiry *expiry);
/* Make sure that there is room for the slab of whatever entry is created next, as the first expiry_set needs it.
 * STATUS_NO_MEMORY changes nothing. */
must_use enum status expiry_open(struct expiry *expiry);
/* Give an entry, made with room for it, this deadline; in place of another, too. To take one away nothing need be
 * done here. O(1), or O(log slabs) if no other in its slab is due sooner. */
void expiry_set(struct expiry *expiry, uint32_t reference, int64_t deadline_ms);
/* An entry's deadline was copied here along with it. After expiry_open. */
void expiry_follow(struct expiry *expiry, uint32_t reference);
/* Go on sweeping what has come by `now_ms`, looking at no more than `*looks` entries (and free slots), which are
 * subtracted from it. Returns an entry that is due, to be removed before anything else happens; if it is not, it
 * won't be waited for any longer. 0 when nothing (more) is due, or `*looks` is used up. */
uint32_t expiry_take_due(struct expiry *expiry, int64_t now_ms, uint32_t *looks);
/* True when expiry_take_due at `now_ms` would have something to do. O(1). */
bool expiry_has_work(const struct expiry *expiry, int64_t now_ms);

/* Visit the entries with a deadline of a slab in which one is due as soon as any or, since what is known of other slabs
 * may be too early, nearly so. Looks at up to eight slabs. `visit` must not change anything. */
void expiry_visit_soonest(struct expiry *expiry, void (*visit)(void *, struct entry *),
                          void *context);
/* Bytes that the slabs' times take. */
size_t expiry_footprint(const struct expiry *expiry);
void expiry_validate(const struct expiry *expiry);
