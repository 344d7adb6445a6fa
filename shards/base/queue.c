/* A bounded queue after Dmitry Vyukov, with one consumer.
 *
 * Why this one: a linked queue (his other one) allocates or owns nodes and has no bound; a ring of bare
 * pointers needs the producers to wait for each other. Here each cell carries a sequence number that says
 * whose turn it is, so that a producer needs one compare-and-swap on `tail`, and producers and consumer
 * meet in a cell only when the queue is empty or full.
 *
 * A cell at index i = position & mask, for the position that is claimed next in it:
 *
 *     sequence == position          free: the producer that moves `tail` past it may write the item
 *     sequence == position + 1      filled: the consumer may take it
 *     sequence == position + size   taken: free for the next lap
 *
 * Invariants: 1. head <= tail <= head + size, as positions that never wrap in practice (2^64).
 *             2. only the producer that claimed a position writes its cell's item; only the consumer reads it.
 *             3. every store of `sequence` moves it forward.
 *
 * Not linearisable as "empty": a producer that has claimed a cell and is not done hides what later
 * producers have already finished. So whoever pushes must wake the consumer *after* its push; then nothing
 * is left behind.
 *
 * Source: Dmitry Vyukov, "Bounded MPMC queue", 1024cores.net. */
#include "queue.h"

#include <stdint.h>

#include "check.h"
#include "memory.h"

enum { CAPACITY_MIN = 2, CACHE_LINE = 64 };

struct queue_cell {
    _Atomic size_t sequence;
    void *item; /* whoever's turn it is by `sequence` */
};

enum status queue_mpsc_init(struct queue_mpsc *queue, size_t capacity) {
    *queue = (struct queue_mpsc){0};
    size_t size = CAPACITY_MIN;
    while (size < capacity) {
        if (size > SIZE_MAX / sizeof(struct queue_cell) / 2) return STATUS_NO_MEMORY;
        size *= 2;
    }
    queue->cells = memory_allocate_aligned(CACHE_LINE, size * sizeof *queue->cells);
    if (queue->cells == NULL) return STATUS_NO_MEMORY;
    queue->mask = size - 1;
    for (size_t i = 0; i < size; i++) {
        queue->cells[i].item = NULL;
        atomic_init(&queue->cells[i].sequence, i);
    }
    return STATUS_OK;
}

void queue_mpsc_release(struct queue_mpsc *queue) {
    memory_free(queue->cells);
    queue->cells = NULL;
}

bool queue_mpsc_push(struct queue_mpsc *queue, void *item) {
    check(item != NULL);
    size_t position = atomic_load_explicit(&queue->tail, memory_order_relaxed);
    for (;;) {
        struct queue_cell *cell = &queue->cells[position & queue->mask];
        /* Acquire; pairs with the release in pop: the consumer is done with the item of the last lap. */
        size_t sequence = atomic_load_explicit(&cell->sequence, memory_order_acquire);
        if (sequence == position) {
            /* Relaxed: the claim publishes nothing; the cell's sequence does. A failure reloads `position`. */
            if (atomic_compare_exchange_weak_explicit(&queue->tail, &position, position + 1,
                                                      memory_order_relaxed, memory_order_relaxed)) {
                cell->item = item;
                /* Release; pairs with the acquire in pop. */
                atomic_store_explicit(&cell->sequence, position + 1, memory_order_release);
                return true;
            }
        } else if ((intptr_t)(sequence - position) < 0) {
            return false; /* still holds the item of the last lap */
        } else {
            position =
                atomic_load_explicit(&queue->tail, memory_order_relaxed); /* another was faster */
        }
    }
}

void *queue_mpsc_pop(struct queue_mpsc *queue) {
    size_t position = queue->head;
    struct queue_cell *cell = &queue->cells[position & queue->mask];
    /* Acquire; pairs with the release in push: the item, and all its producer wrote before. */
    if (atomic_load_explicit(&cell->sequence, memory_order_acquire) != position + 1) return NULL;
    void *item = cell->item;
    queue->head = position + 1;
    /* Release; pairs with the acquire in push: our read of the item comes before its reuse. */
    atomic_store_explicit(&cell->sequence, position + queue->mask + 1, memory_order_release);
    return item;
}
