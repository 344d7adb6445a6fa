/* Which known name a mistyped one is taken for. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "server/suggestion.h"

static struct suggestion suggest(const char *name) {
    static const char *const known[] = {"port", "print", "ping", "maxmemory", "hz"};
    struct suggestion suggestion;
    suggestion_init(&suggestion, bytes_of_text(name));
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        suggestion_offer(&suggestion, known[i]);
    }
    return suggestion;
}

static void the_nearest_name_is_suggested(void **state) {
    (void)state;
    assert_string_equal(suggest("prot").nearest, "port");
    assert_string_equal(suggest("prnit").nearest, "print");
    assert_string_equal(suggest("PIGN").nearest, "ping");
    assert_string_equal(suggest("maxmem0ri").nearest, "maxmemory");
}

static void of_two_that_are_as_near_the_first_stays(void **state) {
    (void)state;
    assert_string_equal(suggest("pring").nearest, "print");
}

static void what_is_too_far_is_not_suggested(void **state) {
    (void)state;
    assert_null(suggest("nothing-like-it").nearest);
    assert_null(suggest("x").nearest);
    assert_null(suggest("").nearest);
    char name[200];
    memset(name, 'p', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_null(suggest(name).nearest);
}

static void the_name_itself_has_no_distance(void **state) {
    (void)state;
    assert_int_equal(suggest("Port").distance, 0);
    assert_int_equal(suggest("prt").distance, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nearest_name_is_suggested),
        cmocka_unit_test(of_two_that_are_as_near_the_first_stays),
        cmocka_unit_test(what_is_too_far_is_not_suggested),
        cmocka_unit_test(the_name_itself_has_no_distance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
