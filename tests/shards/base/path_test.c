/* Whether a file could be written or made, told without doing it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shards/base/path.h"
#include "tests/support/folder.h"

enum { SOMEBODY = 65534 };

static void make(const char *path, mode_t mode) {
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    assert_true(file >= 0);
    close(file);
}

static void a_file_may_be_made_where_its_folder_is(void **state) {
    struct place *place = *state;
    assert_int_equal(path_refuses_writing(place->path), 0);
    assert_int_equal(path_refuses_making(place->path), 0);
    assert_int_equal(folder_count(place->folder), 0);
    make(place->path, 0600);
    assert_int_equal(path_refuses_writing(place->path), 0);
    assert_int_equal(path_refuses_making(place->path), 0);
}

static void what_is_in_the_way_is_told_as_open_tells_it(void **state) {
    struct place *place = *state;
    char below[96];
    snprintf(below, sizeof below, "%s/below", place->path);
    assert_int_equal(path_refuses_writing(below), ENOENT);
    assert_int_equal(path_refuses_making(below), ENOENT);
    make(place->path, 0700);
    assert_int_equal(path_refuses_writing(below), ENOTDIR);
    assert_int_equal(path_refuses_making(below), ENOTDIR);
    assert_int_equal(path_refuses_writing(place->folder), EISDIR);
    assert_int_equal(path_refuses_writing(""), ENOENT);
    char longest[PATH_MAX + 1];
    memset(longest, 'p', PATH_MAX);
    longest[PATH_MAX] = '\0';
    assert_int_equal(path_refuses_making(longest), ENAMETOOLONG);
}

static void a_plain_name_is_in_the_working_directory(void **state) {
    struct place *place = *state;
    char before[PATH_MAX];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(place->folder), 0);
    assert_int_equal(path_refuses_writing("name"), 0);
    assert_int_equal(path_refuses_writing("none/name"), ENOENT);
    assert_int_equal(chdir(before), 0);
}

/* Root may everything, so then somebody else asks. */
static int ask_as_somebody(int (*ask)(const char *path), const char *path) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        bool is_root = geteuid() == 0;
        if (is_root && setresuid(SOMEBODY, SOMEBODY, SOMEBODY) != 0) _exit(255);
        _exit(ask(path));
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void permissions_are_told_to_who_has_none(void **state) {
    struct place *place = *state;
    make(place->path, 0444);
    assert_int_equal(chmod(place->folder, 0555), 0);
    assert_int_equal(ask_as_somebody(path_refuses_writing, place->path), EACCES);
    assert_int_equal(ask_as_somebody(path_refuses_making, place->path), EACCES);
    assert_int_equal(chmod(place->folder, 0777), 0);
    assert_int_equal(ask_as_somebody(path_refuses_writing, place->path), EACCES);
    assert_int_equal(ask_as_somebody(path_refuses_making, place->path), 0);
    assert_int_equal(unlink(place->path), 0);
    assert_int_equal(ask_as_somebody(path_refuses_writing, place->path), 0);
}

static void paths_are_the_same_where_they_lead_to_one_file(void **state) {
    struct place *place = *state;
    char before[PATH_MAX], round[PATH_MAX], other[PATH_MAX];
    snprintf(round, sizeof round, "%s/./%s", place->folder, strrchr(place->path, '/') + 1);
    snprintf(other, sizeof other, "%s/other", place->folder);
    assert_true(path_is_same(place->path, round)); /* there is none yet */
    assert_false(path_is_same(place->path, other));
    assert_false(path_is_same(place->path, "/nowhere/other"));
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(place->folder), 0);
    assert_true(path_is_same("other", other));
    make(place->path, 0600);
    assert_int_equal(symlink(place->path, "other"), 0);
    assert_true(path_is_same("other", place->path));
    assert_int_equal(unlink("other"), 0);
    assert_int_equal(chdir(before), 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, place_set_up, place_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_file_may_be_made_where_its_folder_is),
        TEST(what_is_in_the_way_is_told_as_open_tells_it),
        TEST(a_plain_name_is_in_the_working_directory),
        TEST(paths_are_the_same_where_they_lead_to_one_file),
        TEST(permissions_are_told_to_who_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
