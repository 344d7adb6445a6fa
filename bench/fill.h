/* Keys by the million, over one connection: what a measurement begins with. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/ask.h"
#include "shards/base/random.h"

/* When keys are due: evenly in [first, last], Unix time; 0: never. */
struct fill_span {
    int64_t first_ms, last_ms;
};

struct fill {
    struct ask *ask; /* borrowed */
    struct random random;
    size_t value_bytes;
    char *batch; /* of requests */
    char *value;
};

/* `ask` may be opened later. False, with a message: no memory; to be released all the same. */
bool fill_init(struct fill *fill, struct ask *ask, size_t value_bytes);
void fill_release(struct fill *fill);
/* SET the keys number [first, first + count). */
bool fill_keys(struct fill *fill, uint64_t first, uint64_t count, const struct fill_span *due);
