/* The file that tells our process number to whoever asks for it. Main thread. */
#pragma once

#include "shards/base/status.h"

/* "PID\n", whole whenever somebody looks: a new file takes the old one's place. What isn't a plain file, or lies where
 * we may not make another, is written into. STATUS_FAILED: errno says why. */
must_use enum status pidfile_write(const char *path);
