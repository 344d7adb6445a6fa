/* One socket with a peer, as the engines see it. The server's client embeds it first and adds what commands need.
 *
 *      created ──engine_attach──▶ open ──engine_close──▶ closing ──last operation back──▶ released event
 *                                  │ ▲
 *                   engine_pause_receive / engine_resume_receive
 *
 * One worker only, but for what is marked. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "buffer.h"

struct engine;

struct connection {
    int fd;                          /* immutable while open */
    struct engine *engine;           /* set by engine_attach */
    struct buffer output;            /* replies; append, then engine_send */
    struct connection *next_queued;  /* the engine's: list of this turn's sends */
    struct connection *next_starved; /* the engine's: waits for a receive buffer */
    uint16_t operations;             /* the engine's: in flight, each of which points here */
    bool is_receiving;               /* the engine's: a receive is armed */
    bool wants_receive;              /* reading is not paused */
    bool is_sending;                 /* the engine's: a send is in flight; at most one, so nothing reorders */
    bool is_queued;                  /* the engine's: in the list of this turn's sends */
    bool is_starved;                 /* the engine's: in the list of the starved */
    bool is_closing;                 /* engine_close was called; no event but `released` follows */
    _Atomic uint64_t received_bytes; /* atomic, relaxed: statistics, written by the worker, read by any */
    _Atomic uint64_t sent_bytes;
};

/* `fd` is a connected non-blocking socket, owned from now on. */
void connection_init(struct connection *connection, int fd, struct buffer_pool *pool, size_t output_bytes_max);
