/* The manual's notation becomes the tree that COMMAND DOCS shows; and every row's text is such notation. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "server/command_table.h"
#include "server/syntax.h"
#include "server/text.h"

/* The tree on one line: TOKEN:name, ? optional, * multiple, {a b} block, <a|b> one of. */
static void write_nodes(const struct syntax *syntax, uint8_t first, const char *between,
                        struct text *out) {
    for (uint8_t i = first; i != SYNTAX_NONE; i = syntax->nodes[i].next) {
        const struct syntax_node *node = &syntax->nodes[i];
        if (i != first) text_add(out, bytes_of_text(between));
        if (node->token.size != 0)
            text_format(out, "%.*s:", (int)node->token.size, node->token.data);
        if (node->kind == SYNTAX_BLOCK || node->kind == SYNTAX_ONE_OF) {
            bool is_block = node->kind == SYNTAX_BLOCK;
            text_add(out, bytes_of_text(is_block ? "{" : "<"));
            write_nodes(syntax, node->first, is_block ? " " : "|", out);
            text_add(out, bytes_of_text(is_block ? "}" : ">"));
        } else if (node->kind != SYNTAX_TOKEN) {
            text_add(out, node->name);
        }
        text_add(out, bytes_of_text(node->is_optional ? "?" : ""));
        text_add(out, bytes_of_text(node->is_multiple ? "*" : ""));
    }
}

static void assert_tree(const char *text, const char *expected) {
    struct syntax syntax;
    if (!syntax_parse(&syntax, text)) fail_msg("no syntax: %s", text);
    struct text tree = {0};
    write_nodes(&syntax, syntax.nodes[0].first, " ", &tree);
    text_add(&tree, bytes_of("", 1));
    assert_string_equal(tree.data, expected);
    text_release(&tree);
}

static void values_and_tokens_stand_in_order(void **state) {
    (void)state;
    assert_tree("", "");
    assert_tree("key value", "key value");
    assert_tree("cursor [MATCH pattern] [COUNT count]", "cursor MATCH:pattern? COUNT:count?");
    assert_tree("[NOW] [FORCE]", "NOW:? FORCE:?");
}

static void a_bar_divides_alternatives(void **state) {
    (void)state;
    assert_tree("key [NX | XX | IFEQ value]", "key <NX:|XX:|IFEQ:value>?");
    assert_tree("<ON | OFF>", "<ON:|OFF:>");
    assert_tree("[TYPE <A | B>]", "TYPE:<A:|B:>?");
}

static void assert_name(const char *text, const char *expected) {
    struct syntax syntax;
    if (!syntax_parse(&syntax, text)) fail_msg("no syntax: %s", text);
    char out[SYNTAX_NAME_MAX];
    struct bytes name = syntax_name(&syntax, &syntax.nodes[syntax.nodes[0].first], out);
    if (!bytes_equal(name, bytes_of_text(expected)))
        fail_msg("%s: called %.*s, not %s", text, (int)name.size, name.data, expected);
}

static void a_group_is_called_as_it_says_or_after_its_parts(void **state) {
    (void)state;
    assert_name("key", "key");
    assert_name("[NX]", "nx");
    assert_name("[condition: NX | XX]", "condition");
    assert_name("<ON | OFF | SKIP>", "on_off_skip");
    assert_name("key value [key value ...]", "key_value");
    assert_name("<a <b | C> [D <d: e f>]>", "a_b_c_d");
    assert_name("<a23456789_123456789_123456789_123456789 | b23456789_123456789_123456789>",
                "a23456789_123456789_123456789_123456789_b23456789_123456789_1234");
}

static void a_named_group_is_one_also_around_a_single_part(void **state) {
    (void)state;
    assert_tree("[ID <id: client-id [client-id ...]>]", "ID:{client-id*}?");
    assert_tree("<parameter: parameter> [...]", "{parameter}*");
    assert_tree("[name: NX | XX]", "<NX:|XX:>?");
    assert_tree("[name: a b]", "{a b}?");
    assert_tree("ip:port", "ip:port");
}

static void several_in_brackets_become_a_block(void **state) {
    (void)state;
    assert_tree("[protover [AUTH username password]]", "{protover {AUTH:username password}?}?");
}

static void repetition_marks_what_it_repeats(void **state) {
    (void)state;
    assert_tree("key [key ...]", "key*");
    assert_tree("key value [key value ...]", "{key value}*");
    assert_tree("a key value [key value ...] b", "a {key value}* b");
    assert_tree("[section [section ...]]", "section?*");
    assert_tree("<a | <ID b | USER c> [...]>", "<a|<ID:b|USER:c>*>");
}

static void kinds_come_from_the_words(void **state) {
    (void)state;
    struct syntax syntax;
    assert_true(syntax_parse(&syntax, "key seconds pattern unix-time-seconds FLAG word "
                                      "increment increment:double"));
    static const enum syntax_kind kinds[] = {SYNTAX_KEY,       SYNTAX_INTEGER, SYNTAX_PATTERN,
                                             SYNTAX_UNIX_TIME, SYNTAX_STRING,  SYNTAX_INTEGER,
                                             SYNTAX_DOUBLE};
    uint8_t node = syntax.nodes[0].first, last = node;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++, node = syntax.nodes[node].next) {
        assert_int_equal(syntax.nodes[node].kind, kinds[i]);
        last = node;
    }
    assert_true(bytes_is(syntax.nodes[last].name, "increment"));
    assert_int_equal(node, SYNTAX_NONE);
}

static void what_is_no_syntax_is_refused(void **state) {
    (void)state;
    static const char *const texts[] = {"[",   "]",   "key [",   "<a | >",   "[]",
                                        "a ]", "<a]", "[name:]", "<name: >", "key [key value ...]"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct syntax syntax;
        if (syntax_parse(&syntax, texts[i])) fail_msg("taken for syntax: %s", texts[i]);
    }
}

static void too_many_parts_are_refused(void **state) {
    (void)state;
    char text[4 * SYNTAX_NODES_MAX + 1] = "";
    for (int i = 0; i < 2 * SYNTAX_NODES_MAX; i++) {
        strcat(text, "a ");
    }
    struct syntax syntax;
    assert_false(syntax_parse(&syntax, text));
}

static void every_row_has_a_syntax(void **state) {
    (void)state;
    struct command_table *commands = command_table_create();
    assert_non_null(commands);
    for (uint32_t id = 0; id < command_table_count_all(commands); id++) {
        const struct command *row = command_table_row(commands, id);
        struct syntax syntax;
        if (!syntax_parse(&syntax, row->syntax)) fail_msg("%s: %s", row->name, row->syntax);
    }
    command_table_destroy(commands);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_and_tokens_stand_in_order),
        cmocka_unit_test(a_bar_divides_alternatives),
        cmocka_unit_test(a_group_is_called_as_it_says_or_after_its_parts),
        cmocka_unit_test(a_named_group_is_one_also_around_a_single_part),
        cmocka_unit_test(several_in_brackets_become_a_block),
        cmocka_unit_test(repetition_marks_what_it_repeats),
        cmocka_unit_test(kinds_come_from_the_words),
        cmocka_unit_test(what_is_no_syntax_is_refused),
        cmocka_unit_test(too_many_parts_are_refused),
        cmocka_unit_test(every_row_has_a_syntax),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
