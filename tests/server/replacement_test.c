/* server/replacement.c: the old file or the new one, and nothing beside it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/replacement.h"
#include "tests/support/disk_room.h"
#include "tests/support/folder.h"

static enum status replace(struct place *place, const char *text, mode_t mode) {
    struct replacement file;
    assert_int_equal(replacement_create(&file, place->path, place->error), STATUS_OK);
    fputs(text, file.out);
    return replacement_commit(&file, mode, place->error);
}

static void assert_has(const struct place *place, const char *text, mode_t mode) {
    char found[64] = "";
    FILE *file = fopen(place->path, "r");
    assert_non_null(file);
    assert_int_equal(fread(found, 1, sizeof found, file), strlen(text));
    fclose(file);
    assert_string_equal(found, text);
    struct stat about;
    assert_int_equal(stat(place->path, &about), 0);
    assert_int_equal(about.st_mode & 07777, mode);
    assert_int_equal(folder_count(place->folder), 1);
}

static void the_new_one_takes_the_old_ones_place_and_permissions(void **state) {
    struct place *place = *state;
    assert_int_equal(replace(place, "first", 0600), STATUS_OK);
    assert_has(place, "first", 0600);
    assert_int_equal(replace(place, "second", 0644), STATUS_OK);
    assert_has(place, "second", 0600);
}

static void abandoned_it_leaves_nothing(void **state) {
    struct place *place = *state;
    assert_int_equal(replace(place, "old", 0600), STATUS_OK);
    struct replacement file;
    assert_int_equal(replacement_create(&file, place->path, place->error), STATUS_OK);
    fputs("new", file.out);
    replacement_abandon(&file);
    assert_has(place, "old", 0600);
}

static void without_room_the_old_one_stays(void **state) {
    struct place *place = *state;
    assert_int_equal(replace(place, "old", 0600), STATUS_OK);
    disk_room_limit(5);
    enum status status = replace(place, "new and longer", 0600);
    disk_room_unlimit();
    assert_int_equal(status, STATUS_FAILED);
    char expected[256];
    snprintf(expected, sizeof expected, "can't write %s: File too large", place->path);
    assert_string_equal(place->error, expected);
    assert_has(place, "old", 0600);
}

static void a_folder_that_is_not_there_is_told(void **state) {
    struct place *place = *state;
    char path[160], expected[256];
    snprintf(path, sizeof path, "%s/none/file", place->folder);
    struct replacement file;
    assert_int_equal(replacement_create(&file, path, place->error), STATUS_FAILED);
    snprintf(expected, sizeof expected, "can't create a file beside %s: No such file or directory",
             path);
    assert_string_equal(place->error, expected);
    assert_int_equal(folder_count(place->folder), 0);
}

/* As a folder is. */
static void what_can_not_be_replaced_is_told(void **state) {
    struct place *place = *state;
    assert_int_equal(mkdir(place->path, 0700), 0);
    assert_int_equal(replace(place, "new", 0600), STATUS_FAILED);
    assert_non_null(strstr(place->error, "can't rename to"));
    assert_int_equal(folder_count(place->folder), 1);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, place_set_up, place_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_new_one_takes_the_old_ones_place_and_permissions),
        TEST(abandoned_it_leaves_nothing),
        TEST(without_room_the_old_one_stays),
        TEST(a_folder_that_is_not_there_is_told),
        TEST(what_can_not_be_replaced_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
