#include "reclaim.h"

#include "jobs.h"
#include "limit.h"
#include "priority.h"
#include "server.h"
#include "shards/blob.h"

static void give_way(void *turn) {
    priority_give_way(turn);
}

static void release_blob(void *context, void *subject) {
    struct server *server = context;
    struct blob *blob = subject;
    int64_t bytes = (int64_t)blob->capacity;
    struct priority_turn turn = {0};
    blob_release_in_pieces(blob, give_way, &turn);
    limit_note_left(server, bytes);
}

/* A large value goes to the background; where too much is on its way already, whoever freed it pays. */
static void defer_blob(void *context, struct blob *blob) {
    struct server *server = context;
    struct job job = {.run = release_blob, .context = server, .subject = blob};
    int64_t bytes = (int64_t)blob->capacity;
    bool is_deferred = limit_note_leaving(server, bytes);
    if (is_deferred && jobs_try(server->jobs, job)) return;
    if (is_deferred) limit_note_left(server, bytes);
    blob_release(blob);
}

struct reclaimer reclaim_in_background(struct server *server) {
    return (struct reclaimer){.defer = defer_blob, .context = server};
}
