#include "bench/limited.h"

#include <stdlib.h>

#include "shards/base/check.h"
#include "shards/place.h"
#include "shards/room.h"

enum { VICTIMS = 8 };

void limited_init(struct limited *limited, const struct limited_options *options) {
    struct shards_options shape = {.shard_count = options->shard_count,
                                   .database_count = 1,
                                   .worker_count = 1,
                                   .seed = options->seed};
    check(shards_init(&limited->shards, &shape) == STATUS_OK);
    atomic_store(&limited->shards.eviction.policy, options->policy);
    atomic_store(&limited->shards.eviction.limit_bytes, options->limit_bytes);
    curve_init(&limited->curve, &limited->shards);
    duel_init(&limited->duel, &limited->shards);
    random_init(&limited->random, options->seed);
    limited->counters = counters_of_worker(&limited->shards.counters, 0);
    limited->value_bytes = options->value_bytes;
    limited->value = calloc(1, options->value_bytes + 1);
    check(limited->value != NULL);
}

void limited_release(struct limited *limited) {
    free(limited->value);
    duel_release(&limited->duel);
    curve_release(&limited->curve);
    shards_release(&limited->shards);
}

static struct entry *get(struct limited *limited, struct shard *shard, const struct key *key,
                         int64_t now_ms) {
    struct entry *entry = database_find(shard_database(shard, 0), key, now_ms);
    struct counters *counters = &limited->counters[shard->index];
    counters_add(&counters->reads, 1);
    counters_add(entry != NULL ? &counters->hits : &counters->misses, 1);
    if (entry != NULL) eviction_touch(&limited->shards.eviction, entry, now_ms, &limited->random);
    return entry;
}

static void set(struct limited *limited, struct shard *shard, const struct key *key,
                struct bytes value, int64_t now_ms) {
    if (!room_make(shard, now_ms, VICTIMS, NULL))
        check(shards_relieve(&limited->shards, shard->index, now_ms, VICTIMS));
    struct place place = {
        .database = shard_database(shard, 0), .reclaimer = NULL, .key = *key, .now_ms = now_ms};
    struct entry_content content = {.value = value, .type = ENTRY_STRING};
    check(place_put(&place, &content, ENTRY_NO_EXPIRY) == STATUS_OK);
}

/* As server/follow.c does. */
static void note(struct limited *limited, const struct key *key, bool is_lookup, int64_t now_ms) {
    bool is_followed = key->hash < curve_followed_below(&limited->curve) ||
                       key->hash < duel_followed_below(&limited->duel);
    if (!is_followed) return;
    struct note note = {.is_lookup = is_lookup};
    note_look(&note, &limited->shards, key, now_ms);
    curve_note(&limited->curve, &note, now_ms);
    duel_note(&limited->duel, &note, now_ms);
}

bool limited_ask(struct limited *limited, struct bytes name, size_t value_bytes, int64_t now_ms) {
    struct key key = shards_key(&limited->shards, name);
    struct shard *shard = shards_of(&limited->shards, name);
    struct entry *entry = get(limited, shard, &key, now_ms);
    note(limited, &key, true, now_ms);
    if (entry != NULL) return true;
    check(value_bytes <= limited->value_bytes);
    set(limited, shard, &key, bytes_of(limited->value, value_bytes), now_ms);
    note(limited, &key, false, now_ms);
    return false;
}
