/* How much memory there is for us: the least of the machine's and of what our cgroups allow. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct machine_memory {
    uint64_t bytes;
    bool is_limited; /* by a cgroup, to less than the machine has */
};

struct machine_memory machine_memory(void);
/* Tests: the least limit among the files under `root`, as they lie under "/"; UINT64_MAX for none. */
uint64_t machine_memory_of_groups(const char *root);
