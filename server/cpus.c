/* A container with a quota of two processors on a machine of sixty-four sees sixty-four: threads made for
 * those would only take turns on two. So both limits count: the affinity mask (taskset, cpusets) and the
 * quota (cpu.max of cgroup v2, cpu.cfs_* of v1). */
#include "cpus.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

static uint32_t cpus_in_mask(void) {
    cpu_set_t mask;
    if (sched_getaffinity(0, sizeof(mask), &mask) != 0) return 1;
    return (uint32_t)CPU_COUNT(&mask);
}

/* A quota of `quota` microseconds each `period` is this many processors; 0: no quota. */
static uint32_t cpus_of_quota(double quota, double period) {
    if (quota <= 0 || period <= 0) return 0;
    uint32_t whole = (uint32_t)(quota / period);
    return whole * period < quota ? whole + 1 : whole;
}

static uint32_t cpus_in_group_v2(void) {
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (file == NULL) return 0;
    double quota = 0, period = 0;
    int found =
        fscanf(file, "%lf %lf", &quota, &period); /* "max 100000": no quota, and no number */
    fclose(file);
    return found == 2 ? cpus_of_quota(quota, period) : 0;
}

static double read_number(const char *path) {
    FILE *file = fopen(path, "re");
    if (file == NULL) return 0;
    double number = 0;
    int found = fscanf(file, "%lf", &number);
    fclose(file);
    return found == 1 ? number : 0;
}

static uint32_t cpus_in_group_v1(void) {
    return cpus_of_quota(read_number("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"),
                         read_number("/sys/fs/cgroup/cpu/cpu.cfs_period_us"));
}

uint32_t cpus_allowed(void) {
    uint32_t allowed = cpus_in_mask();
    uint32_t quota = cpus_in_group_v2();
    if (quota == 0) quota = cpus_in_group_v1();
    if (quota != 0 && quota < allowed) allowed = quota;
    return allowed == 0 ? 1 : allowed;
}
