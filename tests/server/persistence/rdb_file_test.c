/* server/persistence/rdb_file.c: what is removed at start is what nobody writes, and is ours. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/persistence/rdb_file.h"
#include "tests/support/folder.h"

/* Each test works in a folder of its own. */
static int set_up(void **state) {
    char *folder = strdup("/tmp/sherd-rdb-file-XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    *state = folder;
    return 0;
}

static int tear_down(void **state) {
    assert_int_equal(chdir("/"), 0);
    folder_remove(*state);
    free(*state);
    return 0;
}

static void make(const char *name) {
    int file = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    close(file);
}

static void what_killed_servers_left_is_removed_and_nothing_else(void **state) {
    (void)state;
    static const char *const kept[] = {"dump.rdb", "temp-12.rdb", "temp-s.rdb", "temp-s1x.rdb",
                                       "temp-s2.rdb"};
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        make(kept[i]);
    }
    make("temp-s1.rdb");
    make("temp-s4194304.rdb");
    assert_int_equal(symlink("dump.rdb", "temp-s3.rdb"), 0);
    assert_int_equal(rdb_file_remove_stale("temp-s2.rdb"), 2);
    assert_int_equal(access("temp-s1.rdb", F_OK), -1);
    assert_int_equal(access("temp-s4194304.rdb", F_OK), -1);
    assert_int_equal(access("temp-s3.rdb", F_OK), 0); /* a link is nobody's of ours */
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        assert_int_equal(access(kept[i], F_OK), 0);
    }
}

static void a_file_that_is_being_written_stays(void **state) {
    struct rdb_file file;
    assert_int_equal(rdb_file_create(&file, "dump.rdb"), STATUS_OK);
    assert_int_equal(rdb_file_write(&file, BYTES("all of it")), STATUS_OK);
    assert_int_equal(rdb_file_remove_stale("dump.rdb"), 0);
    assert_int_equal(rdb_file_commit(&file), STATUS_OK);
    assert_int_equal(access("dump.rdb", F_OK), 0);
    assert_int_equal(folder_count(*state), 1);
}

/* As between two containers, where both have the same number. */
static void two_do_not_write_into_one_file(void **state) {
    struct rdb_file file, other;
    assert_int_equal(rdb_file_create(&file, "dump.rdb"), STATUS_OK);
    assert_int_equal(rdb_file_write(&file, BYTES("all of it")), STATUS_OK);
    assert_int_equal(rdb_file_create(&other, "dump.rdb"), STATUS_FAILED);
    assert_non_null(strstr(other.error, "another process writes temp-s"));
    rdb_file_abandon(&other);
    assert_int_equal(rdb_file_commit(&file), STATUS_OK);
    int found = open("dump.rdb", O_RDONLY | O_CLOEXEC);
    char text[16] = "";
    assert_int_equal(read(found, text, sizeof text - 1), 9);
    close(found);
    assert_int_equal(rdb_file_create(&other, "dump.rdb"), STATUS_OK); /* now it is free */
    rdb_file_abandon(&other);
    assert_int_equal(folder_count(*state), 1);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_killed_servers_left_is_removed_and_nothing_else),
        TEST(a_file_that_is_being_written_stays),
        TEST(two_do_not_write_into_one_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
