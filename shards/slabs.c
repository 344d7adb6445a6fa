/* Slots of many sizes, and objects of any size, in slabs of 64 KiB, cut from one region.
 *
 *     region   |H| slab 1 | slab 2 | … | slab 2047 |H| slab 2049 | …
 *     H        the headers of the 2047 slabs behind it, 32 bytes each: one group, 128 MiB
 *     slab     | slot | slot | free slot: reference of the next one | … | never touched yet … | rest |
 *
 * Headers lie together instead of each at the start of its slab for three reasons: at multiples of 64 KiB they would
 * all fall into the same few sets of the processor's caches; an empty slab can give back all of its pages
 * and still be remembered; and slab 0, being a group's H, makes reference 0 mean "none" without wasting anything.
 *
 * A slab's fresh slots are handed out in order, and only when no freed one is left, so pages are touched
 * one at a time: a store with ten keys costs ten pages, not ten slabs. What is reported to
 * `memory_account` is touched pages. An empty slab gives its pages back, except that SPARES_MAX of them
 * keep theirs: so a client that sets and deletes one key in turn costs no system call a round.
 *
 * Why not malloc: jemalloc rounds 88 bytes up to 96, glibc adds 8 and rounds to 16, and both name memory by 64 bits,
 * which costs a bucket five of its twelve slots. What is lost here: the rest of a slab (64 of 65536 bytes
 * for slots of 88), and slots of slabs that became sparse, until they are empty or used again.
 *
 * Somewhat larger slots. Where sizes are mixed, freed slots are seldom of the size that is asked for next: a store
 * at its limit would touch a page for it, and has to evict for the page. So a freed slot up to a quarter larger is
 * taken first. What it wastes was free anyway. Mixed sizes of 64 B to 8 KiB, allkeys-adaptive at 56 MB
 * (bench/README.md): Zipf 0.7 hits 45.8 % instead of 45.1, 0.99 78.7 instead of 78.5, scans 61.7 instead of 61.5;
 * taking up to half larger ones gains another tenth of that.
 *
 * Larger objects. With slots of their own sizes, too, a shard of a few megabytes would have more classes than slabs, and
 * much of its memory in freed slots that wait for their size (56 MB of 64 B to 8 KiB in 32 shards: 19 % with slots up to
 * 2 KiB; with some up to 16 KiB, Zipf 0.7 hit 42.3 % instead of 45.1). On the allocator's heap they lose a tenth to its
 * size classes, cannot be drained, and their pages stay when they go. So objects past SLABS_SLOT_MAX share slabs, in runs
 * of units (runs.h): one is put where the longest free run is the shortest that will do, so that long runs are kept for
 * what needs them. What lies idle between them is drained as in any sparse slab, once it is more than a sixteenth, as long
 * as there are holes: objects of 8 KiB alone leave a ninth of each slab idle that no moving can gain.
 *
 * Draining. When sizes shift, slabs of the old size lose their objects here and there, and none becomes empty:
 * their memory is of no use to the new size. So where a class has as many freed slots as a slab has slots, what
 * is left in its sparsest slab fits into the holes of the others. That slab leaves its list, hands out nothing
 * any more, and gives its objects one by one to whoever can move them (they know who points to them), a few a
 * write; once it is empty it returns its pages. Nothing is evicted for the sake of a page. Which of its slots
 * are in use is found once, by walking its chain of freed ones. Sparsest means: of the DRAIN_LOOKS_MAX first of
 * the class's list, or those with the longest free runs.
 * zsmalloc (Minchan Kim) does the same with pages of compressed memory.
 *
 * Invariants (slabs_validate):
 *   1. A slab is in exactly one state: of a class and full (in no list); of a class with room (in partial[class]); of runs
 *      (in runs[], by its longest); draining (in no list); spare; free. used = 0 only in the last two.
 *   2. In a slab of slots: slots [0, fresh) were handed out at least once; of these, `used` are in use and the others
 *      are in the free chain, each once, and marked as free.
 *   3. used_bytes, freed_bytes, freed[] and resident_bytes are the sums over the slabs.
 *
 * Under the address sanitizer whatever is not in use is poisoned, so a stale reference is caught at its first use. */
#include "slabs.h"

#include <assert.h>
#include <stdalign.h>
#include <stdbool.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"

#if defined(__has_feature)
#define SLABS_HAS_FEATURE(name) __has_feature(name)
#else
#define SLABS_HAS_FEATURE(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || SLABS_HAS_FEATURE(address_sanitizer)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size)   ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

/* Sanitizers map shadow memory of their own and leave less room to reserve. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                               \
    SLABS_HAS_FEATURE(address_sanitizer) || SLABS_HAS_FEATURE(thread_sanitizer)
static const size_t RESERVE_DEFAULT = (size_t)1 << 30;
#else
static const size_t RESERVE_DEFAULT = (size_t)32 << 30;
#endif
static const size_t RESERVE_MAX = (size_t)32 << 30; /* 2^32 units */

enum {
    SLAB_UNITS = SLABS_SLAB_BYTES / SLABS_UNIT,
    NO_CLASS = 255,     /* of a free or spare slab */
    PAGE_BYTES = 4096,  /* what touched memory is counted in, also where pages are larger */
    SPARES_MAX = 1,     /* empty slabs that keep their pages, a shard */
    GROUP_SLABS = 2048, /* the first holds the headers of the others */
    DRAIN_LOOKS_MAX = 32,
    LARGER_DIVISOR = 4, /* a freed slot is taken that is larger by at most this part */
    DRAIN_WORDS = SLABS_SLAB_BYTES / SLABS_UNIT / 64, /* a bit a slot, of the smallest */
    UNITS_A_PAGE = PAGE_BYTES / RUNS_UNIT,
    RUN_REFERENCES = RUNS_UNIT / SLABS_UNIT,
    RUNS_IDLE_PART =
        16, /* of the slabs of runs: more than that, in free units, is worth draining */
};

struct slab {
    alignas(32) uint32_t next; /* in the list it is in */
    uint32_t previous;         /* in a partial list */
    uint32_t free_slot;        /* head of the chain of freed slots, 0 for none */
    uint16_t fresh;            /* slots handed out at least once */
    uint16_t used;             /* slots in use; units, of runs */
    uint16_t
        capacity; /* slots in all; of runs, the units of the longest free one, at most SLABS_RUN_MAX */
    uint8_t class;         /* or NO_CLASS */
    uint8_t touched_pages; /* of its 16 */
    uint32_t slot_units;   /* 0: runs */
};
static_assert(sizeof(struct slab) * GROUP_SLABS == SLABS_SLAB_BYTES,
              "a group's headers fill one slab");
static_assert((int)SLABS_CLASSES_ALL < (int)NO_CLASS, "a class fits its byte");

/* ---- Sizes ----------------------------------------------------------------------------------- */

static uint32_t class_of(size_t size) {
    return (uint32_t)((size + SLABS_UNIT - 1) / SLABS_UNIT - 1);
}

static size_t class_bytes(uint32_t class) {
    if (class == SLABS_CLASS_FIXED) return SLABS_FIXED_BYTES;
    return (size_t)(class + 1) * SLABS_UNIT;
}

/* ---- Addresses ------------------------------------------------------------------------------- */

static struct slab *slab_at(const struct slabs *slabs, uint32_t number) {
    char *headers = slabs->region.base + (size_t)(number & ~(GROUP_SLABS - 1u)) * SLABS_SLAB_BYTES;
    return (struct slab *)(void *)headers + (number & (GROUP_SLABS - 1u));
}

static char *slab_memory(const struct slabs *slabs, uint32_t number) {
    return slabs->region.base + (size_t)number * SLABS_SLAB_BYTES;
}

/* The chain of freed slots runs through the slots themselves, which are poisoned while they are free. */
struct free_slot {
    uint32_t next;
    uint32_t mark; /* SLABS_FREE_MARK: told from an object by whoever walks over the slab */
};
static_assert(sizeof(struct free_slot) == SLABS_UNIT, "it fits the smallest slot");

__attribute__((no_sanitize("address"))) static uint32_t free_slot_next(const struct slabs *slabs,
                                                                       uint32_t slot) {
    return ((const struct free_slot *)slabs_at(slabs, slot))->next;
}

__attribute__((no_sanitize("address"))) static bool is_free_slot(const struct slabs *slabs,
                                                                 uint32_t slot) {
    return ((const struct free_slot *)slabs_at(slabs, slot))->mark == SLABS_FREE_MARK;
}

static void account(struct slabs *slabs, int64_t bytes) {
    slabs->resident_bytes = (uint64_t)((int64_t)slabs->resident_bytes + bytes);
    memory_account(bytes);
}

/* ---- Lists of slabs -------------------------------------------------------------------------- */

static uint32_t *list_of(struct slabs *slabs, const struct slab *slab) {
    if (slab->class == SLABS_CLASS_RUNS) return &slabs->runs[slab->capacity / SLABS_RUN_STEP];
    return &slabs->partial[slab->class];
}

static void partial_push(struct slabs *slabs, uint32_t number, struct slab *slab) {
    uint32_t *head = list_of(slabs, slab);
    slab->previous = 0;
    slab->next = *head;
    if (*head != 0) slab_at(slabs, *head)->previous = number;
    *head = number;
}

static void partial_remove(struct slabs *slabs, struct slab *slab) {
    if (slab->previous != 0) {
        slab_at(slabs, slab->previous)->next = slab->next;
    } else {
        *list_of(slabs, slab) = slab->next;
    }
    if (slab->next != 0) slab_at(slabs, slab->next)->previous = slab->previous;
}

static uint32_t list_pop(struct slabs *slabs, uint32_t *head) {
    uint32_t number = *head;
    *head = slab_at(slabs, number)->next;
    return number;
}

static void list_push(struct slabs *slabs, uint32_t *head, uint32_t number) {
    slab_at(slabs, number)->next = *head;
    *head = number;
}

/* ---- Slabs ----------------------------------------------------------------------------------- */

/* Whether the counted allocator would say yes: so that tests which refuse its allocations also refuse ours. Release
 * builds ask for each new slab only, which no measurement can see; debug builds for each slot. */
static bool is_granted(void) {
    void *probe = memory_allocate(1);
    memory_free(probe);
    return probe != NULL;
}

#ifdef NDEBUG
static bool is_slot_granted(void) {
    return true;
}
#else
static bool is_slot_granted(void) {
    return is_granted();
}
#endif

static bool starts_header_page(uint32_t number) {
    enum { HEADERS_A_PAGE = PAGE_BYTES / sizeof(struct slab) };
    return number % HEADERS_A_PAGE == 0 || number % GROUP_SLABS == 1;
}

/* Cut the next slab, and its group's headers when it is the first of a group. Returns 0 when refused. */
static uint32_t slab_cut(struct slabs *slabs) {
    uint32_t number = slabs->slab_count;
    if (number % GROUP_SLABS == 0) number++;
    size_t end = ((size_t)number + 1) * SLABS_SLAB_BYTES;
    if (end > slabs->region.reserved_bytes || !is_granted()) return 0;
    if (region_commit(&slabs->region, end) != STATUS_OK) return 0;
    slabs->slab_count = number + 1;
    if (starts_header_page(number)) account(slabs, PAGE_BYTES);
    slab_at(slabs, number)->touched_pages = 0;
    ASAN_POISON_MEMORY_REGION(slab_memory(slabs, number), SLABS_SLAB_BYTES);
    return number;
}

/* An empty slab, in no list: a spare one, else one without pages, else a new one. 0 when refused. */
static uint32_t slab_find(struct slabs *slabs) {
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

/* An empty slab of `class`, in its partial list. 0 when refused. */
static uint32_t slab_open(struct slabs *slabs, uint32_t class) {
    uint32_t number = slab_find(slabs);
    if (number == 0) return 0;
    struct slab *slab = slab_at(slabs, number);
    size_t bytes = class_bytes(class);
    slab->class = (uint8_t) class;
    slab->free_slot = 0;
    slab->fresh = 0;
    slab->used = 0;
    slab->capacity = (uint16_t)(SLABS_SLAB_BYTES / bytes);
    slab->slot_units = (uint32_t)(bytes / SLABS_UNIT);
    partial_push(slabs, number, slab);
    return number;
}

static void freed_add(struct slabs *slabs, const struct slab *slab, int32_t slots) {
    slabs->freed[slab->class] += (uint32_t)slots;
    slabs->freed_bytes += (uint64_t)((int64_t)slots * slab->slot_units * SLABS_UNIT);
}

static void slab_discard(struct slabs *slabs, uint32_t number, struct slab *slab) {
    region_discard(&slabs->region, (size_t)number * SLABS_SLAB_BYTES,
                   (size_t)slab->touched_pages * PAGE_BYTES);
    account(slabs, -(int64_t)slab->touched_pages * PAGE_BYTES);
    slab->touched_pages = 0;
    list_push(slabs, &slabs->free_slabs, number);
}

/* It is empty: it belongs to no class, and keeps its pages only if few others do. */
static void slab_retire(struct slabs *slabs, uint32_t number, struct slab *slab) {
    slab->class = NO_CLASS;
    if (slabs->spare_count < SPARES_MAX) {
        list_push(slabs, &slabs->spare_slabs, number);
        slabs->spare_count++;
        return;
    }
    slab_discard(slabs, number, slab);
}

/* The last slot was given back. */
static void slab_close(struct slabs *slabs, uint32_t number, struct slab *slab) {
    if (number == slabs->draining) {
        slabs->draining = 0;
    } else {
        partial_remove(slabs, slab);
    }
    freed_add(slabs, slab, -slab->fresh);
    slab_retire(slabs, number, slab);
}

/* Its bytes up to `end` are to be used. */
static void touch(struct slabs *slabs, struct slab *slab, size_t end) {
    uint32_t pages = (uint32_t)((end + PAGE_BYTES - 1) / PAGE_BYTES);
    if (pages <= slab->touched_pages) return;
    account(slabs, (int64_t)(pages - slab->touched_pages) * PAGE_BYTES);
    slab->touched_pages = (uint8_t)pages;
}

static uint32_t slab_take_fresh(struct slabs *slabs, uint32_t number, struct slab *slab) {
    touch(slabs, slab, ((size_t)slab->fresh + 1) * slab->slot_units * SLABS_UNIT);
    return number * SLAB_UNITS + slab->fresh++ * slab->slot_units;
}

static uint32_t slab_take(struct slabs *slabs, uint32_t number, struct slab *slab) {
    uint32_t slot = slab->free_slot;
    if (slot != 0) {
        slab->free_slot = free_slot_next(slabs, slot);
        freed_add(slabs, slab, -1);
    } else {
        slot = slab_take_fresh(slabs, number, slab);
    }
    slab->used++;
    if (slab->used == slab->capacity) partial_remove(slabs, slab);
    return slot;
}

void slabs_trim(struct slabs *slabs) {
    while (slabs->spare_slabs != 0) {
        uint32_t number = list_pop(slabs, &slabs->spare_slabs);
        slabs->spare_count--;
        slab_discard(slabs, number, slab_at(slabs, number));
    }
}

/* ---- Runs ------------------------------------------------------------------------------------ */

static struct runs *runs_of(const struct slabs *slabs, uint32_t number) {
    return (struct runs *)(void *)slab_memory(slabs, number);
}

/* Free units of touched pages. */
static uint32_t run_units_freed(const struct slab *slab) {
    return slab->touched_pages * (uint32_t)UNITS_A_PAGE - RUNS_OWN_UNITS - slab->used;
}

/* Before a change `sign` is -1, after it 1. */
static void run_units_count(struct slabs *slabs, const struct slab *slab, int64_t sign) {
    int64_t units = sign * run_units_freed(slab);
    slabs->freed[SLABS_CLASS_RUNS] += (uint32_t)units;
    slabs->freed_bytes += (uint64_t)(units * RUNS_UNIT);
    slabs->used_bytes += (uint64_t)(sign * slab->used * RUNS_UNIT);
}

static uint16_t run_longest(const struct slabs *slabs, uint32_t number) {
    uint32_t longest = runs_longest(runs_of(slabs, number));
    return (uint16_t)(longest < SLABS_RUN_MAX ? longest : SLABS_RUN_MAX);
}

static uint32_t run_slab_open(struct slabs *slabs) {
    uint32_t number = slab_find(slabs);
    if (number == 0) return 0;
    struct slab *slab = slab_at(slabs, number);
    slab->class = SLABS_CLASS_RUNS;
    slab->free_slot = 0;
    slab->slot_units = 0;
    slab->fresh = slab->used = 0;
    slab->capacity = SLABS_RUN_MAX;
    ASAN_UNPOISON_MEMORY_REGION(slab_memory(slabs, number), sizeof(struct runs));
    touch(slabs, slab, sizeof(struct runs));
    runs_init(runs_of(slabs, number));
    run_units_count(slabs, slab, 1);
    slabs->run_slabs++;
    partial_push(slabs, number, slab);
    return number;
}

static void run_slab_close(struct slabs *slabs, uint32_t number, struct slab *slab) {
    run_units_count(slabs, slab, -1);
    slabs->run_slabs--;
    ASAN_POISON_MEMORY_REGION(slab_memory(slabs, number), sizeof(struct runs));
    slab_retire(slabs, number, slab);
}

/* The slab whose longest run is the shortest that will do; 0 for none. */
static uint32_t run_slab_for(const struct slabs *slabs, uint32_t units) {
    uint32_t list = (units + SLABS_RUN_STEP - 1) / SLABS_RUN_STEP; /* all in it have as many */
    while (list < SLABS_RUN_LISTS - 1 && slabs->runs[list] == 0) {
        list++;
    }
    return slabs->runs[list];
}

static __attribute__((noinline)) uint32_t run_allocate(struct slabs *slabs, size_t size) {
    if (!is_slot_granted()) return 0;
    uint32_t units = (uint32_t)((size + RUNS_UNIT - 1) / RUNS_UNIT);
    uint32_t number = run_slab_for(slabs, units);
    if (number == 0) number = run_slab_open(slabs);
    if (number == 0) return 0;
    struct slab *slab = slab_at(slabs, number);
    partial_remove(slabs, slab);
    run_units_count(slabs, slab, -1);
    uint32_t unit = runs_take(runs_of(slabs, number), units);
    touch(slabs, slab, (size_t)(unit + units) * RUNS_UNIT);
    slab->used = (uint16_t)(slab->used + units);
    slab->capacity = run_longest(slabs, number);
    run_units_count(slabs, slab, 1);
    partial_push(slabs, number, slab);
    ASAN_UNPOISON_MEMORY_REGION(slab_memory(slabs, number) + (size_t)unit * RUNS_UNIT,
                                (size_t)units * RUNS_UNIT);
    return number * SLAB_UNITS + unit * RUN_REFERENCES;
}

static __attribute__((noinline)) void run_free(struct slabs *slabs, uint32_t reference) {
    uint32_t number = reference / SLAB_UNITS, unit = reference % SLAB_UNITS / RUN_REFERENCES;
    check(reference % RUN_REFERENCES == 0);
    struct slab *slab = slab_at(slabs, number);
    bool is_listed = number != slabs->draining;
    if (is_listed) partial_remove(slabs, slab);
    if (is_listed) slabs->runs_are_packed = false;
    run_units_count(slabs, slab, -1);
    uint32_t units = runs_give(runs_of(slabs, number), unit);
    slab->used = (uint16_t)(slab->used - units);
    run_units_count(slabs, slab, 1);
    ASAN_POISON_MEMORY_REGION(slabs_at(slabs, reference), (size_t)units * RUNS_UNIT);
    if (slab->used == 0) {
        if (!is_listed) slabs->draining = 0;
        run_slab_close(slabs, number, slab);
        return;
    }
    slab->capacity = run_longest(slabs, number);
    if (is_listed) partial_push(slabs, number, slab);
}

/* ---- Draining -------------------------------------------------------------------------------- */

static void drain_mark_free(struct slabs *slabs, uint32_t slot) {
    slabs->drain_free[slot / 64] |= UINT64_C(1) << slot % 64;
}

static size_t freed_bytes_of(const struct slabs *slabs, uint32_t class) {
    return slabs->freed[class] * (class == SLABS_CLASS_RUNS ? RUNS_UNIT : class_bytes(class));
}

static bool class_can_drain(const struct slabs *slabs, uint32_t class) {
    if (class == SLABS_CLASS_RUNS) {
        size_t idle = freed_bytes_of(slabs, class);
        return !slabs->runs_are_packed && idle >= SLABS_SLAB_BYTES &&
               idle >= (size_t)slabs->run_slabs * SLABS_SLAB_BYTES / RUNS_IDLE_PART;
    }
    return slabs->freed[class] >= SLABS_SLAB_BYTES / class_bytes(class);
}

/* A class that would gain most: that with the most bytes given back. SLABS_CLASS_FIXED, which is never drained, for
 * none. */
static uint32_t class_to_drain(const struct slabs *slabs) {
    uint32_t best = SLABS_CLASS_FIXED;
    size_t best_bytes = 0;
    for (uint32_t class = 0; class < SLABS_CLASSES_ALL; class ++) {
        size_t bytes = freed_bytes_of(slabs, class);
        if (bytes <= best_bytes || class == SLABS_CLASS_FIXED || !class_can_drain(slabs, class))
            continue;
        best = class;
        best_bytes = bytes;
    }
    return best;
}

/* The same of runs: of those with the longest free ones. */
static uint32_t sparsest_of_runs(const struct slabs *slabs) {
    uint32_t best = 0, looks = 0;
    for (uint32_t list = SLABS_RUN_LISTS; list-- > 0 && looks < DRAIN_LOOKS_MAX;) {
        for (uint32_t number = slabs->runs[list]; number != 0 && looks < DRAIN_LOOKS_MAX;
             number = slab_at(slabs, number)->next) {
            looks++;
            if (best == 0 || slab_at(slabs, number)->used < slab_at(slabs, best)->used)
                best = number;
        }
    }
    return best;
}

static uint32_t sparsest_of(const struct slabs *slabs, uint32_t class) {
    if (class == SLABS_CLASS_RUNS) return sparsest_of_runs(slabs);
    uint32_t best = slabs->partial[class];
    uint32_t number = best;
    for (uint32_t looks = 0; number != 0 && looks < DRAIN_LOOKS_MAX; looks++) {
        const struct slab *slab = slab_at(slabs, number);
        if (slab->used < slab_at(slabs, best)->used) best = number;
        number = slab->next;
    }
    return best;
}

/* Note which of its slots are free, those never handed out included. */
static void drain_map(struct slabs *slabs, const struct slab *slab) {
    memset(slabs->drain_free, 0, DRAIN_WORDS * sizeof(uint64_t));
    for (uint32_t slot = slab->free_slot; slot != 0; slot = free_slot_next(slabs, slot)) {
        drain_mark_free(slabs, slot % SLAB_UNITS / slab->slot_units);
    }
    for (uint32_t slot = slab->fresh; slot < slab->capacity; slot++) {
        drain_mark_free(slabs, slot);
    }
}

static bool drain_start(struct slabs *slabs) {
    uint32_t class = class_to_drain(slabs);
    if (class == SLABS_CLASS_FIXED) return false;
    if (slabs->drain_free == NULL) {
        slabs->drain_free = memory_allocate(DRAIN_WORDS * sizeof(uint64_t));
        if (slabs->drain_free == NULL) return false;
    }
    uint32_t number = sparsest_of(slabs, class);
    struct slab *slab = slab_at(slabs, number);
    partial_remove(slabs, slab);
    if (class != SLABS_CLASS_RUNS) drain_map(slabs, slab);
    slabs->draining = number;
    slabs->drain_slot = 0;
    return true;
}

bool slabs_can_drain(const struct slabs *slabs) {
    if (slabs->draining != 0) return slab_at(slabs, slabs->draining)->class != SLABS_CLASS_RUNS;
    for (uint32_t class = 0; class < SLABS_CLASSES; class ++) {
        if (class_can_drain(slabs, class)) return true;
    }
    return false;
}

/* The next object, if there is a hole for it. */
static uint32_t drain_next_run(struct slabs *slabs) {
    const struct runs *runs = runs_of(slabs, slabs->draining);
    uint32_t unit = runs_next(runs, 0);
    if (run_slab_for(slabs, runs_units(runs, unit)) != 0)
        return slabs->draining * SLAB_UNITS + unit * RUN_REFERENCES;
    slabs->runs_are_packed = true;
    slabs_drain_stop(slabs);
    return 0;
}

uint32_t slabs_drain_next(struct slabs *slabs) {
    if (slabs->draining == 0 && !drain_start(slabs)) return 0;
    const struct slab *slab = slab_at(slabs, slabs->draining);
    if (slab->class == SLABS_CLASS_RUNS) return drain_next_run(slabs);
    if (slabs->partial[slab->class] ==
        0) { /* the holes were filled by others: it would open a new slab */
        slabs_drain_stop(slabs);
        return 0;
    }
    while ((slabs->drain_free[slabs->drain_slot / 64] >> slabs->drain_slot % 64 & 1) != 0) {
        slabs->drain_slot++;
        check(slabs->drain_slot < slab->capacity); /* an empty slab would have been closed */
    }
    return slabs->draining * SLAB_UNITS + slabs->drain_slot * slab->slot_units;
}

void slabs_drain_stop(struct slabs *slabs) {
    if (slabs->draining == 0) return;
    partial_push(slabs, slabs->draining, slab_at(slabs, slabs->draining));
    slabs->draining = 0;
}

/* ---- Walking --------------------------------------------------------------------------------- */

struct slabs_walk slabs_walk_start(const struct slabs *slabs, uint32_t number) {
    return (struct slabs_walk){.number = number, .slot_units = slab_at(slabs, number)->slot_units};
}

static uint32_t walk_runs(const struct slabs *slabs, struct slabs_walk *walk, uint32_t *looks) {
    uint32_t unit = *looks > 0 ? runs_next(runs_of(slabs, walk->number), walk->slot) : RUNS_UNITS;
    if (unit == RUNS_UNITS) return 0;
    --*looks;
    walk->slot = unit + 1;
    return walk->number * SLAB_UNITS + unit * RUN_REFERENCES;
}

uint32_t slabs_walk_next(const struct slabs *slabs, struct slabs_walk *walk, uint32_t *looks) {
    const struct slab *slab = slab_at(slabs, walk->number);
    if (slab->class == SLABS_CLASS_FIXED || slab->class == NO_CLASS) return 0;
    if (slab->slot_units != walk->slot_units) return 0;
    if (slab->class == SLABS_CLASS_RUNS) return walk_runs(slabs, walk, looks);
    uint32_t first = walk->number * SLAB_UNITS;
    while (walk->slot<slab->fresh && * looks> 0) {
        uint32_t reference = first + walk->slot++ * walk->slot_units;
        --*looks;
        if (!is_free_slot(slabs, reference)) return reference;
    }
    return 0;
}

/* ---- The interface --------------------------------------------------------------------------- */

enum status slabs_init(struct slabs *slabs, size_t reserve_bytes) {
    *slabs = (struct slabs){0};
    if (reserve_bytes == 0) reserve_bytes = RESERVE_DEFAULT;
    if (reserve_bytes > RESERVE_MAX) reserve_bytes = RESERVE_MAX;
    reserve_bytes -= reserve_bytes % SLABS_SLAB_BYTES;
    if (reserve_bytes == 0) return STATUS_NO_MEMORY;
    return region_init(&slabs->region, reserve_bytes);
}

void slabs_release(struct slabs *slabs) {
    memory_account(-(int64_t)slabs->resident_bytes);
    memory_free(slabs->drain_free);
    /* The sanitizer would still hold the range for poisoned when something else is mapped there. */
    ASAN_UNPOISON_MEMORY_REGION(slabs->region.base, slabs->region.committed_bytes);
    region_release(&slabs->region);
    *slabs = (struct slabs){0};
}

/* Would the slab's next slot touch a page? */
static bool touches_page(const struct slab *slab) {
    if (slab->free_slot != 0) return false;
    size_t end = ((size_t)slab->fresh + 1) * slab->slot_units * SLABS_UNIT;
    return end > (size_t)slab->touched_pages * PAGE_BYTES;
}

/* A slab that has a freed slot, somewhat larger than those of `class`; 0 for none. */
static __attribute__((noinline)) uint32_t larger_with_freed(const struct slabs *slabs,
                                                            uint32_t class) {
    size_t most = class_bytes(class) + class_bytes(class) / LARGER_DIVISOR;
    for (class ++; class < SLABS_CLASSES && class_bytes(class) <= most; class ++) {
        uint32_t number = slabs->partial[class];
        if (number != 0 && slab_at(slabs, number)->free_slot != 0) return number;
    }
    return 0;
}

/* The slab to take a slot of `class` from. */
static inline uint32_t slab_for(struct slabs *slabs, uint32_t class) {
    uint32_t number = slabs->partial[class];
    if (__builtin_expect(number != 0 && !touches_page(slab_at(slabs, number)), 1)) return number;
    if (slabs->freed_bytes != 0 && class < SLABS_CLASSES) {
        uint32_t larger = larger_with_freed(slabs, class);
        if (larger != 0) return larger;
    }
    return number != 0 ? number : slab_open(slabs, class);
}

static inline uint32_t allocate(struct slabs *slabs, uint32_t class) {
    if (!is_slot_granted()) return 0;
    uint32_t number = slab_for(slabs, class);
    if (number == 0) return 0;
    struct slab *slab = slab_at(slabs, number);
    uint32_t slot = slab_take(slabs, number, slab);
    size_t bytes = (size_t)slab->slot_units * SLABS_UNIT;
    slabs->used_bytes += bytes;
    ASAN_UNPOISON_MEMORY_REGION(slabs_at(slabs, slot), bytes);
    return slot;
}

uint32_t slabs_allocate(struct slabs *slabs, size_t size) {
    check_debug(size > 0 && size <= SLABS_OBJECT_MAX);
    if (__builtin_expect(size > SLABS_SLOT_MAX, 0)) return run_allocate(slabs, size);
    return allocate(slabs, class_of(size));
}

uint32_t slabs_allocate_fixed(struct slabs *slabs) {
    return allocate(slabs, SLABS_CLASS_FIXED);
}

void slabs_free(struct slabs *slabs, uint32_t reference) {
    uint32_t number = reference / SLAB_UNITS;
    struct slab *slab = slab_at(slabs, number);
    check(slab->used > 0 && slab->class != NO_CLASS);
    if (__builtin_expect(slab->class == SLABS_CLASS_RUNS, 0)) {
        run_free(slabs, reference);
        return;
    }
    check_debug(reference % SLAB_UNITS % slab->slot_units == 0);
    size_t bytes = (size_t)slab->slot_units * SLABS_UNIT;
    *(struct free_slot *)slabs_at(slabs, reference) =
        (struct free_slot){.next = slab->free_slot, .mark = SLABS_FREE_MARK};
    ASAN_POISON_MEMORY_REGION(slabs_at(slabs, reference), bytes);
    slab->free_slot = reference;
    slabs->used_bytes -= bytes;
    freed_add(slabs, slab, 1);
    if (number == slabs->draining) {
        drain_mark_free(slabs, reference % SLAB_UNITS / slab->slot_units);
    } else if (slab->used == slab->capacity) {
        partial_push(slabs, number, slab);
    }
    slab->used--;
    if (slab->used == 0) slab_close(slabs, number, slab);
}

/* ---- Validation ------------------------------------------------------------------------------ */

static void run_slab_validate(const struct slabs *slabs, uint32_t number) {
    const struct slab *slab = slab_at(slabs, number);
    const struct runs *runs = runs_of(slabs, number);
    check(slab->used > 0 && slab->used == runs_used(runs));
    check(slab->capacity == run_longest(slabs, number));
    uint32_t units = 0;
    struct runs copy = *runs;
    for (uint32_t unit = 0; (unit = runs_next(runs, unit)) < RUNS_UNITS; unit++) {
        units += runs_give(&copy, unit);
    }
    check(units == slab->used && runs_used(&copy) == 0);
}

static void slab_validate(const struct slabs *slabs, uint32_t number) {
    const struct slab *slab = slab_at(slabs, number);
    if (slab->class == NO_CLASS) return;
    check(slab->class < SLABS_CLASSES_ALL);
    if (slab->class == SLABS_CLASS_RUNS) {
        run_slab_validate(slabs, number);
        return;
    }
    check(slab->slot_units * SLABS_UNIT == class_bytes(slab->class));
    check(slab->capacity == SLABS_SLAB_BYTES / class_bytes(slab->class));
    check(slab->used > 0 && slab->used <= slab->fresh && slab->fresh <= slab->capacity);
    uint32_t freed = 0;
    for (uint32_t slot = slab->free_slot; slot != 0; slot = free_slot_next(slabs, slot)) {
        check(slot / SLAB_UNITS == number);
        check(slot % SLAB_UNITS % slab->slot_units == 0);
        check(slot % SLAB_UNITS / slab->slot_units < slab->fresh);
        check(is_free_slot(slabs, slot));
        freed++;
        check(freed <= slab->fresh); /* a chain that runs in a circle */
    }
    check(freed + slab->used == slab->fresh);
}

/* Returns how many slabs of runs there are in lists. */
static uint32_t run_lists_validate(const struct slabs *slabs) {
    uint32_t length = 0;
    for (uint32_t list = 0; list < SLABS_RUN_LISTS; list++) {
        uint32_t previous = 0;
        for (uint32_t number = slabs->runs[list]; number != 0;) {
            const struct slab *slab = slab_at(slabs, number);
            check(slab->class == SLABS_CLASS_RUNS && slab->capacity / SLABS_RUN_STEP == list);
            check(slab->previous == previous && number != slabs->draining);
            previous = number;
            number = slab->next;
            length++;
            check(length <= slabs->slab_count);
        }
    }
    return length;
}

/* Returns how many slabs of `class` have room, having checked their list. */
static uint32_t partial_validate(const struct slabs *slabs, uint32_t class) {
    uint32_t length = 0;
    uint32_t previous = 0;
    for (uint32_t number = slabs->partial[class]; number != 0;) {
        const struct slab *slab = slab_at(slabs, number);
        check(slab->class == class && slab->used < slab->capacity && slab->previous == previous);
        previous = number;
        number = slab->next;
        length++;
        check(length <= slabs->slab_count);
    }
    return length;
}

static uint32_t empty_validate(const struct slabs *slabs, uint32_t head, bool has_pages) {
    uint32_t length = 0;
    for (uint32_t number = head; number != 0; number = slab_at(slabs, number)->next) {
        const struct slab *slab = slab_at(slabs, number);
        check(slab->class == NO_CLASS && (has_pages || slab->touched_pages == 0));
        length++;
        check(length <= slabs->slab_count);
    }
    return length;
}

void slabs_validate(const struct slabs *slabs) {
    uint64_t used_bytes = 0;
    uint64_t freed_bytes = 0;
    uint64_t resident_bytes = 0;
    uint32_t freed[SLABS_CLASSES_ALL] = {0};
    uint32_t with_room = 0, run_slabs = 0;
    uint32_t empty = 0;
    for (uint32_t number = 1; number < slabs->slab_count; number++) {
        if (number % GROUP_SLABS == 0) continue;
        const struct slab *slab = slab_at(slabs, number);
        slab_validate(slabs, number);
        if (starts_header_page(number)) resident_bytes += PAGE_BYTES;
        resident_bytes += (uint64_t)slab->touched_pages * PAGE_BYTES;
        if (slab->class == NO_CLASS) {
            empty++;
            continue;
        }
        if (slab->class == SLABS_CLASS_RUNS) {
            run_slabs++;
            used_bytes += (uint64_t)slab->used * RUNS_UNIT;
            freed[SLABS_CLASS_RUNS] += run_units_freed(slab);
            freed_bytes += (uint64_t)run_units_freed(slab) * RUNS_UNIT;
            continue;
        }
        used_bytes += (uint64_t)slab->used * slab->slot_units * SLABS_UNIT;
        freed[slab->class] += slab->fresh - slab->used;
        freed_bytes += (uint64_t)(slab->fresh - slab->used) * slab->slot_units * SLABS_UNIT;
        check(number != slabs->draining || slab->used < slab->capacity);
        with_room += slab->used < slab->capacity && number != slabs->draining;
    }
    for (uint32_t class = 0; class < SLABS_CLASSES_ALL; class ++) {
        check(freed[class] == slabs->freed[class]);
        with_room -= partial_validate(slabs, class);
    }
    uint32_t spares = empty_validate(slabs, slabs->spare_slabs, true);
    check(spares == slabs->spare_count && spares <= SPARES_MAX);
    check(empty == spares + empty_validate(slabs, slabs->free_slabs, false));
    check(with_room == 0 && run_slabs == slabs->run_slabs);
    bool drains_runs =
        slabs->draining != 0 && slab_at(slabs, slabs->draining)->class == SLABS_CLASS_RUNS;
    check(run_slabs == run_lists_validate(slabs) + drains_runs);
    check(used_bytes == slabs->used_bytes && freed_bytes == slabs->freed_bytes);
    check(resident_bytes == slabs->resident_bytes);
}
