/* What could be done at a path: looked at, and nothing opened, made or changed. For this process's user; what comes in
 * between, and what no permission tells (a full disk), is left to whoever does it. */
#pragma once

#include <stdbool.h>

/* Why a file could not be written to there, or made where there is none: 0, or an errno number as open would give. */
int path_refuses_writing(const char *path);
/* The same of making, replacing and removing a file of that name. */
int path_refuses_making(const char *path);
/* Do they lead to the same file, or would they if it were made? */
bool path_is_same(const char *one, const char *other);
