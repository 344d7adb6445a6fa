/* sherd-bench(1): every option of every subcommand is in it, whole. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "bench/manual.c"

static const struct bench benches[] = {
    {"first", "measures one thing",
     "  --host H, --port P     where it listens,\n"
     "                         and how (127.0.0.1)\n"
     "  --io auto|uring        the engine\n"
     "  --only WHAT            a: one;\n"
     "                         b: another\n",
     NULL},
    {"second", ".measures 'another'", "  --json                 one object\n", NULL},
};

static char *printed_by(void (*print)(FILE *out, const struct bench *benches, size_t count)) {
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    print(out, benches, 2);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void options_are_told_with_their_meaning_joined(void **state) {
    (void)state;
    char *text = printed_by(bench_manual_print);
    assert_non_null(strstr(text, ".SS first\nmeasures one thing\n"
                                 ".TP\n\\fB\\-\\-host H, \\-\\-port P\\fR\n"
                                 "where it listens, and how (127.0.0.1)\n"
                                 ".TP\n\\fB\\-\\-io auto|uring\\fR\nthe engine\n"
                                 ".TP\n\\fB\\-\\-only WHAT\\fR\na: one; b: another\n"));
    assert_non_null(strstr(text, ".SS second\n\\&.measures \\(aqanother\\(aq\n"
                                 ".TP\n\\fB\\-\\-json\\fR\none object\n"));
    free(text);
}

static void completion_knows_subcommands_and_their_options(void **state) {
    (void)state;
    char *text = printed_by(bench_completion_print);
    assert_non_null(strstr(text, "words=\"--help first second \""));
    assert_non_null(strstr(text, "first) words=\"--host --port --io --only \" ;;"));
    assert_non_null(strstr(text, "second) words=\"--json \" ;;"));
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_are_told_with_their_meaning_joined),
        cmocka_unit_test(completion_knows_subcommands_and_their_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
