/* Tests that hold each engine to the same: every row is run on each that the kernel has, in a world of its own. */
#pragma once

#include <stddef.h>

#include "tests/support/engine_world.h"

struct engine_row {
    const char *name;
    void (*run)(struct world *world);
};

#define ENGINE_ROW(test)                                                                           \
    { #test, test }

/* Run them as one cmocka group, each test named after its engine and itself; `set_up` and `tear_down` are the
 * group's, or NULL. Each engine says what it is, or why there is none. Returns how many failed. */
int engine_rows_run(const char *group, const struct engine_row *rows, size_t count,
                    int (*set_up)(void **state), int (*tear_down)(void **state));
