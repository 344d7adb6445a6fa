/* A waiting client keeps its command: the `struct call` it ran with and a copy of its arguments, since what was
 * received is gone by then. To be woken means only to look again: the command runs once more under its shard's
 * lock and finds what there is. So whoever wakes needs not know what for, a wake-up too many does no harm, and
 * there is one order of events: the lock's. (Redis came to the same, handleClientsBlockedOnKeys in blocked.c:
 * since version 7.2 a blocked command is run again.)
 *
 *      serving ──▶ WAITING: in the list of what it waits for (shards/waiters.h), and in the worker's `waiting`
 *         blocking_wait   │                              │                        │
 *                         │ wake, from any thread        │ open_due               │ cancel, refuse, hurry
 *                         ▼                              │                        │
 *                     WOKEN: in the worker's `woken`     │                        │
 *                         │ collect                      │                        │
 *                         ▼                              ▼                        ▼
 *                     READY: in the worker's `ready` ◀────────────────────────────┤ (hurry)
 *                         │ serve: runs the command again                         ▼
 *                         ├──▶ WAITING, for as long as there is time left       freed
 *                         └──▶ freed; the client goes on with what it sent behind
 *
 * Threads: the lists `waiting` and `ready` are the worker's. Another thread wakes under the shard's lock: it takes
 * the waiter out of its list there and pushes it on `woken`, a stack that the worker takes whole. Nothing is
 * allocated, so a wake-up can't be lost. Who pushes on an empty stack wakes the worker: one system call for a
 * thousand waiters. A worker that wants a waiter back takes it out under the same lock; when it isn't there, it is
 * on the stack.
 *
 * Time: a worker knows the earliest moment at which one of its clients must look, and then goes through all: 10 ns
 * each, once a millisecond at the most. A heap would earn its keep from some ten thousand waiting clients a
 * worker. */
#include "blocking.h"

#include <string.h>

#include "batch.h"
#include "client.h"
#include "dispatch.h"
#include "gate.h"
#include "shards/base/check.h"
#include "shards/base/memory.h"
#include "worker.h"

struct waiting {
    struct waiter waiter; /* first; the shard's lock (write) */
    struct call call;     /* the worker only, as are these: */
    int64_t until_ms;     /* the wait's end */
    int64_t look_ms;      /* when to look again in any case */
    struct waiting *next,
        **link;                 /* in the worker's `waiting` or `ready`; `link` NULL: in neither */
    struct waiting *next_woken; /* whoever pushes it, then the worker */
    struct bytes args[];
};

/* ---- The worker's lists ---------------------------------------------------------------------- */

static void list_push(struct waiting **list, struct waiting *waiting) {
    waiting->next = *list;
    waiting->link = list;
    if (*list != NULL) (*list)->link = &waiting->next;
    *list = waiting;
}

static void list_remove(struct waiting *waiting) {
    *waiting->link = waiting->next;
    if (waiting->next != NULL) waiting->next->link = waiting->link;
    waiting->link = NULL;
}

static void make_ready(struct worker *worker, struct waiting *waiting) {
    list_remove(waiting);
    list_push(&worker->ready, waiting);
}

/* Pushing reverses the stack, so the first that was woken is the first in `ready`. */
static void collect(struct worker *worker) {
    /* Acquire; pairs with the release in `wake`. */
    struct waiting *woken = atomic_exchange_explicit(&worker->woken, NULL, memory_order_acquire);
    while (woken != NULL) {
        struct waiting *next = woken->next_woken;
        make_ready(worker, woken);
        woken = next;
    }
}

/* Any thread, under the shard's lock (write). */
static void wake(struct waiter *waiter) {
    struct waiting *waiting = (struct waiting *)waiter;
    struct worker *worker = waiting->call.worker;
    struct waiting *head = atomic_load_explicit(&worker->woken, memory_order_relaxed);
    do {
        waiting->next_woken = head;
    } while (!atomic_compare_exchange_weak_explicit(&worker->woken, &head, waiting,
                                                    memory_order_release, memory_order_relaxed));
    if (head == NULL) mailbox_wake(&worker->mailbox);
}

/* ---- Beginning and ending a wait ------------------------------------------------------------- */

/* A copy of the call whose arguments lie behind it. */
static struct waiting *waiting_create(const struct call *call) {
    size_t size = sizeof(struct waiting) + call->arg_count * sizeof(struct bytes);
    for (uint32_t i = 0; i < call->arg_count; i++) {
        size += call->args[i].size;
    }
    struct waiting *waiting = memory_allocate(size);
    if (waiting == NULL) return NULL;
    *waiting = (struct waiting){.waiter = {.wake = wake}, .call = *call};
    char *text = (char *)&waiting->args[call->arg_count];
    for (uint32_t i = 0; i < call->arg_count; i++) {
        memcpy(text, call->args[i].data, call->args[i].size);
        waiting->args[i] = bytes_of(text, call->args[i].size);
        text += call->args[i].size;
    }
    waiting->call.args = waiting->args;
    waiting->call.first_key.name = waiting->args[call->command->keys.first];
    return waiting;
}

/* What it takes is the client's: in the list of clients, and against maxmemory-clients. */
static void count(const struct waiting *waiting, int64_t bytes) {
    struct client *client = waiting->call.client;
    uint64_t before =
        atomic_exchange_explicit(&client->waiting_bytes, (uint64_t)bytes, memory_order_relaxed);
    memory_account_clients(bytes - (int64_t)before);
    if (bytes != 0) client->worker->clients_grew = true;
}

static struct waiting *begin(const struct call *call, int64_t wait_ms) {
    struct client *client = call->client;
    if (client->reply_mode != CLIENT_REPLY_ON) return NULL;
    struct waiting *waiting = waiting_create(call);
    if (waiting == NULL) return NULL;
    waiting->until_ms = call->now_ms + wait_ms;
    client->waiting = waiting;
    client->is_suspended = true;
    count(waiting, (int64_t)memory_usable(waiting));
    return waiting;
}

/* It is in no list any more. */
static void end(struct waiting *waiting) {
    struct client *client = waiting->call.client;
    client->waiting = NULL;
    count(waiting, 0);
    memory_free(waiting);
}

bool blocking_wait(struct call *call, struct waiters *waiters, int64_t wait_ms, int64_t look_ms) {
    struct worker *worker = call->worker;
    struct waiting *waiting = call->client->waiting;
    if (waiting == NULL) waiting = begin(call, wait_ms);
    if (waiting == NULL || waiting->until_ms <= call->now_ms) return false;
    waiting->look_ms = look_ms < waiting->until_ms ? look_ms : waiting->until_ms;
    if (waiting->look_ms < worker->next_look_ms) worker->next_look_ms = waiting->look_ms;
    list_push(&worker->waiting, waiting);
    waiters_join(waiters, &waiting->waiter);
    return true;
}

/* Out of the list of what it waits for, so that nobody wakes it. False: it has been woken already. */
static bool leave(struct waiting *waiting) {
    struct rwlock *lock = &waiting->call.first_shard->lock;
    rwlock_write_lock(lock);
    bool was_in = waiter_leave(&waiting->waiter);
    rwlock_write_unlock(lock);
    return was_in;
}

/* The same, and out of the worker's lists. */
static void take_back(struct waiting *waiting) {
    if (!leave(waiting)) collect(waiting->call.worker);
    list_remove(waiting);
}

/* ---- Looking again --------------------------------------------------------------------------- */

/* Of a waiter that is in no list. */
static void serve(struct worker *worker, struct waiting *waiting) {
    struct client *client = waiting->call.client;
    waiting->call.now_ms = worker->now_ms;
    dispatch_again(&waiting->call);
    if (waiting->link != NULL) return; /* it waits on */
    end(waiting);
    batch_answered(worker, client);
}

/* While a gate holds them they stay ready, and are served when it opens. */
static void serve_ready(struct worker *worker) {
    while (worker->ready != NULL) {
        struct waiting *waiting = worker->ready;
        if (gate_holds(worker->server, waiting->call.command, worker->now_ms)) {
            worker->has_paused = true;
            return;
        }
        list_remove(waiting);
        serve(worker, waiting);
    }
}

void blocking_open_woken(struct worker *worker) {
    collect(worker);
    serve_ready(worker);
}

void blocking_open_due(struct worker *worker) {
    worker->next_look_ms = INT64_MAX;
    for (struct waiting *waiting = worker->waiting, *next; waiting != NULL; waiting = next) {
        next = waiting->next;
        if (waiting->look_ms > worker->now_ms) {
            if (waiting->look_ms < worker->next_look_ms) worker->next_look_ms = waiting->look_ms;
        } else if (leave(waiting)) { /* otherwise it was woken, and comes by that way */
            make_ready(worker, waiting);
        }
    }
    serve_ready(worker);
}

void blocking_cancel(struct client *client) {
    struct waiting *waiting = client->waiting;
    if (waiting == NULL) return;
    take_back(waiting);
    end(waiting);
}

void blocking_refuse(struct client *client, const char *error) {
    if (client->waiting == NULL) return;
    blocking_cancel(client);
    reply_error(&client->reply, error);
    batch_answered(client->worker, client);
}

void blocking_hurry(struct client *client) {
    struct waiting *waiting = client->waiting;
    if (waiting == NULL) return;
    take_back(waiting);
    waiting->until_ms = 0;
    list_push(&client->worker->ready, waiting);
    serve_ready(client->worker);
}
