/* xoshiro256** 1.0, seeded through SplitMix64, as its authors advise: a seed of zero, or two neighbouring
 * seeds, still give states that have nothing to do with each other.
 *
 * Sources: David Blackman and Sebastiano Vigna, "Scrambled Linear Pseudorandom Number Generators" (2018,
 * public domain code); Daniel Lemire, "Fast Random Integer Generation in an Interval" (2019). */
#include "random.h"

#include <errno.h>
#include <sys/random.h>

#include "check.h"

static uint64_t rotate_left(uint64_t x, unsigned bits) {
    return x << bits | x >> (64 - bits);
}

static uint64_t splitmix_next(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void random_init(struct random *random, uint64_t seed) {
    for (size_t i = 0; i < 4; i++) {
        random->state[i] = splitmix_next(&seed);
    }
}

uint64_t random_next(struct random *random) {
    uint64_t *s = random->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

/* The high half of random x bound is the answer. The low half tells whether it came from the uneven rest
 * of the 2^64 values, which is thrown away and drawn again; the division that finds this rest's size is
 * needed with a chance of bound / 2^64. */
uint64_t random_below(struct random *random, uint64_t bound) {
    check(bound > 0);
    unsigned __int128 product = (unsigned __int128)random_next(random) * bound;
    if ((uint64_t)product < bound) {
        uint64_t rest = -bound % bound;
        while ((uint64_t)product < rest) {
            product = (unsigned __int128)random_next(random) * bound;
        }
    }
    return (uint64_t)(product >> 64);
}

void random_system(void *out, size_t size) {
    char *next = out;
    while (size > 0) {
        ssize_t got = getrandom(next, size, 0);
        check(got > 0 || errno == EINTR); /* every kernel that can run us has getrandom (3.17) */
        if (got > 0) {
            next += got;
            size -= (size_t)got;
        }
    }
}
