/* The side of a hand-over that gets the store: `sherd --takeover`. Main thread, at start, before clients are
 * served.
 *
 *      successor_begin ─▶ (the server is built on what was inherited) ─▶ successor_load ─▶ successor_take ─▶ serve
 *
 * Until successor_take has returned STATUS_OK the predecessor (predecessor.h) can go on, and does when we end. */
#pragma once

#include <stdint.h>

#include "shards/base/status.h"

struct server;

struct successor {
    int fd; /* the Unix socket to the predecessor; -1: we are nobody's successor */
    uint64_t changes;
    int64_t saved_ms; /* both as in message.h */
};

enum { SUCCESSOR_ERROR_MAX = 768 };

/* Connect to the server that listens at `takeover-socket`; its listening sockets are in server->inheritance then.
 * STATUS_REFUSED: `error` (SUCCESSOR_ERROR_MAX) says why, and what to do. */
must_use enum status successor_begin(struct successor *successor, struct server *server,
                                     char *error);
/* Take the keys over. STATUS_FAILED: the log says why. STATUS_REFUSED: a signal to stop came first. */
must_use enum status successor_load(struct successor *successor, struct server *server);
/* Say that all is ours. On STATUS_OK it is: the predecessor serves nobody any more, and removes no file. Otherwise
 * it goes on, `error` says why, and we must not serve. */
must_use enum status successor_take(struct successor *successor, struct server *server,
                                    char *error);
void successor_release(struct successor *successor);
