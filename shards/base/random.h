/* Pseudo-random numbers for sampling and jitter (xoshiro256**, Blackman and Vigna), and real ones for seeds. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* One thread only, or under its owner's lock. */
struct random {
    uint64_t state[4];
};

/* Deterministic: the same seed gives the same sequence, so that a failing model test can be replayed. */
void random_init(struct random *random, uint64_t seed);
uint64_t random_next(struct random *random);
/* Uniform in [0, bound), without bias; `bound` is at least 1 (Lemire's method). */
uint64_t random_below(struct random *random, uint64_t bound);

/* `size` bytes from the kernel's generator. For seeds and secrets; aborts only where the kernel has none. */
void random_system(void *out, size_t size);
