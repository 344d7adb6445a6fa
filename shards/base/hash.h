/* The two hashes of a key: FNV-1a names its shard, XXH3 its place inside.
 *
 * FNV-1a (Fowler, Noll, Vo; public constants, no seed) is fixed, so anybody can compute a key's shard in any run. A
 * public hash must never index a table: whoever knows it can pile keys onto one bucket. So buckets and tags come from
 * XXH3 (Yann Collet) under a random seed of the process. Pure; any thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "bytes.h"

/* 64-bit FNV-1a: h = 0xcbf29ce484222325; for each byte h = (h ^ byte) * 0x100000001b3. About four cycles a byte. */
static inline uint64_t hash_fnv1a_byte(uint64_t hash, char byte) {
    return (hash ^ (unsigned char)byte) * UINT64_C(0x100000001b3);
}
static inline uint64_t hash_fnv1a(struct bytes bytes) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    const char *at = bytes.data;
    /* Four at a time: the loop's own three instructions would be as many as the hash's. */
    for (size_t fours = bytes.size / 4; fours > 0; fours--, at += 4) {
        hash = hash_fnv1a_byte(hash, at[0]);
        hash = hash_fnv1a_byte(hash, at[1]);
        hash = hash_fnv1a_byte(hash, at[2]);
        hash = hash_fnv1a_byte(hash, at[3]);
    }
    for (size_t rest = bytes.size % 4; rest > 0; rest--, at++) {
        hash = hash_fnv1a_byte(hash, *at);
    }
    return hash;
}

/* Fold 64 bits into the low 32 so that all of them count ("xor folding", as the FNV authors advise for small ranges),
 * then once more, so that the low 16 bits already depend on every byte. */
static inline uint32_t hash_fold(uint64_t hash) {
    uint32_t half = (uint32_t)(hash >> 32) ^ (uint32_t)hash;
    return half ^ (half >> 16);
}

/* 64-bit XXH3 under `seed`. About twenty cycles for a key of up to 16 bytes. */
uint64_t hash_seeded(struct bytes bytes, uint64_t seed);
