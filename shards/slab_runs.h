/* Slabs of runs: objects past SLABS_SLOT_MAX, side by side (runs.h). They are in lists by their longest run of free units.
 * For slabs.c alone. Shard lock (write), but for the walk. */
#pragma once

#include <stdint.h>

#include "slab.h"

/* An object of `size` bytes, uninitialised; 0 when memory is refused. A look at the lists and at one slab's bits. */
must_use uint32_t slab_runs_allocate(struct slabs *slabs, size_t size);
void slab_runs_free(struct slabs *slabs, uint32_t reference);
/* Free units of a slab's touched pages. */
uint32_t slab_runs_freed(const struct slab *slab);

/* Is enough idle, and not known to be packed? */
bool slab_runs_can_drain(const struct slabs *slabs);
/* Of those with the longest free runs, the one least used. */
uint32_t slab_runs_sparsest(const struct slabs *slabs);
/* The next object of the slab that is being drained; 0 when there is no hole for it. */
uint32_t slab_runs_drain_next(struct slabs *slabs);

uint32_t slab_runs_walk(const struct slabs *slabs, struct slabs_walk *walk, uint32_t *looks);

void slab_runs_validate(const struct slabs *slabs, uint32_t number);
/* Checks the lists; how many slabs there are in them. */
uint32_t slab_runs_validate_lists(const struct slabs *slabs);
