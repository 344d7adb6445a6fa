/* Notes of keys that need not be in any store, for what simulations make of them. */
#pragma once

#include "shards/base/random.h"
#include "shards/entry.h"
#include "shards/note.h"

/* A key is there, without a deadline: any whose hash is below that. */
static inline struct note note_of_presence(struct random *random, uint64_t below, uint32_t bytes) {
    return (struct note){.hash = random_below(random, below),
                         .bytes = bytes,
                         .deadline_ms = ENTRY_NO_EXPIRY,
                         .is_there = true};
}
