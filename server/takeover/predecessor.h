/* The side of a hand-over that has the store: a thread that waits at the Unix socket `takeover-socket` for a
 * successor (successor.h) and gives it the listening sockets and all keys, or goes on as if nobody had come. */
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "net/listener.h"
#include "shards/base/status.h"

struct server;

struct predecessor {
    struct server *server;
    struct listener door; /* fd -1: there is none; immutable after start */
    int interrupt_fd;     /* an eventfd: readable when a hand-over is to be given up */
    bool has_thread;
    pthread_t thread;
    sem_t answered;      /* posted by each worker that stands still */
    uint32_t unanswered; /* posts still to come; the thread only */
    _Atomic bool is_ending;
    _Atomic bool
        has_handed_over; /* set once, by the thread; then nothing of this process counts any more */
};

void predecessor_init(struct predecessor *predecessor, struct server *server);
/* Open the socket that the configuration names, or take it from the server's inheritance; does nothing when it
 * names none. `error` (LISTENER_ERROR_MAX) says why not. */
must_use enum status predecessor_open(struct predecessor *predecessor, char *error);
/* Would it, at this path? */
must_use enum status predecessor_check(const char *path, char *error);
/* Wait for successors from now on: all that is to be handed over is there. Where there is no thread for it, the
 * log says that none can come. */
void predecessor_start(struct predecessor *predecessor);
/* Any thread: give up the hand-over that is under way, if its successor hasn't said "mine" yet. */
void predecessor_interrupt(struct predecessor *predecessor);
/* Any thread: is everything the successor's by now? */
static inline bool predecessor_has_handed_over(const struct predecessor *predecessor) {
    /* Acquire; pairs with the release in `commit`. */
    return atomic_load_explicit(&predecessor->has_handed_over, memory_order_acquire);
}
/* Wait for the thread's end. The workers still run. */
void predecessor_stop(struct predecessor *predecessor);
/* After predecessor_stop; also when nothing was opened. */
void predecessor_close(struct predecessor *predecessor);
