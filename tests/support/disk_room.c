#include "tests/support/disk_room.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>

#include <cmocka.h>

static void limit(rlim_t bytes) {
    struct rlimit sizes;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &sizes), 0);
    sizes.rlim_cur = bytes < sizes.rlim_max ? bytes : sizes.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &sizes), 0);
}

void disk_room_limit(uint64_t bytes) {
    signal(SIGXFSZ, SIG_IGN);
    limit(bytes);
}

void disk_room_unlimit(void) {
    limit(RLIM_INFINITY);
}
