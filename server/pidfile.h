/* The file that tells our process number to whoever asks for it. Main thread. */
#pragma once

#include "shards/base/status.h"

enum { PIDFILE_ERROR_MAX = 768 };

/* "PID\n", whole whenever somebody looks: a new file takes the old one's place. What isn't a plain file, or lies where
 * we may not make another, is written into. STATUS_FAILED: `error` (PIDFILE_ERROR_MAX bytes) says why. */
must_use enum status pidfile_write(const char *path, char *error);
/* Would it? Nothing is opened or made. */
must_use enum status pidfile_check(const char *path, char *error);
