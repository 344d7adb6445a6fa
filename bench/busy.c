#include "bench/busy.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

static void *compute(void *context) {
    struct busy *busy = context;
    struct sched_param none = {0};
    if (sched_setscheduler(0, SCHED_IDLE, &none) != 0) return NULL; /* it would keep others off */
    while (!atomic_load_explicit(&busy->is_over, memory_order_relaxed)) {
    }
    return NULL;
}

static int start_on(struct busy *busy, int processor) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(processor, &one);
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error != 0) return error;
    error = pthread_attr_setaffinity_np(&attributes, sizeof(one), &one);
    if (error == 0) error = pthread_create(&busy->threads[busy->count], &attributes, compute, busy);
    pthread_attr_destroy(&attributes);
    if (error == 0) busy->count++;
    return error;
}

static bool fail(struct busy *busy, int error) {
    fprintf(stderr, "sherd-bench: can't keep the server's processors busy: %s\n", strerror(error));
    busy_end(busy);
    return false;
}

bool busy_begin(struct busy *busy, pid_t process) {
    *busy = (struct busy){0};
    cpu_set_t all;
    if (sched_getaffinity(process, sizeof(all), &all) != 0) return fail(busy, errno);
    for (int i = 0; i < CPU_SETSIZE && busy->count < BUSY_THREADS_MAX; i++) {
        int error = CPU_ISSET(i, &all) ? start_on(busy, i) : 0;
        if (error != 0) return fail(busy, error);
    }
    return true;
}

void busy_end(struct busy *busy) {
    atomic_store_explicit(&busy->is_over, true, memory_order_relaxed);
    while (busy->count != 0) {
        pthread_join(busy->threads[--busy->count], NULL);
    }
}
