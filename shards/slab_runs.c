/* With slots of their own sizes, too, a shard of a few megabytes would have more classes than slabs, and
 * much of its memory in freed slots that wait for their size (56 MB of 64 B to 8 KiB in 32 shards: 19 % with slots up to
 * 2 KiB; with some up to 16 KiB, Zipf 0.7 hit 42.3 % instead of 45.1). On the allocator's heap they lose a tenth to its
 * size classes, cannot be drained, and their pages stay when they go. So objects past SLABS_SLOT_MAX share slabs, in runs
 * of units (runs.h): one is put where the longest free run is the shortest that will do, so that long runs are kept for
 * what needs them. What lies idle between them is drained as in any sparse slab, once it is more than a sixteenth, as long
 * as there are holes: objects of 8 KiB alone leave a ninth of each slab idle that no moving can gain. */
#include "slab_runs.h"

#include "base/check.h"

enum {
    UNITS_A_PAGE = SLAB_PAGE_BYTES / RUNS_UNIT,
    RUN_REFERENCES = RUNS_UNIT / SLABS_UNIT,
    IDLE_PART = 16, /* of the slabs of runs: more than that, in free units, is worth draining */
};

static struct runs *runs_of(const struct slabs *slabs, uint32_t number) {
    return (struct runs *)(void *)slab_memory(slabs, number);
}

uint32_t slab_runs_freed(const struct slab *slab) {
    return slab->touched_pages * (uint32_t)UNITS_A_PAGE - RUNS_OWN_UNITS - slab->used;
}

/* Before a change `sign` is -1, after it 1. */
static void units_count(struct slabs *slabs, const struct slab *slab, int64_t sign) {
    int64_t units = sign * slab_runs_freed(slab);
    slabs->freed[SLABS_CLASS_RUNS] += (uint32_t)units;
    slabs->freed_bytes += (uint64_t)(units * RUNS_UNIT);
    slabs->used_bytes += (uint64_t)(sign * slab->used * RUNS_UNIT);
}

static uint16_t longest_run(const struct slabs *slabs, uint32_t number) {
    uint32_t longest = runs_longest(runs_of(slabs, number));
    return (uint16_t)(longest < SLABS_RUN_MAX ? longest : SLABS_RUN_MAX);
}

static uint32_t slab_open(struct slabs *slabs) {
    uint32_t number = slab_find(slabs);
    if (number == 0) return 0;
    struct slab *slab = slab_at(slabs, number);
    slab->class = SLABS_CLASS_RUNS;
    slab->free_slot = 0;
    slab->slot_units = 0;
    slab->fresh = slab->used = 0;
    slab->capacity = SLABS_RUN_MAX;
    ASAN_UNPOISON_MEMORY_REGION(slab_memory(slabs, number), sizeof(struct runs));
    slab_touch(slabs, slab, sizeof(struct runs));
    runs_init(runs_of(slabs, number));
    units_count(slabs, slab, 1);
    slabs->run_slabs++;
    slab_list_push(slabs, number, slab);
    return number;
}

static void slab_close(struct slabs *slabs, uint32_t number, struct slab *slab) {
    units_count(slabs, slab, -1);
    slabs->run_slabs--;
    ASAN_POISON_MEMORY_REGION(slab_memory(slabs, number), sizeof(struct runs));
    slab_retire(slabs, number, slab);
}

/* The slab whose longest run is the shortest that will do; 0 for none. */
static uint32_t slab_for(const struct slabs *slabs, uint32_t units) {
    uint32_t list = (units + SLABS_RUN_STEP - 1) / SLABS_RUN_STEP; /* all in it have as many */
    while (list < SLABS_RUN_LISTS - 1 && slabs->runs[list] == 0) {
        list++;
    }
    return slabs->runs[list];
}

uint32_t slab_runs_allocate(struct slabs *slabs, size_t size) {
    if (!slab_grants_slot()) return 0;
    uint32_t units = (uint32_t)((size + RUNS_UNIT - 1) / RUNS_UNIT);
    uint32_t number = slab_for(slabs, units);
    if (number == 0) number = slab_open(slabs);
    if (number == 0) return 0;
    struct slab *slab = slab_at(slabs, number);
    slab_list_remove(slabs, slab);
    units_count(slabs, slab, -1);
    uint32_t unit = runs_take(runs_of(slabs, number), units);
    slab_touch(slabs, slab, (size_t)(unit + units) * RUNS_UNIT);
    slab->used = (uint16_t)(slab->used + units);
    slab->capacity = longest_run(slabs, number);
    units_count(slabs, slab, 1);
    slab_list_push(slabs, number, slab);
    ASAN_UNPOISON_MEMORY_REGION(slab_memory(slabs, number) + (size_t)unit * RUNS_UNIT,
                                (size_t)units * RUNS_UNIT);
    return number * SLAB_UNITS + unit * RUN_REFERENCES;
}

void slab_runs_free(struct slabs *slabs, uint32_t reference) {
    uint32_t number = reference / SLAB_UNITS, unit = reference % SLAB_UNITS / RUN_REFERENCES;
    check(reference % RUN_REFERENCES == 0);
    struct slab *slab = slab_at(slabs, number);
    bool is_listed = number != slabs->draining;
    if (is_listed) slab_list_remove(slabs, slab);
    if (is_listed) slabs->runs_are_packed = false;
    units_count(slabs, slab, -1);
    uint32_t units = runs_give(runs_of(slabs, number), unit);
    slab->used = (uint16_t)(slab->used - units);
    units_count(slabs, slab, 1);
    ASAN_POISON_MEMORY_REGION(slabs_at(slabs, reference), (size_t)units * RUNS_UNIT);
    if (slab->used == 0) {
        if (!is_listed) slabs->draining = 0;
        slab_close(slabs, number, slab);
        return;
    }
    slab->capacity = longest_run(slabs, number);
    if (is_listed) slab_list_push(slabs, number, slab);
}

bool slab_runs_can_drain(const struct slabs *slabs) {
    size_t idle = (size_t)slabs->freed[SLABS_CLASS_RUNS] * RUNS_UNIT;
    return !slabs->runs_are_packed && idle >= SLABS_SLAB_BYTES &&
           idle >= (size_t)slabs->run_slabs * SLABS_SLAB_BYTES / IDLE_PART;
}

uint32_t slab_runs_sparsest(const struct slabs *slabs) {
    uint32_t best = 0, looks = 0;
    for (uint32_t list = SLABS_RUN_LISTS; list-- > 0 && looks < SLAB_DRAIN_LOOKS_MAX;) {
        for (uint32_t number = slabs->runs[list]; number != 0 && looks < SLAB_DRAIN_LOOKS_MAX;
             number = slab_at(slabs, number)->next) {
            looks++;
            if (best == 0 || slab_at(slabs, number)->used < slab_at(slabs, best)->used)
                best = number;
        }
    }
    return best;
}

uint32_t slab_runs_drain_next(struct slabs *slabs) {
    const struct runs *runs = runs_of(slabs, slabs->draining);
    uint32_t unit = runs_next(runs, 0);
    if (slab_for(slabs, runs_units(runs, unit)) != 0)
        return slabs->draining * SLAB_UNITS + unit * RUN_REFERENCES;
    slabs->runs_are_packed = true;
    return 0;
}

uint32_t slab_runs_walk(const struct slabs *slabs, struct slabs_walk *walk, uint32_t *looks) {
    uint32_t unit = *looks > 0 ? runs_next(runs_of(slabs, walk->number), walk->slot) : RUNS_UNITS;
    if (unit == RUNS_UNITS) return 0;
    --*looks;
    walk->slot = unit + 1;
    return walk->number * SLAB_UNITS + unit * RUN_REFERENCES;
}

void slab_runs_validate(const struct slabs *slabs, uint32_t number) {
    const struct slab *slab = slab_at(slabs, number);
    const struct runs *runs = runs_of(slabs, number);
    check(slab->used > 0 && slab->used == runs_used(runs));
    check(slab->capacity == longest_run(slabs, number));
    uint32_t units = 0;
    struct runs copy = *runs;
    for (uint32_t unit = 0; (unit = runs_next(runs, unit)) < RUNS_UNITS; unit++) {
        units += runs_give(&copy, unit);
    }
    check(units == slab->used && runs_used(&copy) == 0);
}

uint32_t slab_runs_validate_lists(const struct slabs *slabs) {
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
