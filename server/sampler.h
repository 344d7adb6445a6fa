/* One request in SAMPLED_WEIGHT, chosen by chance, is noted by a worker; the others pay nothing.
 *
 * The batch asks when the next one is due, and runs it between two calls. Worker's thread only. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "sampled.h"
#include "shards/base/random.h"
#include "shards/base/status.h"

struct hotkeys;
struct request;
struct samples;
struct worker;

struct sampler {
    uint32_t until_next; /* requests until one is noted, itself included; this thread only */
    struct hotkeys *hotkeys;
    struct samples *samples;
};

/* Once `worker` has its server and its random numbers. */
must_use enum status sampler_init(struct sampler *sampler, struct worker *worker);
void sampler_release(struct sampler *sampler);

/* Requests until the next, itself included: SAMPLED_WEIGHT in the mean. */
static inline uint32_t sampler_gap(struct random *random) {
    return (uint32_t)random_below(random, 2 * SAMPLED_WEIGHT - 1) + 1;
}

/* How things stood before the request ran. */
struct sampler_mark {
    size_t executed; /* of the client's view */
    size_t waiting;  /* of its output */
    uint32_t errors; /* replied to it */
    uint64_t hits, misses;
};
struct sampler_mark sampler_mark(const struct worker *worker, const struct request *request);
/* Once it has run, or couldn't: note its keys (64 at most), and choose the next one. */
void sampler_note(struct worker *worker, const struct request *request,
                  const struct sampler_mark *before);
