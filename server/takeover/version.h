/* Versions of sherd, "1.2.3". */
#pragma once

#include <stdbool.h>

/* Is `version` older than `than`? Numbers between the dots are compared; what is no number counts as 0. */
bool version_is_older(const char *version, const char *than);
