#include "note.h"

#include "shards.h"

void note_look(struct note *note, const struct shards *shards, const struct key *key,
               int64_t now_ms) {
    struct shard *shard = shards_of(shards, key->name);
    rwlock_read_lock(&shard->lock);
    const struct entry *entry = database_find(shard_database(shard, note->database), key, now_ms);
    size_t bytes = entry != NULL ? entry_footprint(entry) : 0;
    note->hash = key->hash;
    note->is_there = entry != NULL;
    note->bytes = bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX;
    note->deadline_ms = entry != NULL ? entry_deadline_ms(entry) : ENTRY_NO_EXPIRY;
    rwlock_read_unlock(&shard->lock);
}
