/* What the model tests share: a seed that is printed and can be given back, and keys made of numbers.
 *
 * A model test makes random steps on a structure of ours and on an obviously right, slow twin, and compares. When one
 * fails, run it again with SHERD_TEST_SEED set to the seed it printed: the steps are the same. */
#pragma once

#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shards/base/bytes.h"
#include "shards/base/random.h"

static inline void model_seed(struct random *random, const char *name) {
    uint64_t seed;
    const char *given = getenv("SHERD_TEST_SEED");
    if (given != NULL) {
        seed = strtoull(given, NULL, 0);
    } else {
        random_system(&seed, sizeof(seed));
    }
    fprintf(stderr, "%s: SHERD_TEST_SEED=0x%" PRIx64 "\n", name, seed);
    random_init(random, seed);
}

enum { MODEL_KEY_MAX = 320 };

/* The key of a number: mostly short, now and then empty, long, or of the size at which keys move out of their entry. */
static inline struct bytes model_key(char text[MODEL_KEY_MAX], uint32_t number) {
    static const size_t SIZES[] = {0, 0, 0, 0, 0, 0, 24, 64, 250, 254, 255, 256, 300};
    if (number == 0) return BYTES("");
    size_t size = (size_t)snprintf(text, MODEL_KEY_MAX, "key:%" PRIu32, number);
    size_t wanted = SIZES[number % (sizeof(SIZES) / sizeof(SIZES[0]))];
    if (size < wanted) {
        memset(text + size, '.', wanted - size);
        size = wanted;
    }
    return bytes_of(text, size);
}
