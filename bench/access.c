#include "access.h"

#include <string.h>

#include "server/clock.h"
#include "shards/place.h"
#include "shards/room.h"

enum { VICTIMS = 8 }; /* a write makes room by about so much work, as in dispatch.c */

struct access_key access_route(const struct access *access, struct bytes name) {
    return (struct access_key){.key = shards_key(access->shards, name),
                               .shard = shards_of(access->shards, name)};
}

static struct database *database_of(const struct access_key *at) {
    return shard_database(at->shard, 0);
}

void access_prefetch_bucket(const struct access_key *at) {
    table_prefetch_bucket(&database_of(at)->table, at->key.hash);
}

void access_prefetch_entry(const struct access_key *at) {
    table_prefetch_entry(&database_of(at)->table, at->key.hash);
}

bool access_get(struct access *access, const struct access_key *at) {
    struct counters *counters = &access->counters[at->shard->index];
    rwlock_read_lock(&at->shard->lock);
    struct entry *entry = database_find(database_of(at), &at->key, access->now_ms);
    if (entry != NULL) {
        struct bytes value = entry_value(entry);
        memcpy(access->reply, value.data, value.size);
        eviction_touch(&access->shards->eviction, entry, access->now_ms, &access->random);
    }
    rwlock_read_unlock(&at->shard->lock);
    counters_add(&counters->reads, 1);
    counters_add(entry != NULL ? &counters->hits : &counters->misses, 1);
    return entry != NULL;
}

/* The caller holds the lock for writing. */
static struct place find_locked(struct access *access, const struct access_key *at) {
    struct place place = {.database = database_of(at),
                          .reclaimer = &access->shards->reclaimer,
                          .key = at->key,
                          .now_ms = access->now_ms};
    place.entry =
        database_find_for_write(place.database, &place.key, place.now_ms, place.reclaimer, NULL);
    counters_add(&access->counters[at->shard->index].writes, 1);
    return place;
}

static enum status set_locked(struct access *access, const struct access_key *at,
                              struct bytes value, int64_t deadline_ms) {
    if (!room_make(at->shard, access->now_ms, VICTIMS, &access->shards->reclaimer))
        return STATUS_NO_MEMORY;
    struct place place = find_locked(access, at);
    return place_put(&place, &(struct entry_content){.value = value, .type = ENTRY_STRING},
                     deadline_ms);
}

enum status access_set_until(struct access *access, const struct access_key *at, struct bytes value,
                             int64_t deadline_ms) {
    rwlock_write_lock(&at->shard->lock);
    enum status status = set_locked(access, at, value, deadline_ms);
    rwlock_write_unlock(&at->shard->lock);
    return status;
}

enum status access_set(struct access *access, const struct access_key *at, struct bytes value) {
    return access_set_until(access, at, value, ENTRY_NO_EXPIRY);
}

static size_t committed_locked(const struct access_key *at) {
    return at->shard->slabs.region.committed_bytes + database_of(at)->table.buckets.committed_bytes;
}

enum status access_set_timed(struct access *access, const struct access_key *at, struct bytes value,
                             struct hold *hold) {
    rwlock_write_lock(&at->shard->lock);
    uint64_t begun = clock_ticks();
    size_t committed_before = committed_locked(at);
    enum status status = set_locked(access, at, value, ENTRY_NO_EXPIRY);
    hold->has_committed = committed_locked(at) != committed_before;
    hold->ticks = clock_ticks() - begun;
    rwlock_write_unlock(&at->shard->lock);
    return status;
}

bool access_remove(struct access *access, const struct access_key *at) {
    rwlock_write_lock(&at->shard->lock);
    struct place place = find_locked(access, at);
    bool is_there = place.entry != NULL;
    if (is_there) place_remove(&place);
    rwlock_write_unlock(&at->shard->lock);
    return is_there;
}
