#include "waiters.h"

#include "base/check.h"

void waiters_join(struct waiters *waiters, struct waiter *waiter) {
    check(waiter->in == NULL);
    if (waiters->first == NULL) waiters->end = &waiters->first;
    waiter->in = waiters;
    waiter->next = NULL;
    waiter->link = waiters->end;
    *waiters->end = waiter;
    waiters->end = &waiter->next;
}

bool waiter_leave(struct waiter *waiter) {
    struct waiters *waiters = waiter->in;
    if (waiters == NULL) return false;
    *waiter->link = waiter->next;
    if (waiter->next != NULL) {
        waiter->next->link = waiter->link;
    } else {
        waiters->end = waiter->link;
    }
    waiter->in = NULL;
    return true;
}

void waiters_wake(struct waiters *waiters) {
    while (waiters->first != NULL) {
        struct waiter *waiter = waiters->first;
        waiter_leave(waiter);
        waiter->wake(waiter);
    }
}
