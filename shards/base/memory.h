/* Counted allocation: every byte the server holds on the heap goes through here, so that INFO can account for it.
 *
 * Sizes are those the allocator really spent (usable size), not those asked for. A refused allocation is an ordinary
 * outcome: the caller gets NULL and reports STATUS_NO_MEMORY; nothing here aborts. Threads: any. Cost: the
 * allocator's, and one relaxed addition to a padded counter that few threads share.
 *
 * Tests refuse allocations with `memory_refuse_after`, to walk every failure path one by one. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

#include "status.h"

/* `size` bytes, uninitialised, aligned to 16; NULL when refused. Size 0 gives a unique pointer. */
must_use void *memory_allocate(size_t size);
/* The same, all zero. */
must_use void *memory_allocate_zeroed(size_t size);
/* Aligned to `alignment`, a power of two: for what must start a cache line or a page. */
must_use void *memory_allocate_aligned(size_t alignment, size_t size);
/* Grow or shrink, as realloc does. On refusal NULL, and `pointer` is as it was. NULL `pointer` allocates. */
must_use void *memory_resize(void *pointer, size_t size);
/* Give back what any of the above returned. NULL is allowed. */
void memory_free(void *pointer);
/* The same for a block of megabytes, behind the workers' backs: its pages go back to the system piece by piece,
 * each of which takes some 0.2 ms, and `between` is called after each. A kernel that takes back 500 MB in one go may
 * keep its processor for milliseconds. NULL is allowed. */
void memory_free_in_pieces(void *pointer, void (*between)(void *context), void *context);
/* The same two for what a command needs only while it runs, counted as a client's (memory_account_clients): from before
 * it is there until it is gone, so that who looks meanwhile never takes it for keys'. */
must_use void *memory_resize_for_client(void *pointer, size_t size);
void memory_free_for_client(void *pointer);
/* What the allocator really holds for `pointer`, in bytes; 0 for NULL. */
size_t memory_usable(const void *pointer);

/* Bytes held now through the functions above, plus what `memory_account` was told of. A sum over the
 * counters: O(1). */
size_t memory_used(void);
/* The highest `memory_used` that was seen by a call of `memory_used`. */
size_t memory_used_peak(void);
/* Regions that are mapped rather than allocated (slabs, buckets) report their committed bytes here. */
void memory_account(int64_t bytes);
/* Of what is counted, so much more or less is a client's (its input, its replies): memory that its own limit bounds,
 * and for which no key is evicted. */
void memory_account_clients(int64_t bytes);
/* The sum of that. O(1), as memory_used. */
size_t memory_of_clients(void);
/* All the others' of memory_used, both summed in one pass. The same cost. */
size_t memory_besides_clients(void);

/* What the process has in memory, in bytes, as the system counts it; 0 where /proc is not to be had. A system call. */
size_t memory_resident(void);
/* What the allocator says of itself: what was asked of it, in its size classes; the pages these lie in; and all it has
 * in memory. What is mapped (slabs, buckets) is not among it. */
struct memory_allocator {
    size_t allocated_bytes, active_bytes, resident_bytes;
};
/* False where there is none that can be asked at little cost (jemalloc can). Some ten microseconds. */
bool memory_ask_allocator(struct memory_allocator *allocator);
/* Have the allocator give freed pages that it keeps back to the system. Takes a millisecond for ten megabytes. */
void memory_trim(void);

/* Tests: the next `count` allocations of this thread succeed, all later ones are refused; negative: refuse none. */
void memory_refuse_after(int64_t count);
