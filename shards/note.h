/* What a request did to a key: what miniature caches are told of (simulation.h). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct key;
struct shards;

struct note {
    uint64_t hash; /* hash_seeded(name) */
    uint32_t database;
    uint32_t bytes;       /* that its entry takes (entry_footprint), when it is there */
    int64_t deadline_ms;  /* ENTRY_NO_EXPIRY for none */
    bool is_lookup;       /* it was counted as a hit or a miss */
    bool is_there;        /* afterwards */
    bool is_deletion;     /* it shouldn't be: DEL, GETDEL, ... */
    bool leaves_no_trace; /* the lookup doesn't count as a use: TTL, OBJECT, ... */
};

/* What has become of a key of `note->database`: fills in `hash`, `is_there`, `bytes` and `deadline_ms`. Takes its shard's
 * lock for reading. */
void note_look(struct note *note, const struct shards *shards, const struct key *key,
               int64_t now_ms);
