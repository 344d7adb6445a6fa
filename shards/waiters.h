/* Who waits for something in a shard to happen: a list in what is waited for, and a call to each when it comes.
 *
 * A waiter is in one list at most; being woken takes it out, and says no more than: look again. Lock: the shard's,
 * for writing; `wake` is called under it, so it must be short and take no lock. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct waiters {
    struct waiter *first, **end; /* in order of arrival; all zero: nobody */
};

struct waiter {
    void (*wake)(struct waiter *waiter);
    struct waiters *in; /* NULL: none */
    struct waiter *next, **link;
};

void waiters_join(struct waiters *waiters, struct waiter *waiter);
/* False when it was in no list: it has been woken. */
bool waiter_leave(struct waiter *waiter);
/* Wake all, the first to come first. */
void waiters_wake(struct waiters *waiters);
