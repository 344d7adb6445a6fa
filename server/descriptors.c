#include "descriptors.h"

#include <sys/resource.h>

enum status descriptors_raise(int64_t clients, int64_t *clients_max) {
    rlim_t wanted = (rlim_t)clients + DESCRIPTORS_RESERVED;
    struct rlimit limit;
    *clients_max = clients;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return STATUS_OK;
    struct rlimit raised = {.rlim_cur = wanted,
                            .rlim_max = limit.rlim_max > wanted ? limit.rlim_max : wanted};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) return STATUS_OK;
    rlim_t most = limit.rlim_max < wanted ? limit.rlim_max : limit.rlim_cur;
    *clients_max = most > DESCRIPTORS_RESERVED ? (int64_t)most - DESCRIPTORS_RESERVED : 0;
    return STATUS_REFUSED;
}
