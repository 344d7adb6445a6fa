/* Where a key is, or would be: found once, then read, written or removed through the same hand.
 *
 * The shard's lock is held as long as a place is used. `entry` is NULL when the key is absent (or past its deadline);
 * whoever changes the key keeps it up to date. */
#pragma once

#include <stdint.h>

#include "base/status.h"
#include "database.h"

struct place {
    struct database *database;
    const struct reclaimer *reclaimer;
    struct entry *entry;
    struct key key;
    int64_t now_ms;
    uint64_t value_max; /* bytes; 0: any */
};

/* Could a value of that size be kept? */
static inline bool place_has_room(const struct place *place, uint64_t size) {
    return place->value_max == 0 || size <= place->value_max;
}

/* Put, keeping `place->entry` right: see database_put. A key that is new begins to be counted. STATUS_NO_ROOM. */
must_use static inline enum status
place_put(struct place *place, const struct entry_content *content, int64_t deadline_ms) {
    size_t size = content->blob != NULL ? content->blob->size : content->value.size;
    if (__builtin_expect(!place_has_room(place, size), 0)) return STATUS_NO_ROOM;
    bool is_new = place->entry == NULL;
    enum status status = database_put(place->database, &place->key, &place->entry, content,
                                      deadline_ms, place->reclaimer);
    if (status != STATUS_OK) return status;
    if (entry_encoding(place->entry) == ENTRY_BLOB && blob_is_unshared(entry_blob(place->entry)))
        database_charge(place->database, place->entry);
    if (is_new) database_greet(place->database, place->entry, place->key.hash, place->now_ms);
    return status;
}
/* Remove, as a command does. */
static inline void place_remove(struct place *place) {
    database_remember_deleted(place->database, place->key.hash);
    database_remove(place->database, &place->key, place->entry, place->reclaimer);
    place->entry = NULL;
}
