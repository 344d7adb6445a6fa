/* server/persistence/rdb_file.c: what is written is there, whichever way it goes to the disk, or nothing is; and what is
 * removed at start is what nobody writes, and is ours. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/persistence/rdb_file.h"
#include "tests/support/disk_room.h"
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
    assert_int_equal(rdb_file_create(&file, "dump.rdb", true), STATUS_OK);
    assert_int_equal(rdb_file_write(&file, BYTES("all of it")), STATUS_OK);
    assert_int_equal(rdb_file_remove_stale("dump.rdb"), 0);
    assert_int_equal(rdb_file_commit(&file), STATUS_OK);
    assert_int_equal(access("dump.rdb", F_OK), 0);
    assert_int_equal(folder_count(*state), 1);
}

/* As between two containers, where both have the same number. */
static void two_do_not_write_into_one_file(void **state) {
    struct rdb_file file, other;
    assert_int_equal(rdb_file_create(&file, "dump.rdb", true), STATUS_OK);
    assert_int_equal(rdb_file_write(&file, BYTES("all of it")), STATUS_OK);
    assert_int_equal(rdb_file_create(&other, "dump.rdb", true), STATUS_FAILED);
    assert_non_null(strstr(other.error, "another process writes temp-s"));
    rdb_file_abandon(&other);
    assert_int_equal(rdb_file_commit(&file), STATUS_OK);
    int found = open("dump.rdb", O_RDONLY | O_CLOEXEC);
    char text[16] = "";
    assert_int_equal(read(found, text, sizeof text - 1), 9);
    close(found);
    assert_int_equal(rdb_file_create(&other, "dump.rdb", true), STATUS_OK); /* now it is free */
    rdb_file_abandon(&other);
    assert_int_equal(folder_count(*state), 1);
}

/* ---- Writing --------------------------------------------------------------------------------- */

enum { SIZE = 40 * 1000 * 1000 /* more than a burst */, LIMIT = 300 * 1000 };

static char byte_at(size_t index) {
    return (char)(index * 31 + index / 4096);
}

/* In parts of some bytes and of some hundred thousand. */
static enum status write_all(struct rdb_file *file, size_t size) {
    static char bytes[SIZE];
    for (size_t i = 0; i < size; i++) {
        bytes[i] = byte_at(i);
    }
    enum status status = STATUS_OK;
    size_t part = 1;
    for (size_t at = 0; at < size && status == STATUS_OK; at += part) {
        part = part * 7 % 500009;
        if (part > size - at) part = size - at;
        status = rdb_file_write(file, bytes_of(bytes + at, part));
    }
    return status;
}

static void assert_written(size_t size) {
    static char bytes[SIZE + 1];
    int found = open("dump.rdb", O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(found, bytes, sizeof bytes), size);
    close(found);
    for (size_t i = 0; i < size; i++) {
        assert_int_equal(bytes[i], byte_at(i));
    }
}

static void what_is_written_is_there_whichever_way(void **state) {
    static const size_t sizes[] = {0, 1, 4096, 256 * 1024, 256 * 1024 + 1, SIZE};
    for (size_t i = 0; i < 2 * sizeof sizes / sizeof sizes[0]; i++) {
        struct rdb_file file;
        assert_int_equal(rdb_file_create(&file, "dump.rdb", i % 2 != 0), STATUS_OK);
        assert_int_equal(write_all(&file, sizes[i / 2]), STATUS_OK);
        assert_int_equal(rdb_file_commit(&file), STATUS_OK);
        assert_int_equal(file.written, sizes[i / 2]);
        assert_written(sizes[i / 2]);
    }
    assert_int_equal(folder_count(*state), 1);
}

static void without_room_the_old_file_stays(void **state) {
    struct rdb_file file;
    assert_int_equal(rdb_file_create(&file, "dump.rdb", true), STATUS_OK);
    assert_int_equal(write_all(&file, 5000), STATUS_OK);
    assert_int_equal(rdb_file_commit(&file), STATUS_OK);
    for (int beside = 0; beside < 2; beside++) {
        assert_int_equal(rdb_file_create(&file, "dump.rdb", beside != 0), STATUS_OK);
        disk_room_limit(LIMIT);
        enum status status = write_all(&file, SIZE);
        disk_room_unlimit();
        assert_int_equal(status, STATUS_FAILED);
        assert_int_equal(file.written, LIMIT);
        assert_non_null(strstr(file.error, "can't write to temp-s"));
        assert_non_null(strstr(file.error, "File too large"));
        rdb_file_abandon(&file);
        assert_int_equal(folder_count(*state), 1);
        assert_written(5000);
    }
}

/* A backup is a copy that somebody is making, or a link: the old file may be forgotten by the cache, and that's all. */
static void a_link_to_the_old_file_keeps_it(void **state) {
    struct rdb_file file;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(rdb_file_create(&file, "dump.rdb", true), STATUS_OK);
        assert_int_equal(write_all(&file, i == 0 ? SIZE : 5000), STATUS_OK);
        assert_int_equal(rdb_file_commit(&file), STATUS_OK);
        if (i == 0) assert_int_equal(link("dump.rdb", "backup.rdb"), 0);
    }
    assert_written(5000);
    assert_int_equal(rename("backup.rdb", "dump.rdb"), 0);
    assert_written(SIZE);
    assert_int_equal(folder_count(*state), 1);
}

static void a_folder_in_its_place_is_named(void **state) {
    struct rdb_file file;
    assert_int_equal(mkdir("dump.rdb", 0700), 0);
    assert_int_equal(rdb_file_create(&file, "dump.rdb", false), STATUS_OK);
    assert_int_equal(rdb_file_commit(&file), STATUS_FAILED);
    assert_non_null(strstr(file.error, " to dump.rdb: Is a directory"));
    assert_int_equal(folder_count(*state), 1);
    assert_int_equal(rmdir("dump.rdb"), 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_killed_servers_left_is_removed_and_nothing_else),
        TEST(a_file_that_is_being_written_stays),
        TEST(two_do_not_write_into_one_file),
        TEST(what_is_written_is_there_whichever_way),
        TEST(without_room_the_old_file_stays),
        TEST(a_link_to_the_old_file_keeps_it),
        TEST(a_folder_in_its_place_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
