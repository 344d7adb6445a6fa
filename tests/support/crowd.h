/* Several threads doing the same at once, as many clients would. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { CROWD_MAX = 64 };

/* What one of them does; false when something went wrong. No cmocka assertions: it knows the main thread only. */
typedef bool crowd_member(void *context, size_t index);

struct crowd;

/* Start `count` threads. `context` is shared, and outlives the crowd. */
struct crowd *crowd_start(size_t count, crowd_member *member, void *context);
/* Wait for all; true when every one of them returned true. */
bool crowd_finish(struct crowd *crowd);
/* Both. */
bool crowd_run(size_t count, crowd_member *member, void *context);
