/* What COMMAND DOCS tells of the commands' past is of commands that there are, and of arguments that they take. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "server/command_history.h"
#include "server/command_table.h"
#include "server/syntax.h"
#include "tests/support/commands.h"

static struct command_history history_of(const struct command_table *commands, const char *name) {
    return command_history_of(commands_row(commands, name));
}

static void a_command_has_its_changes_oldest_first(void **state) {
    struct command_history set = history_of(*state, "set");
    assert_int_equal(set.count, 4);
    assert_string_equal(set.changes[0].version, "2.6.12");
    assert_string_equal(set.changes[3].version, "7.0.0");
    assert_int_equal(history_of(*state, "get").count, 0);
    assert_int_equal(history_of(*state, "client").count, 0);
}

static void assert_since(struct command_history history, const char *name, const char *expected) {
    const char *since = command_history_since(history, bytes_of_text(name));
    if (expected == NULL) {
        assert_null(since);
    } else {
        assert_non_null(since);
        assert_string_equal(since, expected);
    }
}

static void an_argument_is_there_since_it_is_first_quoted(void **state) {
    struct command_history set = history_of(*state, "set");
    assert_since(set, "condition", "2.6.12");
    assert_since(set, "NX", "2.6.12");
    assert_since(set, "PXAT", "6.2.0");
    assert_since(set, "GET", "6.2.0");
    assert_since(set, "IFEQ", NULL);
    assert_since(set, "Added", NULL);
    assert_since(set, ", and the ", NULL);
    assert_since(set, "", NULL);
    assert_since(history_of(*state, "get"), "key", NULL);
}

static void an_argument_is_deprecated_where_a_change_says_so(void **state) {
    struct command_history kill = history_of(*state, "client|kill");
    assert_string_equal(command_history_deprecated(kill, BYTES("ip:port")), "2.8.12");
    assert_null(command_history_deprecated(kill, BYTES("ID")));
    assert_null(command_history_deprecated(history_of(*state, "set"), BYTES("ip:port")));
}

static void some_commands_are_marked(void **state) {
    const struct command_mark *substr = command_mark_of(commands_row(*state, "substr"));
    assert_non_null(substr);
    assert_string_equal(substr->word, "deprecated");
    assert_string_equal(substr->since, "2.0.0");
    assert_string_equal(substr->replaced_by, "`GETRANGE`");
    assert_string_equal(command_mark_of(commands_row(*state, "debug"))->word, "syscmd");
    assert_null(command_mark_of(commands_row(*state, "get")));
}

/* ---- Over all rows --------------------------------------------------------------------------- */

static bool takes(const struct syntax *syntax, struct bytes name) {
    for (uint32_t i = 1; i < syntax->count; i++) {
        const struct syntax_node *node = &syntax->nodes[i];
        char out[SYNTAX_NAME_MAX];
        struct bytes word = node->token.size != 0 ? node->token : syntax_name(syntax, node, out);
        if (bytes_equal(word, name)) return true;
    }
    return false;
}

/* Whatever a history quotes or deprecates is an argument; returns how many words it were. */
static size_t check_words(const struct command *row, const struct command_change *change) {
    struct syntax syntax;
    assert_true(syntax_parse(&syntax, row->syntax));
    if (change->deprecated != NULL) assert_true(takes(&syntax, bytes_of_text(change->deprecated)));
    size_t count = 0;
    for (const char *quote = strchr(change->text, '`'); quote != NULL; count++) {
        const char *end = strchr(quote + 1, '`');
        if (end == NULL) fail_msg("%s: %s", row->name, change->text);
        struct bytes word = bytes_of(quote + 1, (size_t)(end - quote - 1));
        if (!takes(&syntax, word))
            fail_msg("%s has no %.*s: %s", row->name, (int)word.size, word.data, change->text);
        quote = strchr(end + 1, '`');
    }
    return count;
}

static int number_of(const char *version) {
    int major, minor, patch;
    char rest;
    if (sscanf(version, "%d.%d.%d%c", &major, &minor, &patch, &rest) != 3)
        fail_msg("version %s", version);
    return (major * 1000 + minor) * 1000 + patch;
}

static void every_change_is_of_a_command_and_its_arguments(void **state) {
    struct command_history all = command_history_of_all();
    size_t words = 0;
    for (size_t i = 0; i < all.count; i++) {
        const struct command_change *change = &all.changes[i];
        const struct command *row = commands_row(*state, change->command);
        words += check_words(row, change);
        bool is_first = i == 0 || strcmp(all.changes[i - 1].command, change->command) != 0;
        const char *before = is_first ? row->since : all.changes[i - 1].version;
        if (number_of(change->version) < number_of(before))
            fail_msg("%s: %s behind %s", row->name, change->version, before);
        if (!is_first) continue;
        struct command_history own = command_history_of(row);
        assert_ptr_equal(own.changes, change);
        assert_string_equal(own.changes[own.count - 1].command,
                            row->name); /* they stand together */
    }
    assert_in_range(words, 40, 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_has_its_changes_oldest_first),
        cmocka_unit_test(an_argument_is_there_since_it_is_first_quoted),
        cmocka_unit_test(an_argument_is_deprecated_where_a_change_says_so),
        cmocka_unit_test(some_commands_are_marked),
        cmocka_unit_test(every_change_is_of_a_command_and_its_arguments),
    };
    return cmocka_run_group_tests(tests, commands_set_up, commands_tear_down);
}
