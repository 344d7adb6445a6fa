#include "bench/slices.h"

#include <math.h>
#include <stdlib.h>

void slice_take_latencies(struct slice *slice, const struct histogram *latencies) {
    slice->values[SLICE_P50_US] = (double)histogram_percentile(latencies, 50) / 1000;
    slice->values[SLICE_P99_US] = (double)histogram_percentile(latencies, 99) / 1000;
    slice->values[SLICE_P999_US] = (double)histogram_percentile(latencies, 99.9) / 1000;
    slice->values[SLICE_MOST_US] = (double)latencies->max / 1000;
}

bool slices_add(struct slices *slices, const struct slice *slice) {
    if (slices->count == SLICES_MAX) return false;
    slices->slices[slices->count++] = *slice;
    slices->excluded += slice->is_excluded;
    return true;
}

/* The value in all slices that count, in `out`; how many. */
static uint32_t collect(const struct slices *slices, enum slice_value value,
                        double out[SLICES_MAX]) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < slices->count; i++) {
        if (!slices->slices[i].is_excluded) out[count++] = slices->slices[i].values[value];
    }
    return count;
}

static bool knows_all(const double *values, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (isnan(values[i])) return false;
    }
    return count != 0;
}

static int compare(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

double slices_median(const struct slices *slices, enum slice_value value) {
    double values[SLICES_MAX];
    uint32_t count = collect(slices, value, values);
    if (!knows_all(values, count)) return NAN;
    qsort(values, count, sizeof(*values), compare);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

double slices_most(const struct slices *slices, enum slice_value value) {
    double values[SLICES_MAX];
    uint32_t count = collect(slices, value, values);
    if (!knows_all(values, count)) return NAN;
    double most = values[0];
    for (uint32_t i = 1; i < count; i++) {
        most = fmax(most, values[i]);
    }
    return most;
}

double slices_share_above(const struct slices *slices, enum slice_value value, double bound) {
    double values[SLICES_MAX];
    uint32_t count = collect(slices, value, values), above = 0;
    if (!knows_all(values, count)) return NAN;
    for (uint32_t i = 0; i < count; i++) {
        above += values[i] > bound;
    }
    return (double)above / count;
}
