/* The server that a load is sent to, and how a client of it is set up. */
#pragma once

#include <sys/socket.h>

#include "bench/protocol.h"
#include "net/engine.h"

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
/* Where it is; returns the size, or 0 with a message. */
socklen_t target_address(const struct target *target, struct sockaddr_storage *address);
/* A connected, blocking socket, the caller closes it; -1, with a message. */
int target_connect(const struct target *target);
/* An engine for a client's thread; NULL, with a message. */
struct engine *target_engine(const struct engine_events *events, void *context);
/* Connect `connection` and give it to the engine. False, with a message, when it can't. Blocks until connected. */
bool target_attach(const struct target *target, struct engine *engine, struct buffer_pool *pool,
                   struct connection *connection);
/* For an `ended` event: a server that ends a connection spoils the measurement. */
void target_complain_ended(int error);
