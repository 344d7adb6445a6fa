/* server/pidfile.c: the file is whole whenever somebody looks, and what can't be replaced is written into. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/pidfile.h"
#include "tests/support/folder.h"

static void expect_own_number(int file) {
    char text[32] = "", expected[32];
    assert_true(pread(file, text, sizeof text - 1, 0) >= 0);
    snprintf(expected, sizeof expected, "%d\n", (int)getpid());
    assert_string_equal(text, expected);
}

static void expect_file(const char *path) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(file >= 0);
    expect_own_number(file);
    close(file);
}

/* Who has the old file open still reads the old number, to its end: it was not emptied under him. */
static void a_new_file_takes_the_old_ones_place(void **state) {
    struct place *place = *state;
    int old = open(place->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(old, "123456789\n", 10), 10);
    assert_int_equal(pidfile_write(place->path, place->error), STATUS_OK);
    expect_file(place->path);
    char text[16] = "";
    assert_int_equal(pread(old, text, sizeof text - 1, 0), 10);
    assert_string_equal(text, "123456789\n");
    close(old);
    assert_int_equal(folder_count(place->folder), 1); /* nothing is left beside it */
}

static void what_is_no_plain_file_is_written_into(void **state) {
    struct place *place = *state;
    char target[64];
    snprintf(target, sizeof target, "%s/target", place->folder);
    int file = open(target, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(symlink("target", place->path), 0);
    assert_int_equal(pidfile_write(place->path, place->error), STATUS_OK);
    struct stat about;
    assert_int_equal(lstat(place->path, &about), 0);
    assert_true(S_ISLNK(about.st_mode));
    expect_own_number(file);
    close(file);
    assert_int_equal(pidfile_write("/dev/null", place->error), STATUS_OK);
    assert_int_equal(lstat("/dev/null", &about), 0);
    assert_true(S_ISCHR(about.st_mode));
}

static void a_failure_is_told_and_leaves_nothing(void **state) {
    struct place *place = *state;
    char path[96];
    snprintf(path, sizeof path, "%s/none/pid", place->folder);
    assert_int_equal(pidfile_write(path, place->error), STATUS_FAILED);
    assert_non_null(strstr(place->error, "/none/pid (option pidfile): No such file or directory"));
    assert_int_equal(pidfile_write("/dev/full", place->error), STATUS_FAILED);
    assert_non_null(strstr(place->error, "No space left on device"));
    assert_int_equal(folder_count(place->folder), 0);
}

static void a_check_says_what_writing_would_and_makes_nothing(void **state) {
    struct place *place = *state;
    char path[96], written[PIDFILE_ERROR_MAX];
    assert_int_equal(pidfile_check(place->path, place->error), STATUS_OK);
    assert_int_equal(pidfile_check("/dev/null", place->error), STATUS_OK);
    assert_int_equal(folder_count(place->folder), 0);
    snprintf(path, sizeof path, "%s/none/pid", place->folder);
    const char *const paths[] = {path, place->folder, "/dev/null/pid"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        assert_int_equal(pidfile_check(paths[i], place->error), STATUS_FAILED);
        assert_int_equal(pidfile_write(paths[i], written), STATUS_FAILED);
        assert_string_equal(place->error, written);
    }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, place_set_up, place_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_new_file_takes_the_old_ones_place),
        TEST(what_is_no_plain_file_is_written_into),
        TEST(a_failure_is_told_and_leaves_nothing),
        TEST(a_check_says_what_writing_would_and_makes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
