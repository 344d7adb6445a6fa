/* Plain searching of bits, a word at a time. */
#include "runs.h"

#include <assert.h>
#include <stdbool.h>

#include "base/check.h"

static_assert(sizeof(struct runs) % RUNS_UNIT == 0, "it takes whole units of its slab");

static bool get(const uint64_t *bits, uint32_t at) {
    return (bits[at / 64] >> at % 64 & 1) != 0;
}

/* The first bit at or after `at` that is set, or isn't; RUNS_UNITS for none. */
static uint32_t find(const uint64_t *bits, uint32_t at, bool set) {
    uint64_t skipped = at % 64 != 0 ? (UINT64_C(1) << at % 64) - 1 : 0;
    for (uint32_t i = at / 64; i < RUNS_WORDS; i++) {
        uint64_t word = (set ? bits[i] : ~bits[i]) & ~skipped;
        if (word != 0) return i * 64 + (uint32_t)__builtin_ctzll(word);
        skipped = 0;
    }
    return RUNS_UNITS;
}

static void fill(uint64_t *bits, uint32_t at, uint32_t count, bool set) {
    while (count > 0) {
        uint32_t here = 64 - at % 64 < count ? 64 - at % 64 : count;
        uint64_t mask = (here == 64 ? UINT64_MAX : (UINT64_C(1) << here) - 1) << at % 64;
        if (set) {
            bits[at / 64] |= mask;
        } else {
            bits[at / 64] &= ~mask;
        }
        at += here;
        count -= here;
    }
}

/* The first run of free units at or after `*at`, which becomes its first: how many; 0 for none. */
static uint32_t next_free(const struct runs *runs, uint32_t *at) {
    *at = find(runs->used, *at, false);
    return *at < RUNS_UNITS ? find(runs->used, *at, true) - *at : 0;
}

void runs_init(struct runs *runs) {
    *runs = (struct runs){0};
    fill(runs->used, 0, RUNS_OWN_UNITS, true);
}

uint32_t runs_longest(const struct runs *runs) {
    uint32_t longest = 0;
    for (uint32_t at = 0, units; (units = next_free(runs, &at)) != 0; at += units) {
        if (units > longest) longest = units;
    }
    return longest;
}

uint32_t runs_take(struct runs *runs, uint32_t units) {
    uint32_t best = RUNS_UNITS, best_units = RUNS_UNITS;
    for (uint32_t at = 0, found; (found = next_free(runs, &at)) != 0; at += found) {
        if (found < units || found >= best_units) continue;
        best = at;
        best_units = found;
    }
    check(best < RUNS_UNITS);
    fill(runs->used, best, units, true);
    fill(runs->starts, best, 1, true);
    return best;
}

uint32_t runs_units(const struct runs *runs, uint32_t unit) {
    check(unit < RUNS_UNITS && get(runs->starts, unit));
    uint32_t end = find(runs->used, unit, false);
    uint32_t next = unit + 1 < RUNS_UNITS ? find(runs->starts, unit + 1, true) : RUNS_UNITS;
    return (next < end ? next : end) - unit;
}

uint32_t runs_give(struct runs *runs, uint32_t unit) {
    uint32_t units = runs_units(runs, unit);
    fill(runs->starts, unit, 1, false);
    fill(runs->used, unit, units, false);
    return units;
}

uint32_t runs_next(const struct runs *runs, uint32_t unit) {
    return unit < RUNS_UNITS ? find(runs->starts, unit, true) : RUNS_UNITS;
}

uint32_t runs_used(const struct runs *runs) {
    uint32_t units = 0;
    for (uint32_t i = 0; i < RUNS_WORDS; i++) {
        units += (uint32_t)__builtin_popcountll(runs->used[i]);
    }
    return units - RUNS_OWN_UNITS;
}
