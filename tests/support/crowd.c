#include "tests/support/crowd.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>

struct crowd_thread {
    pthread_t thread;
    crowd_member *member;
    void *context;
    size_t index;
    bool is_satisfied; /* the thread's until it is joined */
};

struct crowd {
    size_t count;
    struct crowd_thread threads[CROWD_MAX];
};

static void *thread_main(void *argument) {
    struct crowd_thread *thread = argument;
    thread->is_satisfied = thread->member(thread->context, thread->index);
    return NULL;
}

struct crowd *crowd_start(size_t count, crowd_member *member, void *context) {
    struct crowd *crowd = calloc(1, sizeof *crowd);
    assert_non_null(crowd);
    assert_true(count <= CROWD_MAX);
    crowd->count = count;
    for (size_t i = 0; i < count; i++) {
        struct crowd_thread *thread = &crowd->threads[i];
        *thread = (struct crowd_thread){.member = member, .context = context, .index = i};
        assert_int_equal(pthread_create(&thread->thread, NULL, thread_main, thread), 0);
    }
    return crowd;
}

bool crowd_finish(struct crowd *crowd) {
    bool all_satisfied = true;
    for (size_t i = 0; i < crowd->count; i++) {
        pthread_join(crowd->threads[i].thread, NULL);
        all_satisfied = all_satisfied && crowd->threads[i].is_satisfied;
    }
    free(crowd);
    return all_satisfied;
}

bool crowd_run(size_t count, crowd_member *member, void *context) {
    return crowd_finish(crowd_start(count, member, context));
}
