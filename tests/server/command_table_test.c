/* Every command is found by its name in any case, by nothing else, and under a number of its own. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "server/command_table.h"
#include "server/syntax.h"

enum { NAME_MAX_BYTES = 64 };

static int set_up(void **state) {
    *state = command_table_create();
    return *state == NULL ? -1 : 0;
}

static int tear_down(void **state) {
    command_table_destroy(*state);
    return 0;
}

typedef int change_letter(int letter);

/* `name` with every `step`th letter changed, in a place where no byte lies after it. */
static struct bytes spell(char text[NAME_MAX_BYTES], const char *name, change_letter *change,
                          size_t step) {
    size_t size = strlen(name);
    assert_true(size < NAME_MAX_BYTES);
    char *start = text + NAME_MAX_BYTES - size;
    for (size_t i = 0; i < size; i++) {
        start[i] = i % step == 0 ? (char)change(name[i]) : name[i];
    }
    return bytes_of(start, size);
}

static void assert_found(const struct command_table *table, struct bytes name, uint32_t id) {
    struct command_found found = command_table_find_full(table, name);
    if (found.row == NULL) fail_msg("'%.*s' is not found", (int)name.size, name.data);
    assert_ptr_equal(found.row, command_table_row(table, id));
    assert_int_equal(found.id, id);
}

static void every_row_is_found_by_its_name_in_any_case(void **state) {
    const struct command_table *table = *state;
    for (uint32_t id = 0; id < command_table_count_all(table); id++) {
        char text[NAME_MAX_BYTES];
        const char *name = command_table_row(table, id)->name;
        assert_found(table, bytes_of_text(name), id);
        assert_found(table, spell(text, name, toupper, 1), id);
        assert_found(table, spell(text, name, toupper, 2), id);
        assert_found(table, spell(text, name, toupper, 3), id);
    }
}

static void ids_are_dense_commands_first(void **state) {
    const struct command_table *table = *state;
    uint32_t next_sub = command_table_count(table);
    assert_true(next_sub > 50);
    for (uint32_t id = 0; id < command_table_count(table); id++) {
        const struct command *row = command_table_row(table, id);
        assert_null(strchr(row->name, '|'));
        assert_int_equal(command_table_find(table, bytes_of_text(row->name)).id, id);
        assert_int_equal(command_table_first_sub(table, id), next_sub);
        for (size_t i = 0; i < row->subcommand_count; i++) {
            assert_ptr_equal(command_table_row(table, next_sub), &row->subcommands[i]);
            next_sub++;
        }
    }
    assert_int_equal(next_sub, command_table_count_all(table));
}

static void names_are_lower_case_and_unique(void **state) {
    const struct command_table *table = *state;
    uint32_t count = command_table_count_all(table);
    for (uint32_t id = 0; id < count; id++) {
        const char *name = command_table_row(table, id)->name;
        for (const char *c = name; *c != 0; c++) {
            assert_int_equal(*c, tolower(*c));
        }
        for (uint32_t other = id + 1; other < count; other++) {
            assert_string_not_equal(name, command_table_row(table, other)->name);
        }
    }
}

static void a_subcommand_is_named_after_its_container(void **state) {
    const struct command_table *table = *state;
    for (uint32_t id = 0; id < command_table_count(table); id++) {
        struct command_found container = {command_table_row(table, id), id};
        for (size_t i = 0; i < container.row->subcommand_count; i++) {
            const char *name = container.row->subcommands[i].name;
            size_t prefix = strlen(container.row->name);
            assert_memory_equal(name, container.row->name, prefix);
            assert_int_equal(name[prefix], '|');
            char text[NAME_MAX_BYTES];
            struct command_found found = command_table_find_sub(
                table, container, spell(text, name + prefix + 1, toupper, 1));
            assert_ptr_equal(found.row, &container.row->subcommands[i]);
            assert_int_equal(found.id, command_table_first_sub(table, id) + i);
        }
    }
}

/* A name a byte shorter or longer, or with one letter changed, is another command's or nobody's. */
static void a_name_nearly_right_is_not_found(void **state) {
    const struct command_table *table = *state;
    for (uint32_t id = 0; id < command_table_count(table); id++) {
        const struct command *row = command_table_row(table, id);
        size_t size = strlen(row->name);
        char text[NAME_MAX_BYTES];
        snprintf(text, sizeof(text), "%s%c", row->name, 0);
        assert_null(command_table_find(table, bytes_of(text, size + 1)).row);
        assert_ptr_not_equal(command_table_find(table, bytes_of(text, size - 1)).row, row);
        for (size_t i = 0; i < size; i++) {
            char letter = text[i];
            text[i] = (char)(letter ^ 0x20); /* the other case of a letter, but not of '_' or '-' */
            bool is_letter = isalpha((unsigned char)letter) != 0;
            assert_int_equal(command_table_find(table, bytes_of(text, size)).row == row, is_letter);
            text[i] = (char)(letter | 0x80);
            assert_null(command_table_find(table, bytes_of(text, size)).row);
            text[i] = letter;
        }
    }
}

static void what_is_no_name_is_not_found(void **state) {
    const struct command_table *table = *state;
    static const char *const names[] = {"",
                                        "|",
                                        "foo",
                                        "get|",
                                        "|get",
                                        "config|",
                                        "client|nothing",
                                        "client|id|id",
                                        "get|get",
                                        "nothing|id",
                                        "a name of more than eight bytes"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_null(command_table_find_full(table, bytes_of_text(names[i])).row);
    }
    assert_null(command_table_find(table, BYTES("client|id")).row);
    struct command_found client = command_table_find(table, BYTES("client"));
    assert_non_null(client.row);
    assert_null(command_table_find_sub(table, client, BYTES("client|id")).row);
    assert_null(command_table_find_sub(table, client, BYTES("")).row);
}

/* ---- What COMMAND tells ---------------------------------------------------------------------- */

static void every_row_is_described(void **state) {
    const struct command_table *table = *state;
    for (uint32_t id = 0; id < command_table_count_all(table); id++) {
        const struct command *row = command_table_row(table, id);
        const char *const texts[] = {row->summary, row->since, row->complexity};
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
            if (texts[i] == NULL || texts[i][0] == '\0') fail_msg("%s: text %zu", row->name, i);
        }
        int major, minor, patch;
        char rest;
        if (sscanf(row->since, "%d.%d.%d%c", &major, &minor, &patch, &rest) != 3)
            fail_msg("%s: since %s", row->name, row->since);
        if (row->group > GROUP_SERVER) fail_msg("%s: group %d", row->name, row->group);
        if (row->syntax == NULL) fail_msg("%s: no syntax", row->name);
        if (row->arity == 0) fail_msg("%s: no arity", row->name);
    }
}

/* How many arguments a part of the syntax stands for; `most` of MANY is any number. */
enum { MANY = 10000 };
struct span {
    int least, most;
};

static struct span span_of(const struct syntax *syntax, uint8_t index) {
    const struct syntax_node *node = &syntax->nodes[index];
    bool is_value =
        node->kind != SYNTAX_TOKEN && node->kind != SYNTAX_BLOCK && node->kind != SYNTAX_ONE_OF;
    struct span span = {is_value, is_value};
    for (uint8_t at = node->first; at != SYNTAX_NONE; at = syntax->nodes[at].next) {
        struct span inside = span_of(syntax, at);
        if (node->kind == SYNTAX_ONE_OF) {
            span.least = at == node->first || inside.least < span.least ? inside.least : span.least;
            span.most = inside.most > span.most ? inside.most : span.most;
        } else {
            span.least += inside.least;
            span.most += inside.most;
        }
    }
    if (node->token.size != 0) span = (struct span){span.least + 1, span.most + 1};
    if (node->is_optional) span.least = 0;
    if (node->is_multiple) span.most = MANY;
    return span;
}

static int words_of(const char *name) {
    return strchr(name, '|') != NULL ? 2 : 1;
}

static void the_syntax_has_as_many_arguments_as_the_arity(void **state) {
    const struct command_table *table = *state;
    for (uint32_t id = 0; id < command_table_count_all(table); id++) {
        const struct command *row = command_table_row(table, id);
        if (row->subcommand_count != 0) continue;     /* theirs say what follows */
        if (strcmp(row->name, "quit") == 0) continue; /* takes what comes, as Redis' */
        struct syntax syntax;
        assert_true(syntax_parse(&syntax, row->syntax));
        struct span span = span_of(&syntax, 0);
        int least = words_of(row->name) + span.least;
        int arity = span.least == span.most ? least : -least;
        if (row->arity != arity)
            fail_msg("%s %s: arity %d, not %d", row->name, row->syntax, row->arity, arity);
    }
}

/* Keys as the syntax has them: fixed ones in a row, or one that comes many times, alone or in a block. */
static struct command_keys keys_of(const struct command *row, const struct syntax *syntax) {
    struct command_keys keys = NO_KEYS;
    int position = words_of(row->name);
    for (uint8_t at = syntax->nodes[0].first; at != SYNTAX_NONE; at = syntax->nodes[at].next) {
        const struct syntax_node *node = &syntax->nodes[at];
        bool is_block = node->kind == SYNTAX_BLOCK;
        struct span span = span_of(syntax, at);
        if (node->kind == SYNTAX_KEY ||
            (is_block && syntax->nodes[node->first].kind == SYNTAX_KEY)) {
            if (keys.first == 0) keys.first = (int8_t)position;
            keys.last = node->is_multiple ? -1 : (int8_t)position;
            keys.step = (int8_t)span.least;
        }
        position += span.least;
        if (span.least != span.most) break; /* where those behind stand isn't known */
    }
    return keys;
}

static void the_syntax_has_its_keys_where_the_row_says(void **state) {
    const struct command_table *table = *state;
    for (uint32_t id = 0; id < command_table_count_all(table); id++) {
        const struct command *row = command_table_row(table, id);
        if (row->subcommand_count != 0) continue;
        if (strcmp(row->name, "debug|shard") == 0) continue; /* a name of a key: it isn't touched */
        struct syntax syntax;
        assert_true(syntax_parse(&syntax, row->syntax));
        struct command_keys keys = keys_of(row, &syntax);
        if (keys.first != row->keys.first || keys.last != row->keys.last ||
            keys.step != row->keys.step)
            fail_msg("%s %s: keys %d %d %d, not %d %d %d", row->name, row->syntax, row->keys.first,
                     row->keys.last, row->keys.step, keys.first, keys.last, keys.step);
    }
}

/* ---- Other names ----------------------------------------------------------------------------- */

static void a_renamed_command_is_found_by_its_new_name_only(void **state) {
    struct command_table *table = *state;
    struct command_found get = command_table_find(table, BYTES("get"));
    static const char *const names[] = {"x", "fetch", "eight888", "A-Name-of-more_than-eight",
                                        "get"};
    const char *before = "get";
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_int_equal(
            command_table_rename(table, bytes_of_text(before), bytes_of_text(names[i])), STATUS_OK);
        assert_null(command_table_find(table, bytes_of_text(before)).row);
        assert_ptr_equal(command_table_find(table, bytes_of_text(names[i])).row, get.row);
        assert_int_equal(command_table_find(table, bytes_of_text(names[i])).id, get.id);
        before = names[i];
    }
    /* All others are where they were. */
    for (uint32_t id = 0; id < command_table_count(table); id++) {
        const struct command *row = command_table_row(table, id);
        assert_ptr_equal(command_table_find(table, bytes_of_text(row->name)).row, row);
    }
}

static void a_command_without_a_name_is_not_found(void **state) {
    struct command_table *table = *state;
    for (uint32_t id = 0; id < command_table_count(table); id++) {
        struct bytes name = bytes_of_text(command_table_row(table, id)->name);
        assert_int_equal(command_table_rename(table, name, BYTES("")), STATUS_OK);
        assert_null(command_table_find(table, name).row);
        assert_int_equal(command_table_rename(table, name, BYTES("other")), STATUS_REFUSED);
    }
}

static void the_subcommands_of_a_renamed_command_keep_theirs(void **state) {
    struct command_table *table = *state;
    struct command_found before = command_table_find_full(table, BYTES("config|get"));
    assert_int_equal(command_table_rename(table, BYTES("CONFIG"), BYTES("adjust")), STATUS_OK);
    assert_ptr_equal(command_table_find_full(table, BYTES("adjust|get")).row, before.row);
    assert_null(command_table_find_full(table, BYTES("config|get")).row);
}

static void names_that_are_taken_or_too_long_are_refused(void **state) {
    struct command_table *table = *state;
    char name[COMMAND_NAME_MAX];
    memset(name, 'x', sizeof(name));
    assert_int_equal(command_table_rename(table, BYTES("get"), BYTES("Set")), STATUS_FULL);
    assert_int_equal(command_table_rename(table, BYTES("nothing"), BYTES("x")), STATUS_REFUSED);
    assert_int_equal(command_table_rename(table, BYTES("get"), bytes_of(name, sizeof(name))),
                     STATUS_TOO_LONG);
    assert_int_equal(command_table_rename(table, BYTES("get"), bytes_of(name, sizeof(name) - 1)),
                     STATUS_OK);
}

int main(void) {
#define TABLE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TABLE_TEST(every_row_is_found_by_its_name_in_any_case),
        TABLE_TEST(ids_are_dense_commands_first),
        TABLE_TEST(names_are_lower_case_and_unique),
        TABLE_TEST(a_subcommand_is_named_after_its_container),
        TABLE_TEST(a_name_nearly_right_is_not_found),
        TABLE_TEST(what_is_no_name_is_not_found),
        TABLE_TEST(every_row_is_described),
        TABLE_TEST(the_syntax_has_as_many_arguments_as_the_arity),
        TABLE_TEST(the_syntax_has_its_keys_where_the_row_says),
        TABLE_TEST(a_renamed_command_is_found_by_its_new_name_only),
        TABLE_TEST(a_command_without_a_name_is_not_found),
        TABLE_TEST(the_subcommands_of_a_renamed_command_keep_theirs),
        TABLE_TEST(names_that_are_taken_or_too_long_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
