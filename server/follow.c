/* A request is told by what it did, not by its name: the worker's counters say whether it looked its keys up, and
 * a look at the store afterwards whether they are there, how large, until when. So every command that there is or
 * will be is followed alike; those that delete say so in their row. */
#include "follow.h"

#include "server.h"
#include "worker.h"

enum { FOLLOWED_KEYS_MAX = 1024 /* of a request; those behind are left out */ };

static bool has_one_key(const struct request *request) {
    return request->last_key == (uint32_t)request->row->keys.first;
}

/* The n-th of the request's keys, from 0; false: there are no more. */
static bool key_at(const struct worker *worker, const struct request *request, uint32_t n,
                   struct key *key) {
    const struct command_keys *keys = &request->row->keys;
    uint32_t index = (uint32_t)keys->first + n * (uint32_t)keys->step;
    if (index > request->last_key || n == FOLLOWED_KEYS_MAX) return false;
    struct bytes name = worker->arguments.data[request->first_argument + index];
    uint64_t hash = n == 0 ? request->hash : hash_seeded(name, worker->server->shards.seed);
    *key = (struct key){name, hash};
    return true;
}

bool follow_wants(const struct worker *worker, const struct request *request, uint64_t below) {
    if (request->shard == NULL) return false;
    if (has_one_key(request)) return request->hash < below;
    struct key key;
    for (uint32_t n = 0; key_at(worker, request, n, &key); n++) {
        if (key.hash < below) return true;
    }
    return false;
}

uint64_t follow_below(const struct worker *worker) {
    uint64_t curve = curve_followed_below(&worker->server->curve);
    uint64_t duel = duel_followed_below(&worker->server->duel);
    return curve > duel ? curve : duel;
}

/* Each of them looks again whether it follows the key. */
static void note_key(struct worker *worker, const struct key *key, struct note *note) {
    struct server *server = worker->server;
    note_look(note, &server->shards, key, worker->now_ms);
    curve_note(&server->curve, note, worker->now_ms);
    duel_note(&server->duel, note, worker->now_ms);
}

void follow_note(struct worker *worker, const struct request *request,
                 const struct sampler_mark *before) {
    const struct client *client = request->client;
    if (client->executed != request->end || !client->is_authenticated) return; /* it hasn't run */
    struct sampler_mark after = sampler_mark(worker, request);
    uint32_t flags = request->row->flags;
    struct note note = {
        .database = atomic_load_explicit(&client->database, memory_order_relaxed),
        .is_lookup = after.hits != before->hits || after.misses != before->misses,
        .is_deletion = (flags & COMMAND_DELETES) != 0,
        .leaves_no_trace = (flags & COMMAND_TOUCHES_NOTHING) != 0 || client->no_touch,
    };
    if (!note.is_lookup && after.errors != before->errors) return; /* refused: nothing was done */
    uint64_t below = follow_below(worker);
    struct key key;
    for (uint32_t n = 0; key_at(worker, request, n, &key); n++) {
        if (key.hash < below) note_key(worker, &key, &note);
    }
}
