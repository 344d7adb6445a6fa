/* What our cgroups allow, read from files made for it as the kernel lays them out. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/machine_memory.h"
#include "tests/support/folder.h"

enum { PATH_BYTES = 256 };

/* `path` begins with a slash; the folders on the way are made. */
static void write_file(const struct place *place, const char *path, const char *text) {
    char whole[PATH_BYTES];
    snprintf(whole, sizeof whole, "%s%s", place->folder, path);
    for (char *slash = whole + strlen(place->folder); (slash = strchr(slash + 1, '/')) != NULL;) {
        *slash = 0;
        assert_true(mkdir(whole, 0700) == 0 || errno == EEXIST);
        *slash = '/';
    }
    FILE *file = fopen(whole, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void expect_limit(const struct place *place, uint64_t expected) {
    assert_int_equal(machine_memory_of_groups(place->folder), expected);
}

static void without_groups_there_is_no_limit(void **state) {
    expect_limit(*state, UINT64_MAX);
    assert_int_equal(machine_memory_of_groups("/nowhere"), UINT64_MAX);
}

static void a_limit_of_version_2_counts(void **state) {
    write_file(*state, "/proc/self/cgroup", "0::/user/ours\n");
    expect_limit(*state, UINT64_MAX);
    write_file(*state, "/sys/fs/cgroup/user/ours/memory.max", "1073741824\n");
    write_file(*state, "/sys/fs/cgroup/user/other/memory.max", "4096\n");
    expect_limit(*state, 1073741824);
}

static void max_is_none(void **state) {
    write_file(*state, "/proc/self/cgroup", "0::/ours\n");
    write_file(*state, "/sys/fs/cgroup/ours/memory.max", "max\n");
    expect_limit(*state, UINT64_MAX);
}

static void the_tightest_of_nested_groups_counts(void **state) {
    static const char *const groups[] = {"/a/b/c", "/a/b", "/a", ""};
    write_file(*state, "/proc/self/cgroup", "0::/a/b/c\n");
    for (size_t tightest = 0; tightest < sizeof(groups) / sizeof(groups[0]); tightest++) {
        for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
            char path[PATH_BYTES];
            snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.max", groups[i]);
            write_file(*state, path, i == tightest ? "5000000\n" : i == 1 ? "max\n" : "7000000\n");
        }
        expect_limit(*state, 5000000);
    }
}

static void a_limit_of_version_1_counts(void **state) {
    write_file(*state, "/proc/self/cgroup",
               "5:cpu,cpuacct:/cpu\n4:memory:/docker/ours\n1:name=systemd:/x\n");
    write_file(*state, "/sys/fs/cgroup/memory/docker/ours/memory.limit_in_bytes", "3000000\n");
    write_file(*state, "/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    write_file(*state, "/sys/fs/cgroup/memory/cpu/memory.limit_in_bytes", "1\n");
    expect_limit(*state, 3000000);
    write_file(*state, "/sys/fs/cgroup/memory/docker/memory.limit_in_bytes", "2000000\n");
    expect_limit(*state, 2000000);
}

static void of_both_versions_the_tighter_counts(void **state) {
    write_file(*state, "/proc/self/cgroup", "4:memory:/old\n0::/new\n");
    write_file(*state, "/sys/fs/cgroup/new/memory.max", "6000000\n");
    write_file(*state, "/sys/fs/cgroup/memory/old/memory.limit_in_bytes", "5000000\n");
    expect_limit(*state, 5000000);
    write_file(*state, "/sys/fs/cgroup/new/memory.max", "4000000\n");
    expect_limit(*state, 4000000);
}

/* The path is another namespace's. */
static void in_a_container_its_group_is_the_root(void **state) {
    write_file(*state, "/sys/fs/cgroup/memory.max", "8000000\n");
    expect_limit(*state, 8000000);
    write_file(*state, "/proc/self/cgroup", "0::/not/to/be/seen/here\n");
    expect_limit(*state, 8000000);
    write_file(*state, "/proc/self/cgroup", "0::/\n");
    expect_limit(*state, 8000000);
    write_file(*state, "/sys/fs/cgroup/memory/memory.limit_in_bytes", "7000000\n");
    expect_limit(*state, 7000000);
}

static void nonsense_is_no_limit(void **state) {
    static const char *const contents[] = {"", "\n", "banana\n", "0\n",
                                           "99999999999999999999999\n"};
    write_file(*state, "/proc/self/cgroup", "0::/ours\n");
    for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
        write_file(*state, "/sys/fs/cgroup/ours/memory.max", contents[i]);
        expect_limit(*state, UINT64_MAX);
    }
    static const char *const lines[] = {"", "\n\n", ":", "0::", "memory", "4:memory:ours\n", ":/"};
    write_file(*state, "/sys/fs/cgroup/ours/memory.max", "5000000\n");
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        write_file(*state, "/proc/self/cgroup", lines[i]);
        expect_limit(*state, UINT64_MAX);
    }
}

/* One that may not be read, and a folder of that name, which nobody may; others count all the same. */
static void what_cannot_be_read_is_no_limit(void **state) {
    const struct place *place = *state;
    write_file(place, "/proc/self/cgroup", "0::/a/b\n");
    write_file(place, "/sys/fs/cgroup/a/b/memory.max/folder", "");
    expect_limit(place, UINT64_MAX);
    write_file(place, "/sys/fs/cgroup/a/memory.max", "5000000\n");
    expect_limit(place, 5000000);
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/sys/fs/cgroup/a/memory.max", place->folder);
    assert_int_equal(chmod(path, 0), 0);
    if (geteuid() != 0) expect_limit(place, UINT64_MAX); /* root reads all */
}

/* As long as a path can be, and longer than a line that is read at once. */
static void a_group_of_a_long_name_does_no_harm(void **state) {
    char line[9000] = "0::/";
    memset(line + 4, 'g', sizeof(line) - 5);
    write_file(*state, "/proc/self/cgroup", line);
    write_file(*state, "/sys/fs/cgroup/memory.max", "5000000\n");
    expect_limit(*state, 5000000);
}

static void the_machine_has_memory(void **state) {
    (void)state;
    struct machine_memory memory = machine_memory();
    assert_true(memory.bytes > 0);
    uint64_t machine = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    assert_int_equal(memory.is_limited, memory.bytes < machine);
    assert_true(memory.bytes <= machine);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, place_set_up, place_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(without_groups_there_is_no_limit),
        TEST(a_limit_of_version_2_counts),
        TEST(max_is_none),
        TEST(the_tightest_of_nested_groups_counts),
        TEST(a_limit_of_version_1_counts),
        TEST(of_both_versions_the_tighter_counts),
        TEST(in_a_container_its_group_is_the_root),
        TEST(nonsense_is_no_limit),
        TEST(what_cannot_be_read_is_no_limit),
        TEST(a_group_of_a_long_name_does_no_harm),
        TEST(the_machine_has_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
