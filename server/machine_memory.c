/* A container sees the whole machine's memory and is killed at its own limit, so that counts: memory.max of
 * cgroup v2, memory.limit_in_bytes of v1. Inside a container its cgroup is the root of /sys/fs/cgroup; outside
 * of one it is found by /proc/self/cgroup, and the groups above it may be tighter: the least of all is taken.
 * */
#include "machine_memory.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH_MAX_BYTES = 4096 };

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
static uint64_t least_upwards(char *group, const char *root, const char *name) {
    uint64_t least = UINT64_MAX;
    for (;;) {
        char path[PATH_MAX_BYTES + 64];
        snprintf(path, sizeof(path), "%s%s/%s", root, group, name);
        least = lesser(least, read_limit(path));
        char *slash = strrchr(group, '/');
        if (slash == NULL) return least;
        *slash = 0;
    }
}

/* Lines are "0::/group" (v2) or "4:memory:/group" (v1). */
static uint64_t limit_of_groups(void) {
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (file == NULL) return UINT64_MAX;
    uint64_t least = UINT64_MAX;
    char line[PATH_MAX_BYTES];
    while (fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = 0;
        char *group = strstr(line, ":/");
        if (group == NULL) continue;
        group++;
        if (strncmp(line, "0::", 3) == 0) {
            least = lesser(least, least_upwards(group, "/sys/fs/cgroup", "memory.max"));
        } else if (strstr(line, ":memory:") != NULL) {
            least = lesser(least,
                           least_upwards(group, "/sys/fs/cgroup/memory", "memory.limit_in_bytes"));
        }
    }
    fclose(file);
    return least;
}

struct machine_memory machine_memory(void) {
    uint64_t machine = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t groups = limit_of_groups();
    /* In a container whose cgroup is mounted as the root, the path above is another namespace's. */
    groups = lesser(groups, read_limit("/sys/fs/cgroup/memory.max"));
    groups = lesser(groups, read_limit("/sys/fs/cgroup/memory/memory.limit_in_bytes"));
    return (struct machine_memory){.bytes = lesser(machine, groups),
                                   .is_limited = groups < machine};
}
