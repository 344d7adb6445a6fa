/* The seeded hash, in a file of its own so that only this one pays for compiling XXH3.
 *
 * XXH_INLINE_ALL makes the whole of XXH3 static here: a key of up to 16 bytes then costs one call (ours)
 * and about twenty instructions, where the shared library's entry point would cost a second, indirect one.
 *
 * Source: Yann Collet's xxHash (BSD licence), XXH3 64 bits with a seed. */
#include "hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t hash_seeded(struct bytes bytes, uint64_t seed) {
    return XXH3_64bits_withSeed(bytes.data, bytes.size, seed);
}
