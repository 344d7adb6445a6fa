/* A reservoir (algorithm R: Waterman, in Knuth 3.4.2; Vitter 1985) a window, of two windows.
 *
 * The n-th note of a window takes a place by chance with the probability places / n. So at any moment each of
 * the n was kept with the same chance, and a kept one stands for n / kept of them. Most notes of a busy minute
 * cost one random number.
 *
 * Why not a second Space-Saving sketch, of prefixes instead of keys: it must cut the prefix off when it notes,
 * so the delimiter would be an option, and a wrong one would show after minutes only. What is kept as it came
 * can be cut in any way when somebody asks. And a sketch promises to find every prefix above 1/n of all, but
 * tells little of how often it was hit; from k samples out of K the share p of any group is known to sqrt(p /
 * K), whatever the group.
 *
 *      window before   ├────────────── 60 s ──────────────┤
 *      this window                                        ├───── so far ─────┤ now
 *
 * Threads: a mutex, a leaf: it is taken under no other lock but that of the worker's hot keys, and none is
 * taken under it. The worker only tries. */
#include "samples.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

#include "shards/base/memory.h"

static_assert(sizeof(struct sample) == 64, "a sample is one cache line");

struct window {
    uint64_t noted;
    struct sample *kept; /* min(noted, window_max) */
};

struct samples {
    pthread_mutex_t lock; /* over everything below */
    uint32_t window_max;  /* immutable */
    int64_t created_ms;
    int64_t begun_ms; /* of this window */
    struct window now, before;
    struct sample room[];
};

static uint32_t kept_in(const struct samples *samples, const struct window *window) {
    return window->noted < samples->window_max ? (uint32_t)window->noted : samples->window_max;
}

struct samples *samples_create(uint32_t window_max, int64_t now_ms) {
    size_t size = sizeof(struct samples) + 2 * (size_t)window_max * sizeof(struct sample);
    struct samples *samples = memory_allocate_zeroed(size);
    if (samples == NULL) return NULL;
    pthread_mutex_init(&samples->lock, NULL);
    samples->window_max = window_max;
    samples->created_ms = samples->begun_ms = now_ms;
    samples->now.kept = samples->room;
    samples->before.kept = samples->room + window_max;
    return samples;
}

void samples_destroy(struct samples *samples) {
    if (samples == NULL) return;
    pthread_mutex_destroy(&samples->lock);
    memory_free(samples);
}

/* ---- Time ------------------------------------------------------------------------------------ */

static void begin_window(struct samples *samples) {
    struct window oldest = samples->before;
    samples->before = samples->now;
    samples->now = (struct window){.kept = oldest.kept};
}

static void age(struct samples *samples, int64_t now_ms) {
    int64_t elapsed_ms = now_ms - samples->begun_ms;
    if (elapsed_ms < 0) { /* the clock was set back */
        samples->created_ms = samples->begun_ms = now_ms;
        return;
    }
    int64_t windows = elapsed_ms / SAMPLES_WINDOW_MS;
    samples->begun_ms += windows * SAMPLES_WINDOW_MS;
    for (int64_t i = 0; i < windows && i < 2; i++) {
        begin_window(samples);
    }
}

/* ---- The worker ------------------------------------------------------------------------------ */

bool samples_try_begin(struct samples *samples, int64_t now_ms) {
    if (pthread_mutex_trylock(&samples->lock) != 0) return false;
    age(samples, now_ms);
    return true;
}

void samples_end(struct samples *samples) {
    pthread_mutex_unlock(&samples->lock);
}

void samples_note(struct samples *samples, const struct sampled *sampled, struct random *random) {
    struct window *window = &samples->now;
    uint64_t place = window->noted++;
    if (place >= samples->window_max) place = random_below(random, window->noted);
    if (place >= samples->window_max) return;
    struct bytes name = sampled->key.name;
    struct sample *sample = &window->kept[place];
    *sample = (struct sample){
        .bytes = sampled->bytes,
        .hits = sampled->hits,
        .misses = sampled->misses,
        .name_size = (uint8_t)(name.size < SAMPLES_NAME_MAX ? name.size : SAMPLES_NAME_MAX),
        .is_write = sampled->is_write,
    };
    if (name.size != 0) memcpy(sample->name, name.data, sample->name_size);
}

/* ---- Others ---------------------------------------------------------------------------------- */

static void collect(const struct samples *samples, const struct window *window,
                    struct samples_report *report) {
    uint32_t count = kept_in(samples, window);
    for (uint32_t i = 0; i < count; i++) {
        struct sample *sample = &report->kept[report->count++];
        *sample = window->kept[i];
        sample->stands_for = (float)window->noted / (float)count * SAMPLED_WEIGHT;
    }
    report->noted += window->noted;
}

uint32_t samples_room(const struct samples *samples) {
    return 2 * samples->window_max;
}

void samples_collect(struct samples *samples, int64_t now_ms, struct samples_report *report) {
    pthread_mutex_lock(&samples->lock);
    age(samples, now_ms);
    collect(samples, &samples->now, report);
    collect(samples, &samples->before, report);
    int64_t since_ms = samples->begun_ms - SAMPLES_WINDOW_MS;
    if (since_ms < samples->created_ms) since_ms = samples->created_ms;
    if (since_ms < report->since_ms) report->since_ms = since_ms;
    pthread_mutex_unlock(&samples->lock);
}
