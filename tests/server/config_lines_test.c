/* Lines that are no options: kept with their place, whichever way they come. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "server/config.h"

static int setup(void **state) {
    *state = config_create();
    return *state == NULL;
}
static int teardown(void **state) {
    config_destroy(*state);
    return 0;
}

static void assert_line(const struct config_line *line, const char *place, int number,
                        const char *text) {
    assert_string_equal(line->place, place);
    assert_int_equal(line->number, number);
    assert_int_equal(line->text.size, strlen(text));
    assert_memory_equal(line->text.data, text, line->text.size);
}

static void lines_are_kept_as_they_are(void **state) {
    struct config *config = *state;
    char text[] = "hz 20\n  USER a \">b c\" ~d\n# user e\nuser f\nrename-command GET \"\"\n"
                  "users g\n",
         error[CONFIG_ERROR_MAX];
    assert_int_equal(config_load_text(config, "file", text, sizeof(text) - 1, error),
                     STATUS_REFUSED);
    assert_string_equal(error, "file:6: unknown option 'users' (did you mean 'user'?)");
    assert_int_equal(config->user_lines.count, 2);
    assert_line(&config->user_lines.items[0], "file", 2, " a \">b c\" ~d");
    assert_line(&config->user_lines.items[1], "file", 4, " f");
    assert_int_equal(config->rename_lines.count, 1);
    assert_line(&config->rename_lines.items[0], "file", 5, " GET \"\"");
}

static void flags_are_lines_too(void **state) {
    struct config *config = *state;
    char user[] = "--user", name[] = "a", rule[] = "+get", port[] = "--port", number[] = "1";
    char *flags[] = {user, name, rule, port, number, user, name};
    char error[CONFIG_ERROR_MAX];
    assert_int_equal(config_load_flags(config, 7, flags, error), STATUS_OK);
    assert_int_equal(config->user_lines.count, 2);
    assert_line(&config->user_lines.items[0], "--user", 0, "a +get");
    assert_line(&config->user_lines.items[1], "--user", 0, "a");
    assert_int_equal(config_number(&config->port), 1);
}

static void a_line_may_be_longer_than_any_option(void **state) {
    struct config *config = *state;
    static char text[100000] = "user a";
    memset(text + 6, ' ', 4);
    memset(text + 10, 'x', sizeof(text) - 10);
    char error[CONFIG_ERROR_MAX];
    assert_int_equal(config_load_text(config, "file", text, sizeof(text), error), STATUS_OK);
    assert_int_equal(config->user_lines.items[0].text.size, sizeof(text) - 4);
}

static void an_error_names_the_place(void **state) {
    (void)state;
    char error[32];
    char place[] = "file";
    struct config_line line = {.place = place, .number = 3};
    config_line_error(&line, "no", error, sizeof(error));
    assert_string_equal(error, "file:3: no");
    line.number = 0;
    config_line_error(&line, "a reason that is much too long", error, sizeof(error));
    assert_string_equal(error, "file: a reason that is much too");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_are_kept_as_they_are, setup, teardown),
        cmocka_unit_test_setup_teardown(flags_are_lines_too, setup, teardown),
        cmocka_unit_test_setup_teardown(a_line_may_be_longer_than_any_option, setup, teardown),
        cmocka_unit_test(an_error_names_the_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
