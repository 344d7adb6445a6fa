/* Waiters: who came first is woken first, and nobody twice. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "shards/waiters.h"

enum { COUNT = 4 };

struct noted {
    struct waiter waiter; /* first */
    int *turn;
    int woken_as; /* 0: not woken */
};

static void note(struct waiter *waiter) {
    struct noted *noted = (struct noted *)waiter;
    assert_int_equal(noted->woken_as, 0);
    noted->woken_as = ++*noted->turn;
}

static void join_all(struct waiters *waiters, struct noted noted[COUNT], int *turn) {
    for (int i = 0; i < COUNT; i++) {
        noted[i] = (struct noted){.waiter = {.wake = note}, .turn = turn};
        waiters_join(waiters, &noted[i].waiter);
    }
}

static void waiters_are_woken_in_the_order_they_came(void **state) {
    (void)state;
    struct waiters waiters = {0};
    struct noted noted[COUNT];
    int turn = 0;
    join_all(&waiters, noted, &turn);
    waiters_wake(&waiters);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(noted[i].woken_as, i + 1);
        assert_false(waiter_leave(&noted[i].waiter));
    }
    waiters_wake(&waiters);
    assert_int_equal(turn, COUNT);
}

/* The first, one in the middle, the last, and then those that are left; the list can be used again. */
static void who_leaves_is_not_woken(void **state) {
    (void)state;
    struct waiters waiters = {0};
    for (int leaver = 0; leaver < COUNT; leaver++) {
        struct noted noted[COUNT];
        int turn = 0;
        join_all(&waiters, noted, &turn);
        assert_true(waiter_leave(&noted[leaver].waiter));
        struct noted late = {.waiter = {.wake = note}, .turn = &turn};
        waiters_join(&waiters, &late.waiter);
        waiters_wake(&waiters);
        assert_int_equal(turn, COUNT);
        assert_int_equal(noted[leaver].woken_as, 0);
        assert_int_equal(late.woken_as, COUNT);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waiters_are_woken_in_the_order_they_came),
        cmocka_unit_test(who_leaves_is_not_woken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
