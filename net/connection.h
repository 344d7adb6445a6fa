/* One socket with a peer, as the engines see it. The server's client embeds it first and adds what commands need.
 *
 *      initialised ──engine_attach──▶ open ──engine_close──▶ closing ──last operation back──▶ `released` event
 *                                     │ ▲
 *                      engine_pause_receive / engine_resume_receive
 *
 * One worker only, but for what is marked. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buffer.h"

struct engine;
struct tls;

/* The engines keep connections in lists; a connection is at most once in each kind. */
enum connection_link {
    LINK_CHANGED, /* has something to send, arm, cancel or close with the next submission */
    LINK_STARVED, /* waits for a receive buffer */
    LINK_COUNT,
};

struct connection {
    int fd;                /* immutable while open */
    struct engine *engine; /* set by engine_attach */
    struct buffer output;  /* replies; append, then engine_send */
    struct buffer *wire;   /* what the engine sends from: the output, or what TLS makes of it */
    struct tls *tls;       /* tls.h; NULL: plain */
    bool is_closing;       /* engine_close was called; no event but `released` follows */
    bool wants_receive;    /* the engine's: attached, not paused, and the peer hasn't ended */
    bool is_receiving;     /* the engine's: a receive is armed */
    bool is_sending;       /* the engine's: a send is in flight; at most one, so nothing reorders */
    bool is_cancelling;    /* the engine's: a cancellation is in flight */
    bool has_ended;        /* the engine's: the `ended` event was delivered */
    bool is_linked[LINK_COUNT]; /* the engine's: see connection_list */
    uint32_t operations;        /* the engine's: in flight, each of which points here */
    struct connection *next[LINK_COUNT];
    _Atomic uint64_t received_bytes; /* atomic, relaxed: statistics; the worker writes, any reads */
    _Atomic uint64_t sent_bytes;     /* the same */
};

/* `fd` is a connected non-blocking socket, owned from now on. Its output has no limit before it is given one. */
void connection_init(struct connection *connection, int fd, struct buffer_pool *pool);

/* Does nothing wait to be sent any more, in plain or encrypted? */
static inline bool connection_is_drained(const struct connection *connection) {
    return buffer_is_empty(&connection->output) &&
           (connection->tls == NULL || buffer_is_empty(connection->wire));
}
/* Forget what waits: it can't be sent. Not while the kernel sends from it. */
void connection_drop_output(struct connection *connection);

/* First in, first out, of connections linked by one of their links; borrows them. */
struct connection_list {
    struct connection *head;
    struct connection *tail;
    enum connection_link link; /* immutable after init */
    size_t count;
};

void connection_list_init(struct connection_list *list, enum connection_link link);
/* Does nothing when it is in the list already. */
void connection_list_push(struct connection_list *list, struct connection *connection);
/* NULL when empty. */
struct connection *connection_list_pop(struct connection_list *list);
