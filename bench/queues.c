/* What a hand-over between threads costs: shards/base/queue (lock-free, many producers, one consumer) against a ring
 * under a mutex with two condition variables, which is what one would write first.
 *
 * P producers push `items` in all as fast as they can; one consumer takes them. An item names its producer
 * and its number, so the consumer checks that none is lost, doubled or overtaken by one of the same producer.
 *
 * The two differ in what a full or empty queue means, and that is part of the comparison: the mutexed ring
 * sleeps and is woken; ours returns at once, and the thread gives its processor away and asks again. A
 * worker does neither: it pushes to another worker's mailbox rarely, and looks into its own once a turn.
 *
 * What to read from it: with one producer the price of a push and a pop; with more, whether producers hold
 * each other up. With more threads than processors the mutexed ring profits from sleeping: its threads run
 * one after the other, each for long. */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/bench.h"
#include "bench/options.h"
#include "bench/report.h"
#include "bench/threads.h"
#include "shards/base/queue.h"

enum { NUMBER_BITS = 48 };
static const uint64_t NUMBER_MASK = (UINT64_C(1) << NUMBER_BITS) - 1;

struct queues_options {
    struct option_list producers;
    long long items, capacity;
    bool prints_json;
};

/* ---- The mutexed ring ------------------------------------------------------------------------ */

struct ring {
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t has_item, has_room;
    void **items;
    size_t capacity, head, count;
};

static bool ring_init(struct ring *ring, size_t capacity) {
    *ring = (struct ring){.lock = PTHREAD_MUTEX_INITIALIZER,
                          .has_item = PTHREAD_COND_INITIALIZER,
                          .has_room = PTHREAD_COND_INITIALIZER,
                          .items = calloc(capacity, sizeof(void *)),
                          .capacity = capacity};
    return ring->items != NULL;
}

static void ring_push(struct ring *ring, void *item) {
    pthread_mutex_lock(&ring->lock);
    while (ring->count == ring->capacity) {
        pthread_cond_wait(&ring->has_room, &ring->lock);
    }
    ring->items[(ring->head + ring->count++) % ring->capacity] = item;
    pthread_mutex_unlock(&ring->lock);
    pthread_cond_signal(&ring->has_item);
}

static void *ring_pop(struct ring *ring) {
    pthread_mutex_lock(&ring->lock);
    while (ring->count == 0) {
        pthread_cond_wait(&ring->has_item, &ring->lock);
    }
    void *item = ring->items[ring->head];
    ring->head = (ring->head + 1) % ring->capacity;
    ring->count--;
    pthread_mutex_unlock(&ring->lock);
    pthread_cond_signal(&ring->has_room);
    return item;
}

/* ---- The kinds ------------------------------------------------------------------------------- */

/* One measurement. */
struct exchange {
    const struct queue_kind *kind;
    struct queue_mpsc mpsc;
    struct ring ring;
    uint32_t producers;
    uint64_t items_each;
    uint64_t misplaced; /* the consumer only */
};

static bool mpsc_open(struct exchange *exchange, size_t capacity) {
    return queue_mpsc_init(&exchange->mpsc, capacity) == STATUS_OK;
}
static void mpsc_close(struct exchange *exchange) {
    queue_mpsc_release(&exchange->mpsc);
}
static void mpsc_push(struct exchange *exchange, void *item) {
    while (!queue_mpsc_push(&exchange->mpsc, item)) {
        sched_yield();
    }
}
static void *mpsc_pop(struct exchange *exchange) {
    void *item;
    while ((item = queue_mpsc_pop(&exchange->mpsc)) == NULL) {
        sched_yield();
    }
    return item;
}

static bool mutexed_open(struct exchange *exchange, size_t capacity) {
    return ring_init(&exchange->ring, capacity);
}
static void mutexed_close(struct exchange *exchange) {
    free(exchange->ring.items);
}
static void mutexed_push(struct exchange *exchange, void *item) {
    ring_push(&exchange->ring, item);
}
static void *mutexed_pop(struct exchange *exchange) {
    return ring_pop(&exchange->ring);
}

static const struct queue_kind {
    const char *name;
    bool (*open)(struct exchange *exchange, size_t capacity);
    void (*close)(struct exchange *exchange);
    void (*push)(struct exchange *exchange, void *item);
    void *(*pop)(struct exchange *exchange);
} kinds[] = {
    {"mpsc", mpsc_open, mpsc_close, mpsc_push, mpsc_pop},
    {"mutexed", mutexed_open, mutexed_close, mutexed_push, mutexed_pop},
};
enum { KIND_COUNT = sizeof(kinds) / sizeof(kinds[0]) };

/* ---- The measurements ------------------------------------------------------------------------ */

/* Items are numbers in a pointer's clothes: the producer above, its count from 1 below. */
static void produce(struct exchange *exchange, uint32_t producer) {
    for (uint64_t number = 1; number <= exchange->items_each; number++) {
        exchange->kind->push(exchange,
                             (void *)(uintptr_t)((uint64_t)producer << NUMBER_BITS | number));
    }
}

static void consume(struct exchange *exchange) {
    uint64_t last[THREADS_MAX] = {0};
    for (uint64_t left = exchange->items_each * exchange->producers; left > 0; left--) {
        uint64_t item = (uint64_t)(uintptr_t)exchange->kind->pop(exchange);
        uint64_t *before = &last[item >> NUMBER_BITS];
        if ((item & NUMBER_MASK) != *before + 1) exchange->misplaced++;
        *before = item & NUMBER_MASK;
    }
}

static void take_part(void *context, uint32_t index, const _Atomic bool *is_over) {
    (void)is_over;
    struct exchange *exchange = context;
    index < exchange->producers ? produce(exchange, index) : consume(exchange);
}

static bool measure(const struct queue_kind *kind, const struct queues_options *options,
                    uint32_t producers, struct report *results) {
    struct exchange exchange = {
        .kind = kind, .producers = producers, .items_each = (uint64_t)options->items / producers};
    if (!kind->open(&exchange, (size_t)options->capacity)) return false;
    report_progress(results, kind->name);
    double took = threads_run(
        &(struct threads_plan){.count = producers + 1, .body = take_part, .context = &exchange});
    kind->close(&exchange);
    if (took <= 0) return false;
    if (exchange.misplaced != 0) {
        fprintf(stderr, "sherd-bench: %s has lost the order\n", kind->name);
        return false;
    }
    double items = (double)exchange.items_each * producers;
    const struct report_field fields[] = {
        {.name = "queue", .text = kind->name},
        {.name = "producers", .number = producers},
        {.name = "capacity", .number = (double)options->capacity},
        {.name = "items_per_s", .number = items / took},
        {.name = "ns_per_item", .number = took * 1e9 / items, .decimals = 1},
    };
    report_row(results, fields, sizeof(fields) / sizeof(fields[0]));
    return true;
}

int queues_run(int argc, char **argv) {
    struct queues_options options = {
        .producers = {4, {1, 2, 4, 8}}, .items = 4000000, .capacity = 1024};
    const struct option_row rows[] = {
        {"--producers", OPTION_COUNTS, &options.producers},
        {"--items", OPTION_COUNT, &options.items},
        {"--capacity", OPTION_COUNT, &options.capacity},
        {"--json", OPTION_SWITCH, &options.prints_json},
    };
    if (!options_read(argc, argv, rows, sizeof(rows) / sizeof(rows[0]))) return EXIT_FAILURE;
    if (options_max(&options.producers) >= THREADS_MAX) {
        fprintf(stderr, "sherd-bench: fewer than %d producers\n", THREADS_MAX);
        return EXIT_FAILURE;
    }
    struct report results;
    report_init(&results, "queues", options.prints_json, KIND_COUNT * options.producers.count);
    for (size_t i = 0; i < options.producers.count; i++) {
        for (size_t k = 0; k < KIND_COUNT; k++) {
            if (!measure(&kinds[k], &options, (uint32_t)options.producers.values[i], &results))
                return EXIT_FAILURE;
        }
    }
    return EXIT_SUCCESS;
}
