/* What is derived from the rows is what Redis says of the same commands. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "server/command_facts.h"
#include "server/command_table.h"
#include "tests/support/commands.h"

static void assert_words(struct facts facts, const char *expected) {
    char text[256] = "";
    for (uint32_t i = 0; i < facts.count; i++) {
        if (i != 0) strcat(text, " ");
        strcat(text, facts.words[i]);
    }
    assert_string_equal(text, expected);
}

static void flags_have_redis_words_in_redis_order(void **state) {
    assert_words(command_flag_words(commands_row(*state, "get")), "readonly fast");
    assert_words(command_flag_words(commands_row(*state, "setnx")), "write denyoom fast");
    assert_words(command_flag_words(commands_row(*state, "auth")),
                 "noscript loading stale fast no_auth allow_busy");
    assert_words(command_flag_words(commands_row(*state, "client")), "");
}

static void categories_follow_from_flags_and_group(void **state) {
    assert_words(command_categories(commands_row(*state, "get")), "@read @string @fast");
    assert_words(command_categories(commands_row(*state, "del")), "@keyspace @write @slow");
    assert_words(command_categories(commands_row(*state, "dbsize")), "@keyspace @read @fast");
    assert_words(command_categories(commands_row(*state, "flushall")),
                 "@keyspace @write @slow @dangerous");
    assert_words(command_categories(commands_row(*state, "client|kill")),
                 "@admin @slow @dangerous @connection");
    assert_words(command_categories(commands_row(*state, "config|set")), "@admin @slow @dangerous");
    assert_words(command_categories(commands_row(*state, "info")), "@slow @dangerous");
    assert_words(command_categories(commands_row(*state, "lastsave")), "@admin @fast @dangerous");
    assert_words(command_categories(commands_row(*state, "command")), "@slow @connection");
    assert_words(command_categories(commands_row(*state, "lolwut")), "@read @fast");
}

static void a_container_has_no_group(void **state) {
    assert_words(command_categories(commands_row(*state, "client")), "@slow");
    assert_words(command_categories(commands_row(*state, "object")), "@slow");
}

static void keys_are_used_as_redis_says(void **state) {
    assert_words(command_key_use(commands_row(*state, "get"), 1), "RO access");
    assert_words(command_key_use(commands_row(*state, "incr"), 1), "RW access update");
    assert_words(command_key_use(commands_row(*state, "append"), 1), "RW insert");
    assert_words(command_key_use(commands_row(*state, "mset"), 3), "OW update");
    assert_words(command_key_use(commands_row(*state, "unlink"), 2), "RM delete");
    assert_words(command_key_use(commands_row(*state, "exists"), 2), "RO");
    assert_words(command_key_use(commands_row(*state, "object|encoding"), 2), "RO");
}

static void a_second_key_may_meet_another_fate(void **state) {
    assert_true(command_keys_differ(commands_row(*state, "rename")));
    assert_words(command_key_use(commands_row(*state, "rename"), 1), "RW access delete");
    assert_words(command_key_use(commands_row(*state, "rename"), 2), "OW update");
    assert_false(command_keys_differ(commands_row(*state, "mget")));
}

static void the_last_key_is_counted_from_either_end(void **state) {
    assert_int_equal(command_last_key(commands_row(*state, "get"), 2), 1);
    assert_int_equal(command_last_key(commands_row(*state, "mget"), 5), 4);
    assert_int_equal(command_last_key(commands_row(*state, "copy"), 5), 2);
    assert_int_equal(command_last_key(commands_row(*state, "ping"), 2), 0);
    assert_int_equal(command_last_key(commands_row(*state, "get"), 1), 0);
}

static void every_key_has_a_use_and_every_command_a_category(void **state) {
    for (uint32_t id = 0; id < command_table_count_all(*state); id++) {
        const struct command *row = command_table_row(*state, id);
        assert_true(command_categories(row).count != 0);
        if (row->keys.first == 0) continue;
        assert_true(command_key_use(row, (uint32_t)row->keys.first).count != 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_have_redis_words_in_redis_order),
        cmocka_unit_test(categories_follow_from_flags_and_group),
        cmocka_unit_test(a_container_has_no_group),
        cmocka_unit_test(keys_are_used_as_redis_says),
        cmocka_unit_test(a_second_key_may_meet_another_fate),
        cmocka_unit_test(the_last_key_is_counted_from_either_end),
        cmocka_unit_test(every_key_has_a_use_and_every_command_a_category),
    };
    return cmocka_run_group_tests(tests, commands_set_up, commands_tear_down);
}
