#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "shards/base/memory.h"
#include "shards/base/queue.h"

static char items[64]; /* addresses to send around */

static void items_come_out_in_order_lap_after_lap(void **state) {
    (void)state;
    struct queue_mpsc queue;
    assert_int_equal(queue_mpsc_init(&queue, 4), STATUS_OK);
    assert_null(queue_mpsc_pop(&queue));
    for (size_t lap = 0; lap < 10; lap++) {
        for (size_t i = 0; i < 3; i++) {
            assert_true(queue_mpsc_push(&queue, &items[lap + i]));
        }
        for (size_t i = 0; i < 3; i++) {
            assert_ptr_equal(queue_mpsc_pop(&queue), &items[lap + i]);
        }
        assert_null(queue_mpsc_pop(&queue));
    }
    queue_mpsc_release(&queue);
}

static void a_full_queue_refuses_until_something_is_taken(void **state) {
    (void)state;
    struct queue_mpsc queue;
    assert_int_equal(queue_mpsc_init(&queue, 5), STATUS_OK); /* becomes 8 */
    for (size_t i = 0; i < 8; i++) {
        assert_true(queue_mpsc_push(&queue, &items[i]));
    }
    assert_false(queue_mpsc_push(&queue, &items[8]));
    assert_ptr_equal(queue_mpsc_pop(&queue), &items[0]);
    assert_true(queue_mpsc_push(&queue, &items[8]));
    assert_false(queue_mpsc_push(&queue, &items[9]));
    for (size_t i = 1; i <= 8; i++) {
        assert_ptr_equal(queue_mpsc_pop(&queue), &items[i]);
    }
    queue_mpsc_release(&queue);
}

static void a_queue_needs_its_memory(void **state) {
    (void)state;
    struct queue_mpsc queue;
    memory_refuse_after(0);
    assert_int_equal(queue_mpsc_init(&queue, 4), STATUS_NO_MEMORY);
    memory_refuse_after(-1);
    assert_int_equal(queue_mpsc_init(&queue, SIZE_MAX), STATUS_NO_MEMORY);
    queue_mpsc_release(&queue);
}

enum { PRODUCERS = 4, ITEMS = 20000 };

struct message {
    size_t producer, number;
};

struct producer {
    struct queue_mpsc *queue;
    struct message *messages;
    pthread_t thread;
};

static void *produce(void *argument) {
    struct producer *producer = argument;
    for (size_t i = 0; i < ITEMS; i++) {
        while (!queue_mpsc_push(producer->queue, &producer->messages[i])) {
            sched_yield();
        }
    }
    return NULL;
}

static void start(struct producer *producer, struct queue_mpsc *queue, size_t index) {
    producer->queue = queue;
    producer->messages = malloc(ITEMS * sizeof *producer->messages);
    assert_non_null(producer->messages);
    for (size_t i = 0; i < ITEMS; i++) {
        producer->messages[i] = (struct message){index, i};
    }
    assert_int_equal(pthread_create(&producer->thread, NULL, produce, producer), 0);
}

static void nothing_is_lost_doubled_or_overtaken_by_its_own_producer(void **state) {
    (void)state;
    struct queue_mpsc queue;
    assert_int_equal(queue_mpsc_init(&queue, 16), STATUS_OK);
    struct producer producers[PRODUCERS];
    for (size_t i = 0; i < PRODUCERS; i++) {
        start(&producers[i], &queue, i);
    }
    size_t next[PRODUCERS] = {0};
    for (size_t taken = 0; taken < (size_t)PRODUCERS * ITEMS;) {
        const struct message *message = queue_mpsc_pop(&queue);
        if (message == NULL) {
            sched_yield();
            continue;
        }
        assert_int_equal(message->number, next[message->producer]++);
        taken++;
    }
    assert_null(queue_mpsc_pop(&queue));
    for (size_t i = 0; i < PRODUCERS; i++) {
        assert_int_equal(pthread_join(producers[i].thread, NULL), 0);
        free(producers[i].messages);
    }
    queue_mpsc_release(&queue);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_come_out_in_order_lap_after_lap),
        cmocka_unit_test(a_full_queue_refuses_until_something_is_taken),
        cmocka_unit_test(a_queue_needs_its_memory),
        cmocka_unit_test(nothing_is_lost_doubled_or_overtaken_by_its_own_producer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
