/* key -> shard: FNV-1a over the key, or over its hash tag, folded to as many bits as there are shards.
 *
 * A hash tag is the part between the first '{' and the first '}' after it, if that isn't empty: keys that share a tag
 * share a shard, as clients of a cluster expect. Everything here is public and fixed, so that anybody can compute a
 * key's shard (`DEBUG SHARD key` says it). Pure; any thread. */
#pragma once

#include <stdint.h>

#include "base/bytes.h"
#include "base/hash.h"

/* The part of `key` that is hashed for routing. */
struct bytes router_tag(struct bytes key);

/* The shard of `key` among `shard_count`, a power of two, at most 65536. */
static inline uint32_t router_shard(struct bytes key, uint32_t shard_count) {
    if (__builtin_expect(key.size != 0 && memchr(key.data, '{', key.size) != NULL, 0))
        key = router_tag(key);
    return hash_fold(hash_fnv1a(key)) & (shard_count - 1);
}
