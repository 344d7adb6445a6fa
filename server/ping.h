/* sherd --ping: what health checks run. One PING to a running server, with a limit on the time it all takes; main
 * thread, no server of our own. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "shards/base/status.h"

/* A row an option of --ping, for the command line and the manual. */
struct ping_option {
    const char *name, *value, *initial, *help; /* `value`, `initial`: NULL for a switch */
};
extern const struct ping_option ping_options[];
extern const size_t ping_option_count;

enum { PING_TEXT_MAX = 1024 /* MISCONF takes 300 */ };

struct ping {
    const char *host, *port;
    const char *unix_path; /* NULL: over TCP */
    int timeout_ms;
    bool must_be_ready; /* LOADING and MISCONF won't do */
};

/* "--host H" and its like; points into `flags`. STATUS_REFUSED: `error` (PING_TEXT_MAX bytes) says why. */
must_use enum status ping_parse(struct ping *ping, int count, char *const *flags, char *error);
/* STATUS_OK when the server answers PONG, or that it wants a password (so it serves), or that it is LOADING, or can't
 * save (MISCONF: it still serves readers, and whoever restarted it would lose what isn't saved).
 * `text` (PING_TEXT_MAX) is its answer, or what went wrong, where, and what to look at. Takes `timeout_ms` at most (the
 * time to look up a host's name is not in it). */
must_use enum status ping_send(const struct ping *ping, char *text);
