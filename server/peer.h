/* Who is at the other end of a client's socket: somebody on this host, or on another.
 *
 * Thread: any. A system call or two each. */
#pragma once

#include <stdbool.h>

/* Did it come by a Unix socket? The text of its address doesn't tell: a path may be relative. */
bool peer_is_unix(int fd);
/* On this host: by a Unix socket, or from a loopback address. */
bool peer_is_local(int fd);
