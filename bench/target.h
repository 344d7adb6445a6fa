/* The server that a load is sent to. */
#pragma once

#include "bench/protocol.h"

struct target {
    const char *host, *unix_path; /* the Unix socket, when there is one, rather than the host */
    long long port;
    const char *protocol_name; /* of the option */
    const struct protocol *protocol;
};

/* "127.0.0.1", 6379, RESP. */
struct target target_default(void);
/* The options are read: find the protocol. False, with a message, when there is none. */
bool target_is_known(struct target *target);
/* A connected, non-blocking socket; -1, with a message on standard error. Blocks until connected. */
int target_connect(const struct target *target);
