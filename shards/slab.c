/* Headers lie together instead of each at the start of its slab for three reasons: at multiples of 64 KiB they would
 * all fall into the same few sets of the processor's caches; an empty slab can give back all of its pages
 * and still be remembered; and slab 0, being a group's H, makes reference 0 mean "none" without wasting anything.
 *
 *     region   |H| slab 1 | slab 2 | … | slab 2047 |H| slab 2049 | …
 *     H        the headers of the 2047 slabs behind it, 32 bytes each: one group, 128 MiB
 *
 * What is reported to `memory_account` is touched pages. An empty slab gives its pages back, except that SLAB_SPARES_MAX
 * of them keep theirs: so a client that sets and deletes one key in turn costs no system call a round. */
#include "slab.h"

#include "base/check.h"

static bool is_granted(void) {
    void *probe = memory_allocate(1);
    memory_free(probe);
    return probe != NULL;
}

#ifndef NDEBUG
bool slab_grants_slot(void) {
    return is_granted();
}
#endif

static uint32_t list_pop(struct slabs *slabs, uint32_t *head) {
    uint32_t number = *head;
    *head = slab_at(slabs, number)->next;
    return number;
}

static void list_push(struct slabs *slabs, uint32_t *head, uint32_t number) {
    slab_at(slabs, number)->next = *head;
    *head = number;
}

bool slab_starts_header_page(uint32_t number) {
    enum { HEADERS_A_PAGE = SLAB_PAGE_BYTES / sizeof(struct slab) };
    return number % HEADERS_A_PAGE == 0 || number % SLAB_GROUP == 1;
}

/* Cut the next slab, and its group's headers when it is the first of a group. Returns 0 when refused. */
static uint32_t slab_cut(struct slabs *slabs) {
    uint32_t number = slabs->slab_count;
    if (number % SLAB_GROUP == 0) number++;
    size_t end = ((size_t)number + 1) * SLABS_SLAB_BYTES;
    if (end > slabs->region.reserved_bytes || !is_granted()) return 0;
    if (region_commit(&slabs->region, end) != STATUS_OK) return 0;
    slabs->slab_count = number + 1;
    if (slab_starts_header_page(number)) slab_account(slabs, SLAB_PAGE_BYTES);
    slab_at(slabs, number)->touched_pages = 0;
    ASAN_POISON_MEMORY_REGION(slab_memory(slabs, number), SLABS_SLAB_BYTES);
    return number;
}

uint32_t slab_find(struct slabs *slabs) {
    uint32_t number;
    if (slabs->spare_slabs != 0) {
        number = list_pop(slabs, &slabs->spare_slabs);
        slabs->spare_count--;
    } else if (slabs->free_slabs != 0 && is_granted()) {
        number = list_pop(slabs, &slabs->free_slabs);
    } else {
        number = slab_cut(slabs);
    }
    return number;
}

static void slab_discard(struct slabs *slabs, uint32_t number, struct slab *slab) {
    region_discard(&slabs->region, (size_t)number * SLABS_SLAB_BYTES,
                   (size_t)slab->touched_pages * SLAB_PAGE_BYTES);
    slab_account(slabs, -(int64_t)slab->touched_pages * SLAB_PAGE_BYTES);
    slab->touched_pages = 0;
    list_push(slabs, &slabs->free_slabs, number);
}

void slab_retire(struct slabs *slabs, uint32_t number, struct slab *slab) {
    slab->class = SLAB_NO_CLASS;
    if (slabs->spare_count < SLAB_SPARES_MAX) {
        list_push(slabs, &slabs->spare_slabs, number);
        slabs->spare_count++;
        return;
    }
    slab_discard(slabs, number, slab);
}

void slabs_trim(struct slabs *slabs) {
    while (slabs->spare_slabs != 0) {
        uint32_t number = list_pop(slabs, &slabs->spare_slabs);
        slabs->spare_count--;
        slab_discard(slabs, number, slab_at(slabs, number));
    }
}

static uint32_t empty_validate(const struct slabs *slabs, uint32_t head, bool has_pages) {
    uint32_t length = 0;
    for (uint32_t number = head; number != 0; number = slab_at(slabs, number)->next) {
        const struct slab *slab = slab_at(slabs, number);
        check(slab->class == SLAB_NO_CLASS && (has_pages || slab->touched_pages == 0));
        length++;
        check(length <= slabs->slab_count);
    }
    return length;
}

uint32_t slab_validate_empty(const struct slabs *slabs) {
    uint32_t spares = empty_validate(slabs, slabs->spare_slabs, true);
    check(spares == slabs->spare_count && spares <= SLAB_SPARES_MAX);
    return spares + empty_validate(slabs, slabs->free_slabs, false);
}
