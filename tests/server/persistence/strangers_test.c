/* What the log tells of types that we lack. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "server/persistence/strangers.h"

static void note(struct strangers *strangers, const char *type, const char *key) {
    char *name = strangers_note(strangers, type, key != NULL);
    if (name != NULL && key != NULL) snprintf(name, STRANGER_NAME_MAX + 1, "%s", key);
}

static void types_are_counted_and_the_first_keys_named(void **state) {
    (void)state;
    struct strangers strangers = {0};
    char text[256];
    note(&strangers, "function library", NULL);
    note(&strangers, "list", "a");
    note(&strangers, "hash", "b");
    for (char key[2] = "c"; key[0] <= 'z'; key[0]++) {
        note(&strangers, "list", key);
    }
    strangers_describe(&strangers, text, sizeof text);
    assert_int_equal(strangers.count, 27);
    assert_string_equal(text, "function library: 1, list: 25, hash: 1; keys such as 'a', 'b', 'c', "
                              "'d', 'e'");
}

static void a_text_that_is_too_long_is_cut(void **state) {
    (void)state;
    struct strangers strangers = {0};
    char text[16], key[STRANGER_NAME_MAX + 1];
    memset(key, 'x', sizeof key - 1);
    key[sizeof key - 1] = 0;
    note(&strangers, "list", key);
    strangers_describe(&strangers, text, sizeof text);
    assert_string_equal(text, "list: 1; keys s");
}

static void more_types_than_there_is_room_for_count(void **state) {
    (void)state;
    struct strangers strangers = {0};
    static char types[STRANGER_TYPES + 4][8];
    for (int i = 0; i < STRANGER_TYPES + 4; i++) {
        snprintf(types[i], sizeof types[i], "t%u", (unsigned)i % 100);
        note(&strangers, types[i], NULL);
    }
    assert_int_equal(strangers.count, STRANGER_TYPES + 4);
    assert_int_equal(strangers.type_count, STRANGER_TYPES);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_are_counted_and_the_first_keys_named),
        cmocka_unit_test(a_text_that_is_too_long_is_cut),
        cmocka_unit_test(more_types_than_there_is_room_for_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
