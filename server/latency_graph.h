/* A latency series in plain letters, as LATENCY GRAPH shows it. */
#pragma once

#include <stdint.h>

#include "latency.h"
#include "text.h"

/* "high 90 ms, low 1 ms (all time high 90 ms)", a line, and the samples: at least one. Pure. */
void latency_graph_write(const struct latency_series *series, int64_t now_s, struct text *out);
