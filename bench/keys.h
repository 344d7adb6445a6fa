/* Which key comes next: uniformly, or by Zipf's law. */
#pragma once

#include <stdint.h>

#include "shards/base/random.h"

struct keys {
    struct random random;
    uint64_t count;
    double exponent; /* 0: uniform */
    double h_first, h_last, s;
};

void keys_init(struct keys *keys, uint64_t count, double exponent, uint64_t seed);
/* In [0, count). Zipf: 0 is the most frequent. */
uint64_t keys_next(struct keys *keys);

enum { KEYS_NAME_BYTES = 16 };
/* Write the name of a key, "key:000000001234": 16 bytes, no NUL. */
void keys_write_name(char out[KEYS_NAME_BYTES], uint64_t number);
