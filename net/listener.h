/* A listening socket, TCP or Unix. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "address.h"
#include "shards/base/status.h"

enum { LISTENER_PATH_MAX = 108, LISTENER_ERROR_MAX = 256 };

struct listener {
    int fd;                       /* -1 when not open */
    char path[LISTENER_PATH_MAX]; /* of a Unix socket; empty for TCP */
    bool keeps_file;              /* the path's file is another process's to remove */
    bool is_tls;                  /* the owner's to set and read */
    char text[ADDRESS_TEXT_MAX];  /* where it listens, for the log; never port 0, but the one got */
};

/* Both: non-blocking, close-on-exec, listening. On failure `error` (LISTENER_ERROR_MAX bytes) says what,
 * where and what to do, `fd` is -1, and nothing is left behind. */
must_use enum status listener_open_tcp(struct listener *listener, const char *host, uint16_t port,
                                       int backlog, char *error);
/* A stale socket file (nobody listens on it) is replaced; one in use, or a file of another kind, is refused.
 * `permissions` 0 leaves the umask's. */
must_use enum status listener_open_unix(struct listener *listener, const char *path,
                                        mode_t permissions, int backlog, char *error);
/* Would it be opened? Nothing listens, and no file is made or removed; an address or a path where somebody listens is
 * fine, as it may be the server that this is asked for. Otherwise `error` says the same. */
must_use enum status listener_check_tcp(const char *host, uint16_t port, char *error);
must_use enum status listener_check_unix(const char *path, char *error);
/* Closes, and removes the socket's file, unless it `keeps_file`; does nothing when not open. */
void listener_close(struct listener *listener);

/* What every accepted TCP socket gets: TCP_NODELAY, and keepalive after `keepalive_s` idle seconds (0:
 * none). Does nothing to Unix sockets. */
void listener_tune(int fd, int keepalive_s);
