/* What other threads have a worker do: each request is a letter in its mailbox, opened between two of its batches. */
#include <assert.h>
#include <unistd.h>

#include "admission.h"
#include "batch.h"
#include "blocking.h"
#include "clients_memory.h"
#include "gate.h"
#include "server.h"
#include "shards/base/memory.h"
#include "upkeep.h"
#include "worker.h"

struct worker_letter {
    struct letter letter; /* first */
    uint64_t number;      /* a client's id; or a descriptor, shifted, and whether it speaks TLS */
};

static bool post(struct worker *worker, void (*open)(void *, struct letter *), uint64_t number) {
    struct worker_letter *letter = memory_allocate(sizeof(*letter));
    if (letter == NULL) return false;
    *letter = (struct worker_letter){.letter = {.open = open}, .number = number};
    if (mailbox_post(&worker->mailbox, &letter->letter)) return true;
    memory_free(letter);
    return false;
}

static uint64_t take_number(struct letter *letter) {
    uint64_t number = ((struct worker_letter *)letter)->number;
    memory_free(letter);
    return number;
}

static void open_adopt(void *context, struct letter *letter) {
    struct worker *worker = context;
    uint64_t number = take_number(letter);
    int fd = (int)(number >> 1);
    if (!worker->is_stopping) {
        worker_take_in(worker, fd, (number & 1) != 0);
        return;
    }
    close(fd);
    admission_leave(worker->server, worker);
}

static void open_close_condemned(void *context, struct letter *letter) {
    struct worker *worker = context;
    take_number(letter);
    pthread_mutex_lock(&worker->registry);
    worker->has_condemned = false; /* whoever condemns from now on posts another letter */
    pthread_mutex_unlock(&worker->registry);
    for (struct client *client = worker->clients, *next; client != NULL; client = next) {
        next = client->next;
        if (atomic_load_explicit(&client->is_condemned, memory_order_relaxed))
            worker_close_client(worker, client);
    }
}

static void open_evict(void *context, struct letter *letter) {
    struct worker *worker = context;
    struct client *client = worker_find_client(worker, take_number(letter));
    if (client != NULL) clients_memory_evict(worker, client);
}

static void open_unblock(void *context, struct letter *letter) {
    struct worker *worker = context;
    struct client *client = worker_find_client(worker, take_number(letter));
    if (client != NULL) blocking_hurry(client);
}

static void open_unblock_with_error(void *context, struct letter *letter) {
    struct worker *worker = context;
    struct client *client = worker_find_client(worker, take_number(letter));
    if (client != NULL) blocking_refuse(client, "UNBLOCKED client unblocked via CLIENT UNBLOCK");
}

static void open_unpause(void *context, struct letter *letter) {
    take_number(letter);
    worker_resume_paused(context);
}

static void open_listen(void *context, struct letter *letter) {
    struct worker *worker = context;
    take_number(letter);
    worker->start_status = admission_listen(worker->server, worker->engine, worker->start_text);
    sem_post(&worker->has_started);
}

static void open_keep_up(void *context, struct letter *letter) {
    struct worker *worker = context;
    take_number(letter);
    upkeep_begin(worker);
}

static void open_stop(void *context, struct letter *letter) {
    struct worker *worker = context;
    take_number(letter);
    worker->is_stopping = true;
    worker->stop_deadline_ms = worker->now_ms + WORKER_STOP_MS;
}

/* What of the turn's batch hasn't run yet looks at the gates when it does. */
static void open_settle(void *context, struct letter *letter) {
    struct worker *worker = context;
    uint64_t number = take_number(letter);
    sem_t *settled = (sem_t *)(uintptr_t)(number & ~UINT64_C(1));
    if (worker->index == 0 && (number & 1)) {
        admission_unlisten(worker->server, worker->engine);
        worker->settled = settled;
    } else {
        sem_post(settled);
    }
}

/* Who gave up waiting for the answer to an open_settle that was opened just now is told all the same. */
static void open_listen_again(void *context, struct letter *letter) {
    struct worker *worker = context;
    take_number(letter);
    if (worker->settled != NULL) sem_post(worker->settled);
    worker->settled = NULL;
    admission_listen_again(worker->server);
}

/* While nobody is let in, who lets them in again arms all anew. */
static void open_note_descriptors(void *context, struct letter *letter) {
    struct worker *worker = context;
    take_number(letter);
    if (worker->is_stopping || gate_is_closed(worker->server, GATE_FROZEN)) return;
    admission_unlisten(worker->server, worker->engine);
    admission_listen_again(worker->server);
}

/* ---- Any thread ------------------------------------------------------------------------------ */

bool worker_adopt(struct worker *worker, int fd, bool is_tls) {
    return post(worker, open_adopt, (uint64_t)fd << 1 | is_tls);
}
/* A letter each would be too many: the worker opens none while it waits for its registry. */
bool worker_condemn_locked(struct worker *worker, struct client *client) {
    if (!worker->has_condemned) worker->has_condemned = post(worker, open_close_condemned, 0);
    if (worker->has_condemned)
        atomic_store_explicit(&client->is_condemned, true, memory_order_relaxed);
    return worker->has_condemned;
}
bool worker_evict(struct worker *worker, uint64_t client_id) {
    return post(worker, open_evict, client_id);
}
bool worker_unblock(struct worker *worker, uint64_t client_id, bool with_error) {
    return post(worker, with_error ? open_unblock_with_error : open_unblock, client_id);
}
bool worker_unpause(struct worker *worker) {
    return post(worker, open_unpause, 0);
}
bool worker_keep_up(struct worker *worker) {
    return post(worker, open_keep_up, 0);
}
bool worker_stop(struct worker *worker) {
    return post(worker, open_stop, 0);
}
bool worker_settle(struct worker *worker, sem_t *answered, bool unlistens) {
    static_assert(_Alignof(sem_t) > 1, "its address has room for a bit");
    return post(worker, open_settle, (uint64_t)(uintptr_t)answered | unlistens);
}
bool worker_listen_again(struct worker *worker) {
    return post(worker, open_listen_again, 0);
}
bool worker_note_descriptors(struct worker *worker) {
    return post(worker, open_note_descriptors, 0);
}
bool worker_ask_to_listen(struct worker *worker) {
    return post(worker, open_listen, 0);
}
