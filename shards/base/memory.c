/* Counted allocation: malloc's sizes, summed in stripes.
 *
 * What is counted is `malloc_usable_size`, not what was asked for: the difference (an allocator's size
 * classes) is memory that the process really holds, and `maxmemory` is a promise about the process. Asking
 * costs a few nanoseconds, and spares every allocation a header of its own, which would cost 16 bytes a value.
 *
 * One shared counter would be a cache line that all workers fight for; one a thread would have to be found
 * and folded when the thread ends. So: STRIPES counters, each on its own cache line, and every thread
 * keeps to one, chosen in turn. A pool of up to STRIPES threads therefore never shares one. A stripe alone
 * may be negative (one thread allocates, another frees); only the sum means something, and, read while
 * others write, it is off by at most what they are doing just then.
 *
 * Which allocator: whichever `malloc` names. With SHERD_JEMALLOC the build links jemalloc, which takes
 * over these names, `malloc_usable_size` included, so that nothing here depends on the choice.
 *
 * These totals are one of the few named exceptions to "no mutable globals" (see style): they belong to the
 * process. */
#include "memory.h"

#include <assert.h>
#include <malloc.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef SHERD_JEMALLOC
#include <jemalloc/jemalloc.h>
#endif

#include "check.h"

#define STRINGIFY_NOW(x) #x
#define STRINGIFY(x)     STRINGIFY_NOW(x)

enum {
    STRIPES = 64,
    CACHE_LINE = 64,
    PAGE_BYTES = 4096,
    PIECE_BYTES = 2 * 1024 * 1024, /* a huge page, so that none is split */
    PIECES_MIN = 8 * 1024 * 1024,  /* below, allocators keep the pages for more of the kind */
    ALIGNMENT =
        16, /* jemalloc aligns what is smaller than 16 bytes to 8 only, so nothing smaller is asked for */
};

struct stripe {
    alignas(CACHE_LINE) _Atomic int64_t bytes; /* atomic, relaxed: a statistic */
    _Atomic int64_t clients_bytes;             /* the same: the part of it that is clients' */
};
static_assert(sizeof(struct stripe) == CACHE_LINE, "two stripes must not share a cache line");

static struct stripe stripes[STRIPES];
static _Atomic size_t peak;           /* atomic, relaxed: a statistic */
static _Atomic unsigned threads_seen; /* atomic, relaxed: only spreads threads over stripes */

static _Thread_local struct stripe *own_stripe;
static _Thread_local int64_t allowed = -1; /* see memory_refuse_after */

static struct stripe *stripe_of_thread(void) {
    if (own_stripe == NULL) {
        unsigned turn = atomic_fetch_add_explicit(&threads_seen, 1, memory_order_relaxed);
        own_stripe = &stripes[turn % STRIPES];
    }
    return own_stripe;
}

void memory_account(int64_t bytes) {
    atomic_fetch_add_explicit(&stripe_of_thread()->bytes, bytes, memory_order_relaxed);
}

void memory_account_clients(int64_t bytes) {
    atomic_fetch_add_explicit(&stripe_of_thread()->clients_bytes, bytes, memory_order_relaxed);
}

void memory_refuse_after(int64_t count) {
    allowed = count;
}

size_t memory_resident(void) {
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL) return 0;
    unsigned long total = 0, resident = 0;
    int count = fscanf(file, "%lu %lu", &total, &resident);
    fclose(file);
    return count == 2 ? resident * (size_t)sysconf(_SC_PAGESIZE) : 0;
}

#ifdef SHERD_JEMALLOC
static bool read_statistic(const char *name, size_t *bytes) {
    size_t size = sizeof(*bytes);
    return mallctl(name, bytes, &size, NULL, 0) == 0;
}
#endif

/* The C library's mallinfo2 would walk all that is free, with each arena's lock held. */
bool memory_ask_allocator(struct memory_allocator *allocator) {
#ifdef SHERD_JEMALLOC
    uint64_t epoch = 1; /* any number: sum them anew */
    if (mallctl("epoch", NULL, NULL, &epoch, sizeof(epoch)) != 0) return false;
    return read_statistic("stats.allocated", &allocator->allocated_bytes) &&
           read_statistic("stats.active", &allocator->active_bytes) &&
           read_statistic("stats.resident", &allocator->resident_bytes) &&
           allocator->allocated_bytes != 0;
#else
    (void)allocator;
    return false;
#endif
}

void memory_trim(void) {
#ifdef SHERD_JEMALLOC
    mallctl("arena." STRINGIFY(MALLCTL_ARENAS_ALL) ".purge", NULL, NULL, NULL, 0);
#else
    malloc_trim(0);
#endif
}

static bool is_refused(void) {
    if (__builtin_expect(allowed < 0, 1)) return false;
    if (allowed == 0) return true;
    allowed--;
    return false;
}

size_t memory_usable(const void *pointer) {
    union { /* the C library's declaration lacks the const: it only reads */
        const void *given;
        void *taken;
    } both = {.given = pointer};
    return malloc_usable_size(both.taken);
}

static void *counted(void *pointer) {
    if (pointer != NULL) memory_account((int64_t)memory_usable(pointer));
    return pointer;
}

static size_t at_least_aligned(size_t size) {
    return size < ALIGNMENT ? ALIGNMENT : size;
}

void *memory_allocate(size_t size) {
    if (is_refused()) return NULL;
    return counted(malloc(at_least_aligned(size)));
}

void *memory_allocate_zeroed(size_t size) {
    if (is_refused()) return NULL;
    return counted(calloc(1, at_least_aligned(size)));
}

void *memory_allocate_aligned(size_t alignment, size_t size) {
    check(alignment != 0 && (alignment & (alignment - 1)) == 0);
    if (is_refused()) return NULL;
    void *pointer = NULL;
    if (posix_memalign(&pointer, at_least_aligned(alignment), at_least_aligned(size)) != 0)
        return NULL;
    return counted(pointer);
}

void *memory_resize(void *pointer, size_t size) {
    if (is_refused()) return NULL;
    int64_t before = (int64_t)memory_usable(pointer);
    void *resized = realloc(pointer, at_least_aligned(size));
    if (resized == NULL) return NULL;
    memory_account((int64_t)memory_usable(resized) - before);
    return resized;
}

void memory_free(void *pointer) {
    if (pointer == NULL) return;
    memory_account(-(int64_t)memory_usable(pointer));
    free(pointer);
}

/* What was added in advance is put right once it is known how much it is. */
void *memory_resize_for_client(void *pointer, size_t size) {
    int64_t before = (int64_t)memory_usable(pointer), expected = (int64_t)size - before;
    memory_account_clients(expected);
    void *resized = memory_resize(pointer, size);
    int64_t grown = resized != NULL ? (int64_t)memory_usable(resized) - before : 0;
    memory_account_clients(grown - expected);
    return resized;
}

void memory_free_for_client(void *pointer) {
    int64_t bytes = (int64_t)memory_usable(pointer);
    memory_free(pointer);
    memory_account_clients(-bytes);
}

/* The pages that are the block's alone; both allocators keep what they know of it outside of them. */
void memory_free_in_pieces(void *pointer, void (*between)(void *context), void *context) {
    uintptr_t begin = (uintptr_t)pointer, end = begin + memory_usable(pointer);
    uintptr_t at = (begin + PAGE_BYTES - 1) & ~(uintptr_t)(PAGE_BYTES - 1);
    end &= ~(uintptr_t)(PAGE_BYTES - 1);
    bool is_worth_it = end - begin >= PIECES_MIN;
    while (is_worth_it && at < end) {
        uintptr_t next = (at + PIECE_BYTES) & ~(uintptr_t)(PIECE_BYTES - 1);
        if (next > end) next = end;
        if (madvise((void *)at, next - at, MADV_DONTNEED) != 0) break; /* then all with the free */
        at = next;
        between(context);
    }
    memory_free(pointer);
}

/* ---- Sums ------------------------------------------------------------------------------------ */

static void raise_peak(size_t used) {
    size_t seen = atomic_load_explicit(&peak, memory_order_relaxed);
    while (used > seen && !atomic_compare_exchange_weak_explicit(
                              &peak, &seen, used, memory_order_relaxed, memory_order_relaxed)) {
    }
}

static size_t stripes_in_use(void) {
    unsigned threads = atomic_load_explicit(&threads_seen, memory_order_relaxed);
    return threads < STRIPES ? threads : STRIPES;
}

/* A sum may be below zero only for the blink between two stripes' reads. */
static size_t size_of_sum(int64_t sum) {
    return sum < 0 ? 0 : (size_t)sum;
}

size_t memory_used(void) {
    int64_t sum = 0;
    for (size_t i = 0; i < stripes_in_use(); i++) {
        sum += atomic_load_explicit(&stripes[i].bytes, memory_order_relaxed);
    }
    raise_peak(size_of_sum(sum));
    return size_of_sum(sum);
}

size_t memory_of_clients(void) {
    int64_t sum = 0;
    for (size_t i = 0; i < stripes_in_use(); i++) {
        sum += atomic_load_explicit(&stripes[i].clients_bytes, memory_order_relaxed);
    }
    return size_of_sum(sum);
}

/* A stripe's two figures are read next to each other, since in two passes a block of megabytes that goes meanwhile would
 * be missing from one sum only. */
size_t memory_besides_clients(void) {
    int64_t sum = 0, clients = 0;
    for (size_t i = 0; i < stripes_in_use(); i++) {
        sum += atomic_load_explicit(&stripes[i].bytes, memory_order_relaxed);
        clients += atomic_load_explicit(&stripes[i].clients_bytes, memory_order_relaxed);
    }
    raise_peak(size_of_sum(sum));
    return size_of_sum(sum - clients);
}

size_t memory_used_peak(void) {
    return atomic_load_explicit(&peak, memory_order_relaxed);
}
