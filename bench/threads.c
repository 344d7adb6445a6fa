/* A gate holds the threads back until all of them exist, so that creating the last isn't measured as work
 * of the first. A condition variable rather than a barrier: when the system refuses a thread, those that
 * wait can still be sent home. */
#include "threads.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "server/clock.h"

enum gate { GATE_SHUT, GATE_OPEN, GATE_CANCELLED };

struct group {
    const struct threads_plan *plan;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum gate gate; /* lock */
    _Atomic bool is_over;
};

struct member {
    struct group *group;
    uint32_t index;
    pthread_t thread;
};

static void *run_member(void *argument) {
    struct member *member = argument;
    struct group *group = member->group;
    pthread_mutex_lock(&group->lock);
    while (group->gate == GATE_SHUT) {
        pthread_cond_wait(&group->changed, &group->lock);
    }
    enum gate gate = group->gate;
    pthread_mutex_unlock(&group->lock);
    if (gate == GATE_OPEN) group->plan->body(group->plan->context, member->index, &group->is_over);
    return NULL;
}

static void set_gate(struct group *group, enum gate gate) {
    pthread_mutex_lock(&group->lock);
    group->gate = gate;
    pthread_cond_broadcast(&group->changed);
    pthread_mutex_unlock(&group->lock);
}

static void sleep_seconds(double seconds) {
    struct timespec left = {.tv_sec = (time_t)seconds};
    left.tv_nsec = (long)((seconds - (double)left.tv_sec) * 1e9);
    while (nanosleep(&left, &left) != 0) {
    }
}

double threads_run(const struct threads_plan *plan) {
    struct group group = {
        .plan = plan, .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct member members[THREADS_MAX];
    uint32_t started = 0;
    while (started < plan->count && started < THREADS_MAX) {
        struct member *member = &members[started];
        *member = (struct member){.group = &group, .index = started};
        if (pthread_create(&member->thread, NULL, run_member, member) != 0) break;
        started++;
    }
    bool is_whole = started == plan->count;
    if (!is_whole) fprintf(stderr, "sherd-bench: no thread beyond the first %u\n", started);
    int64_t begun_ns = clock_monotonic_ns(), ended_ns = 0;
    set_gate(&group, is_whole ? GATE_OPEN : GATE_CANCELLED);
    if (is_whole && plan->seconds > 0) {
        sleep_seconds(plan->seconds);
        atomic_store_explicit(&group.is_over, true, memory_order_relaxed);
        ended_ns = clock_monotonic_ns();
    }
    for (uint32_t i = 0; i < started; i++) {
        pthread_join(members[i].thread, NULL);
    }
    if (ended_ns == 0) ended_ns = clock_monotonic_ns();
    return is_whole ? (double)(ended_ns - begun_ns) / 1e9 : 0;
}

__attribute__((noinline)) void threads_spin(uint64_t cycles) {
    for (uint64_t i = 0; i < cycles; i++) {
        __asm__ volatile("" : "+r"(i));
    }
}
