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
    int reason_fd; /* a pipe to whoever launched this process, for launch_explain; -1: none */
};

/* The successor that was started last. Main thread. */
struct launched {
    pid_t pid;     /* 0: there is none, or it was reaped */
    int reason_fd; /* a pipe, where it says why it has no log to say it in; while `pid` isn't 0 */
    bool has_any;  /* was any ever launched? */
};

void launch_note(struct launch *launch, int argument_count, char *const *arguments);
/* There is no log yet, and this is why there won't be one: tell the predecessor that launched us, if one did. NULL:
 * there is a log, and no more to tell. Never waits. */
void launch_explain(struct launch *launch, const char *why);
enum { LAUNCH_ERROR_MAX = 256, LAUNCH_REASON_MAX = 1024 };
/* Start a successor in the same folder, with the same arguments and environment and --takeover. Main thread.
 * STATUS_REFUSED: `error` says why. */
must_use enum status launch_successor(const struct launch *launch, struct launched *launched,
                                      char *error);
/* Has one ended that was started so? Logs how, and why if it said so. Main thread, on SIGCHLD. */
void launch_reap(struct launched *launched);
/* At the end. */
void launched_release(struct launched *launched);
