/* A container sees the whole machine's memory and is killed at its own limit, so that counts: memory.max of
 * cgroup v2, memory.limit_in_bytes of v1. Inside a container its cgroup is the root of /sys/fs/cgroup; outside
 * of one it is found by /proc/self/cgroup, and the groups above it may be tighter: the least of all is taken.
 * */
#include "machine_memory.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH_MAX_BYTES = 4096 };

static const struct hierarchy {
    const char *mount, *limit_name;
} version_1 = {"/sys/fs/cgroup/memory", "memory.limit_in_bytes"},
  version_2 = {"/sys/fs/cgroup", "memory.max"};

/* The number in a file; UINT64_MAX for "max", or where there is none. */
static uint64_t read_limit(const char *path) {
    FILE *file = fopen(path, "re");
    if (file == NULL) return UINT64_MAX;
    unsigned long long number = 0;
    int found = fscanf(file, "%llu", &number);
    fclose(file);
    return found == 1 && number != 0 ? number : UINT64_MAX;
}

static uint64_t lesser(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

/* The least of `group` and all groups above it. The text is cut short on the way up. */
static uint64_t least_upwards(const char *root, const struct hierarchy *hierarchy, char *group) {
    uint64_t least = UINT64_MAX;
    for (;;) {
        char path[2 * PATH_MAX_BYTES];
        snprintf(path, sizeof(path), "%s%s%s/%s", root, hierarchy->mount, group,
                 hierarchy->limit_name);
        least = lesser(least, read_limit(path));
        char *slash = strrchr(group, '/');
        if (slash == NULL) return least;
        *slash = 0;
    }
}

/* A line of /proc/self/cgroup is "0::/group" (v2) or "4:memory:/group" (v1). */
static uint64_t limit_of_line(const char *root, char *line) {
    line[strcspn(line, "\n")] = 0;
    char *group = strstr(line, ":/");
    if (group == NULL) return UINT64_MAX;
    group++;
    if (strncmp(line, "0::", 3) == 0) return least_upwards(root, &version_2, group);
    if (strstr(line, ":memory:") == NULL) return UINT64_MAX;
    return least_upwards(root, &version_1, group);
}

uint64_t machine_memory_of_groups(const char *root) {
    /* In a container whose cgroup is mounted as the root, the path in the file is another namespace's. */
    char nowhere[] = "";
    uint64_t least =
        lesser(least_upwards(root, &version_2, nowhere), least_upwards(root, &version_1, nowhere));
    char line[PATH_MAX_BYTES];
    snprintf(line, sizeof(line), "%s/proc/self/cgroup", root);
    FILE *file = fopen(line, "re");
    if (file == NULL) return least;
    while (fgets(line, sizeof(line), file) != NULL) {
        least = lesser(least, limit_of_line(root, line));
    }
    fclose(file);
    return least;
}

struct machine_memory machine_memory(void) {
    uint64_t machine = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t groups = machine_memory_of_groups("");
    return (struct machine_memory){.bytes = lesser(machine, groups),
                                   .is_limited = groups < machine};
}
