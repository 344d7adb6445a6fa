/* What ACL LOG remembers: like ones merged, the newest first, no more than asked for. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "server/access/acl_log.h"

enum { NOW = 1000000, MANY = 100 };

static int setup(void **state) {
    static struct acl_log log;
    acl_log_init(&log);
    *state = &log;
    return 0;
}
static int teardown(void **state) {
    acl_log_release(*state);
    return 0;
}

static void deny(struct acl_log *log, enum acl_log_reason reason, const char *object,
                 const char *user, int64_t now_ms, uint64_t length_max) {
    struct acl_denial denial = {reason, bytes_of_text(object), bytes_of_text(user),
                                BYTES("client")};
    acl_log_add(log, &denial, now_ms, length_max);
}

static uint64_t count_entries(struct acl_log *log) {
    uint64_t found;
    acl_log_free_list(acl_log_copy(log, UINT64_MAX, &found));
    return found;
}

static void like_denials_within_a_minute_are_one_entry(void **state) {
    deny(*state, ACL_LOG_COMMAND, "get", "bob", NOW, MANY);
    deny(*state, ACL_LOG_COMMAND, "set", "bob", NOW + 1, MANY);
    deny(*state, ACL_LOG_COMMAND, "get", "bob", NOW + 60000, MANY);
    uint64_t found;
    struct acl_log_entry *list = acl_log_copy(*state, MANY, &found);
    assert_int_equal(found, 2);
    /* It came to the front, and is still the first by id. */
    assert_int_equal(list->count, 2);
    assert_int_equal(list->id, 0);
    assert_int_equal(list->created_ms, NOW);
    assert_int_equal(list->updated_ms, NOW + 60000);
    assert_memory_equal(list->object, "get", 3);
    assert_int_equal(list->next->id, 1);
    acl_log_free_list(list);
}

static void what_differs_is_another_entry(void **state) {
    deny(*state, ACL_LOG_KEY, "get", "bob", NOW, MANY);
    deny(*state, ACL_LOG_COMMAND, "get", "bob", NOW, MANY);
    deny(*state, ACL_LOG_COMMAND, "get", "eve", NOW, MANY);
    deny(*state, ACL_LOG_COMMAND, "set", "eve", NOW, MANY);
    deny(*state, ACL_LOG_COMMAND, "set", "eve", NOW + 60001, MANY);
    assert_int_equal(count_entries(*state), 5);
}

static void the_oldest_go_when_there_are_too_many(void **state) {
    char name[16];
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "user%d", i);
        deny(*state, ACL_LOG_AUTH, "AUTH", name, NOW, 5);
    }
    uint64_t found;
    struct acl_log_entry *list = acl_log_copy(*state, 2, &found);
    assert_int_equal(found, 2);
    assert_memory_equal(list->user, "user19", 6);
    acl_log_free_list(list);
    assert_int_equal(count_entries(*state), 5);
    deny(*state, ACL_LOG_AUTH, "AUTH", "last", NOW, 0);
    assert_int_equal(count_entries(*state), 0);
}

static void long_texts_are_cut_and_still_merged(void **state) {
    char text[3 * ACL_LOG_TEXT_MAX + 1];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    deny(*state, ACL_LOG_KEY, text, text, NOW, MANY);
    deny(*state, ACL_LOG_KEY, text, text, NOW, MANY);
    uint64_t found;
    struct acl_log_entry *list = acl_log_copy(*state, MANY, &found);
    assert_int_equal(found, 1);
    assert_int_equal(list->object_size, ACL_LOG_TEXT_MAX);
    assert_int_equal(list->count, 2);
    acl_log_free_list(list);
}

static void after_a_reset_there_are_none_and_ids_go_on(void **state) {
    deny(*state, ACL_LOG_COMMAND, "get", "bob", NOW, MANY);
    acl_log_reset(*state);
    assert_int_equal(count_entries(*state), 0);
    deny(*state, ACL_LOG_COMMAND, "get", "bob", NOW, MANY);
    uint64_t found;
    struct acl_log_entry *list = acl_log_copy(*state, MANY, &found);
    assert_int_equal(list->count, 1);
    assert_int_equal(list->id, 1);
    acl_log_free_list(list);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(like_denials_within_a_minute_are_one_entry), TEST(what_differs_is_another_entry),
        TEST(the_oldest_go_when_there_are_too_many),      TEST(long_texts_are_cut_and_still_merged),
        TEST(after_a_reset_there_are_none_and_ids_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
