/* What INFO tells, in Prometheus's text format (version 0.0.4).
 *
 * The number of series is bounded: commands that were never called, and databases that hold and miss nothing, have none;
 * shards have them only while there are few. */
#pragma once

#include "server/metrics.h"
#include "server/text.h"

enum {
    PROMETHEUS_SHARDS_MAX = 128,    /* more of them: only their sums */
    PROMETHEUS_DATABASES_MAX = 256, /* the first so many that hold or miss something */
    PROMETHEUS_BUCKETS = 25,        /* of a latency histogram: 1 us, 2 us ... 16.8 s; then +Inf */
};

#define PROMETHEUS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Any thread; takes no lock. */
void prometheus_write(const struct metrics *metrics, struct text *out);
