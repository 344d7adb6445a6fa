#include "server/latency.h"

#include <string.h>

static const char *const names[LATENCY_EVENTS] = {
    [LATENCY_COMMAND] = "command",           [LATENCY_FAST_COMMAND] = "fast-command",
    [LATENCY_LOCK_WAIT] = "lock-wait",       [LATENCY_EVICTION_CYCLE] = "eviction-cycle",
    [LATENCY_EXPIRE_CYCLE] = "expire-cycle", [LATENCY_SNAPSHOT] = "snapshot",
};

void latency_init(struct latency *latency) {
    *latency = (struct latency){0};
    pthread_mutex_init(&latency->lock, NULL);
}

void latency_release(struct latency *latency) {
    pthread_mutex_destroy(&latency->lock);
}

/* A second has one sample: its longest. Workers' turns see the time a little apart, so an older second may come after a
 * newer one; it counts as the newer. */
static void add(struct latency_series *series, int64_t time_s, uint64_t took_ms) {
    struct latency_sample *last = series->count != 0 ? &series->samples[series->count - 1] : NULL;
    if (last != NULL && last->time_s >= time_s) {
        if (took_ms > last->took_ms) last->took_ms = took_ms;
        return;
    }
    if (series->count == LATENCY_SAMPLES) {
        series->count--;
        memmove(&series->samples[0], &series->samples[1],
                series->count * sizeof(series->samples[0]));
    }
    series->samples[series->count++] = (struct latency_sample){time_s, took_ms};
}

void latency_note(struct latency *latency, enum latency_event event, int64_t time_s,
                  uint64_t took_ms) {
    pthread_mutex_lock(&latency->lock);
    struct latency_series *series = &latency->series[event];
    if (took_ms > series->longest_ms) series->longest_ms = took_ms;
    add(series, time_s, took_ms);
    pthread_mutex_unlock(&latency->lock);
}

struct latency_series latency_series(struct latency *latency, enum latency_event event) {
    pthread_mutex_lock(&latency->lock);
    struct latency_series series = latency->series[event];
    pthread_mutex_unlock(&latency->lock);
    return series;
}

bool latency_reset(struct latency *latency, enum latency_event event) {
    pthread_mutex_lock(&latency->lock);
    bool had_any = latency->series[event].count != 0;
    latency->series[event] = (struct latency_series){0};
    pthread_mutex_unlock(&latency->lock);
    return had_any;
}

const char *latency_event_name(enum latency_event event) {
    return names[event];
}

enum latency_event latency_event_find(struct bytes name) {
    for (int event = 0; event < LATENCY_EVENTS; event++) {
        if (bytes_is(name, names[event])) return (enum latency_event)event;
    }
    return LATENCY_EVENTS;
}
