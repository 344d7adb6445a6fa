/* Sampled requests of the last minute or two, as they came: so that a question may be asked afterwards that nobody had
 * thought of before (CACHE PREFIXES, by whatever delimiter).
 *
 * Its worker notes, any thread collects. Of each window of SAMPLES_WINDOW_MS so many as there is room for are
 * kept, every one noted with the same chance; the window before is kept until this one is over. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sampled.h"
#include "shards/base/bytes.h"
#include "shards/base/random.h"
#include "shards/base/status.h"

enum {
    SAMPLES_NAME_MAX = 42, /* bytes that are kept of a name: an entry is one cache line */
    SAMPLES_WINDOW_MS = 60 * 1000,
};

/* One key of one request. */
struct sample {
    uint64_t bytes;
    float stands_for; /* requests; known when collected */
    float hits, misses;
    uint8_t name_size; /* of what is kept */
    bool is_write;
    char name[SAMPLES_NAME_MAX];
};

struct samples;

/* `window_max` (at least 1) is how many are kept of a window, in 64 bytes each, twice. NULL when memory is refused. */
struct samples *samples_create(uint32_t window_max, int64_t now_ms);
void samples_destroy(struct samples *samples);

/* The worker: notes go between begin and end. It never waits: false while somebody collects. */
must_use bool samples_try_begin(struct samples *samples, int64_t now_ms);
void samples_note(struct samples *samples, const struct sampled *sampled, struct random *random);
void samples_end(struct samples *samples);

/* How many can be collected. */
uint32_t samples_room(const struct samples *samples);
/* What is collected from several. Start with {.kept = room for samples_room() of each, .since_ms = INT64_MAX}. */
struct samples_report {
    struct sample *kept;
    uint32_t count;
    uint64_t noted;   /* those that aren't kept included */
    int64_t since_ms; /* of the oldest; INT64_MAX before anything is collected */
};
/* Any thread; takes the samples' lock, a leaf, for some microseconds. */
void samples_collect(struct samples *samples, int64_t now_ms, struct samples_report *report);
