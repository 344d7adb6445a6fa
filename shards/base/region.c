/* An array that grows in place: address space is reserved once, memory is committed from the front.
 *
 *     base                      committed_bytes                                reserved_bytes
 *      |  readable and writable  |  PROT_NONE, MAP_NORESERVE: addresses only        |
 *
 * Why not `mremap` or `realloc`: both may move the array, so that every pointer into it, and every reader that looks
 * without the lock, would have to be thought about. Reserving 64 GiB costs one VMA and no memory. Why not
 * map everything writable at once: under strict overcommit (vm.overcommit_memory = 2) the whole
 * reservation would be charged to us.
 *
 * A commit is a system call (0.9 us for 8 MiB, the longest of 256: 6 us; and the address-space lock), so it
 * goes ahead in steps: an eighth of what is committed, between STEP_MIN and STEP_MAX. Memory is only spent
 * when a page is touched, so going ahead costs nothing but the charge; if the system refuses the step,
 * what was really asked for is tried alone.
 *
 * The dear part is the first touch of a page, 1.4 us in the median, and one in two thousand takes 100 to 500: Linux then
 * takes 2016 pages from its zone at once (its per-processor lists refill in batches of up to 63 << 5 since 6.7; seen
 * as bursts of kmem:mm_page_alloc_zone_locked). These are the longest holds of a growing shard that are not the
 * machine's noise (`sherd-bench store --grow`). Touching pages before the shard is locked would take them out, and was
 * left: at most half of the promised millisecond where measured, for which every insert would pay a look ahead.
 *
 * Invariants:
 *   1. committed_bytes <= reserved_bytes, both whole pages; committed_bytes never shrinks before the release.
 *   2. [base, base + committed_bytes) is readable and writable. A discarded page stays so, and reads as zero.
 * What is committed is not reported to `memory_account` here: the owner knows what it touches. */
#include "region.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

enum {
    STEP_MIN = 256 * 1024,
    STEP_MAX = 8 * 1024 * 1024,
    HALVINGS_MAX = 4, /* down to a sixteenth of what was asked for */
};

static size_t page_bytes(void) {
    return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t round_down(size_t bytes, size_t page) {
    return bytes & ~(page - 1);
}

/* Rounds to zero where `bytes` is within a page of SIZE_MAX: no system has that much. */
static size_t round_up(size_t bytes, size_t page) {
    return round_down(bytes + page - 1, page);
}

enum status region_init(struct region *region, size_t bytes) {
    *region = (struct region){0};
    size_t page = page_bytes();
    size_t reserve = round_up(bytes, page);
    for (int halvings = 0; halvings <= HALVINGS_MAX && reserve > 0; halvings++) {
        void *base =
            mmap(NULL, reserve, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (base != MAP_FAILED) {
            *region = (struct region){.base = base, .reserved_bytes = reserve};
            return STATUS_OK;
        }
        reserve = round_up(reserve / 2, page);
    }
    return STATUS_NO_MEMORY;
}

void region_release(struct region *region) {
    if (region->base != NULL) check(munmap(region->base, region->reserved_bytes) == 0);
    *region = (struct region){0};
}

/* How far to commit when `bytes` are needed: a step ahead of what is committed, never past the reservation. */
static size_t commit_target(const struct region *region, size_t bytes, size_t page) {
    size_t step = region->committed_bytes / 8;
    if (step < STEP_MIN) step = STEP_MIN;
    if (step > STEP_MAX) step = STEP_MAX;
    size_t ahead = region->committed_bytes + step;
    size_t target = round_up(bytes > ahead ? bytes : ahead, page);
    return target < region->reserved_bytes ? target : region->reserved_bytes;
}

static bool commit_to(struct region *region, size_t target) {
    size_t committed = region->committed_bytes;
    if (mprotect(region->base + committed, target - committed, PROT_READ | PROT_WRITE) != 0)
        return false;
    region->committed_bytes = target;
    return true;
}

enum status region_commit(struct region *region, size_t bytes) {
    if (bytes <= region->committed_bytes) return STATUS_OK;
    if (bytes > region->reserved_bytes) return STATUS_NO_MEMORY;
    size_t page = page_bytes();
    if (commit_to(region, commit_target(region, bytes, page))) return STATUS_OK;
    return commit_to(region, round_up(bytes, page)) ? STATUS_OK : STATUS_NO_MEMORY;
}

void region_discard(struct region *region, size_t offset, size_t bytes) {
    check(offset <= region->committed_bytes && bytes <= region->committed_bytes - offset);
    size_t page = page_bytes();
    size_t from = round_up(offset, page);
    size_t to = round_down(offset + bytes, page);
    if (from >= to) return;
    /* Locked pages (mlockall) can't be given back; they must read as zero all the same. */
    if (madvise(region->base + from, to - from, MADV_DONTNEED) != 0) {
        memset(region->base + from, 0, to - from);
    }
}
