/* How this process was started: enough to start a successor the same way. Made before anything else, immutable
 * then. */
#pragma once

#include <linux/limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "shards/base/status.h"

struct launch {
    int argument_count;
    char *const *arguments;
    bool takes_over;  /* this process is itself a successor: --takeover is its first argument */
    bool reads_stdin; /* its configuration came from standard input, and can't come again */
    char program[PATH_MAX]; /* where the executable was: what lies there later is what starts */
    char folder[PATH_MAX];  /* the working directory, which relative paths start from */
};

void launch_note(struct launch *launch, int argument_count, char *const *arguments);
enum { LAUNCH_ERROR_MAX = 256 };
/* Start a successor in the same folder, with the same arguments and environment and --takeover. Main thread.
 * STATUS_REFUSED: `error` says why. */
must_use enum status launch_successor(const struct launch *launch, pid_t *pid, char *error);
/* Has one ended that was started so? Logs how. Main thread, on SIGCHLD. */
void launch_reap(void);
