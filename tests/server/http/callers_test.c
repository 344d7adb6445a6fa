/* Whose connection to the HTTP port ends, by lists of numbers. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "server/http/callers.h"

static void fill(struct callers *callers, int count, const char *from, int64_t now_ms) {
    for (int i = 0; i < count; i++) {
        assert_non_null(callers_add(callers, 100 + i, from, now_ms + i));
    }
}

static void nobody_goes_while_there_is_room(void **state) {
    (void)state;
    struct callers callers = {0};
    fill(&callers, CALLERS_MAX - 1, "192.0.2.1", 0);
    assert_null(callers_dismiss_one(&callers));
    assert_null(callers_dismiss_late(&callers, CALLER_MS_MAX));
}

static void who_takes_too_long_goes_once(void **state) {
    (void)state;
    struct callers callers = {0};
    struct caller *slow = callers_add(&callers, 3, "192.0.2.1", 0);
    struct caller *quick = callers_add(&callers, 4, "192.0.2.1", 0);
    caller_served(quick, CALLER_MS_MAX);
    assert_ptr_equal(callers_dismiss_late(&callers, CALLER_MS_MAX + 1), slow);
    assert_null(callers_dismiss_late(&callers, CALLER_MS_MAX + 1));
    assert_ptr_equal(callers_dismiss_late(&callers, 2 * CALLER_MS_MAX + 1), quick);
}

static void the_address_with_most_connections_gives_its_oldest(void **state) {
    (void)state;
    struct callers callers = {0};
    struct caller *probe = callers_add(&callers, 3, "127.0.0.1", 0);
    fill(&callers, CALLERS_MAX - 1, "192.0.2.1", 10);
    struct caller *gone = callers_dismiss_one(&callers);
    assert_ptr_not_equal(gone, probe);
    assert_int_equal(gone->since_ms, 10);
    assert_null(callers_dismiss_one(&callers)); /* one place is enough */
    caller_leave(gone);
    assert_ptr_equal(callers_add(&callers, 5, "192.0.2.1", 500), gone);
    assert_int_equal(callers_dismiss_one(&callers)->since_ms, 11);
}

static void among_equals_the_oldest_goes(void **state) {
    (void)state;
    struct callers callers = {0};
    for (int i = 0; i < CALLERS_MAX; i++) {
        char from[32];
        snprintf(from, sizeof from, "192.0.2.%d", i);
        assert_non_null(callers_add(&callers, i, from, 1000 - i));
    }
    assert_string_equal(callers_dismiss_one(&callers)->from, "192.0.2.63");
}

static void no_more_come_than_there_are_places(void **state) {
    (void)state;
    struct callers callers = {0};
    fill(&callers, CALLERS_MAX, "192.0.2.1", 0);
    assert_null(callers_add(&callers, 3, "127.0.0.1", 0));
    caller_leave(&callers.places[7]);
    assert_non_null(callers_add(&callers, 3, "127.0.0.1", 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_goes_while_there_is_room),
        cmocka_unit_test(who_takes_too_long_goes_once),
        cmocka_unit_test(the_address_with_most_connections_gives_its_oldest),
        cmocka_unit_test(among_equals_the_oldest_goes),
        cmocka_unit_test(no_more_come_than_there_are_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
