/* Listening sockets that another process hands us, until they are taken, each by its address. One thread.
 *
 * A socket that is handed on goes on listening: who waits in its queue is accepted by the next process, and nobody
 * is refused in between. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine.h"
#include "listener.h"

enum { INHERITANCE_MAX = ENGINE_LISTENERS_MAX + 2 /* one for metrics, one for the next heir */ };

struct inheritance {
    struct listener items[INHERITANCE_MAX];
    uint32_t count;
};

/* Owns `fd` from now on; `path` is a Unix socket's, empty for TCP. False: it is no listening socket, or one too
 * many, and is closed. */
must_use bool inheritance_add(struct inheritance *inheritance, int fd, const char *path);
/* Is there a socket that listens there, or at a path that leads to the same file? Then it is `listener`'s. Its file,
 * if it has one, stays the giver's to remove until `keeps_file` is cleared. */
must_use bool inheritance_take_tcp(struct inheritance *inheritance, const char *host, uint16_t port,
                                   struct listener *listener);
must_use bool inheritance_take_unix(struct inheritance *inheritance, const char *path,
                                    struct listener *listener);
/* Close what nobody took; `removes_files`: with the files of Unix sockets, which are ours by now. */
void inheritance_release(struct inheritance *inheritance, bool removes_files);
