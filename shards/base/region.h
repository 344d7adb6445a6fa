/* A reserved range of addresses that memory is committed into from the front: an array that grows in place.
 *
 * Reserving costs address space only (64-bit has 128 TiB of it); committed pages cost memory once they are touched;
 * discarded ones read as zero again. Nothing in it ever moves, and a committed address stays readable
 * until the release: so a worker may look at a bucket it does not hold the lock of, as a hint, without
 * ever faulting. Growing is a system call every 256 KiB to 8 MiB, and never copies. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "status.h"

struct region {
    char *base;             /* immutable after init */
    size_t reserved_bytes;  /* immutable after init */
    size_t committed_bytes; /* the owner's lock (write) */
};

/* Reserve `bytes` (rounded up to pages); where the system refuses (address-space limits) half of it, and
 * so on down to a sixteenth. STATUS_NO_MEMORY when even that fails. `reserved_bytes` says what was got. */
must_use enum status region_init(struct region *region, size_t bytes);
void region_release(struct region *region);
/* Make the first `bytes` usable, committing ahead in growing steps. STATUS_NO_MEMORY past the reservation. */
must_use enum status region_commit(struct region *region, size_t bytes);
/* Give the whole pages inside [offset, offset + bytes) back to the system; they stay committed and read as zero. */
void region_discard(struct region *region, size_t offset, size_t bytes);
