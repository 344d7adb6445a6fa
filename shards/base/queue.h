/* A bounded lock-free queue of pointers: many producers, one consumer (mpsc). Each worker's mailbox is one.
 *
 * Ring of cells with sequence numbers, after Dmitry Vyukov's bounded queue: a producer claims a cell with one
 * compare-and-swap and publishes it with a release store that pairs with the consumer's acquire load. Full is an
 * ordinary answer; nothing blocks, nothing allocates after init. */
#pragma once

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "status.h"

struct queue_cell;

struct queue_mpsc {
    struct queue_cell *cells; /* immutable after init */
    size_t mask;              /* immutable after init */
    alignas(64) _Atomic size_t tail; /* atomic; producers */
    alignas(64) size_t head;         /* the consumer only */
};

/* `capacity` is rounded up to a power of two, at least 2. */
must_use enum status queue_mpsc_init(struct queue_mpsc *queue, size_t capacity);
/* The queue must be at rest; what is still in it is the caller's. */
void queue_mpsc_release(struct queue_mpsc *queue);
/* Any thread. False when full. What the producer wrote before is visible to the consumer of `item` (not NULL). */
must_use bool queue_mpsc_push(struct queue_mpsc *queue, void *item);
/* The consumer only. NULL when empty. */
void *queue_mpsc_pop(struct queue_mpsc *queue);
