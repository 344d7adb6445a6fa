/* TLS between a connection and its engine. Above net/ it can't be seen: the engines' `received` event delivers
 * plain bytes, and replies are appended to `output` in plain.
 *
 *      socket ─▶ engine's receive buffer ─▶ tls_receive ─▶ plain area ─▶ `received`
 *      socket ◀─ connection.wire ◀──────── tls_seal ◀──── connection.output ◀─ replies, references to values
 *
 * A connection without TLS sends from its output itself: its `wire` is the output, `tls` is NULL, and that one
 * look is all it pays.
 *
 *      tls_begin ──first bytes──▶ handshake ──▶ established ──▶ ended (close_notify) ──▶ tls_release
 *                                     └───────────┴──▶ failed: `ended` with EPROTO; tls_complaint says why
 *
 * Bounded: 128 KiB of a connection's output are encrypted ahead of the socket, the rest waits in plain. One worker
 * only; the context is shared. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connection.h"
#include "engine.h"
#include "shards/base/bytes.h"
#include "shards/base/status.h"
#include "tls_context.h"

/* After connection_init, before engine_attach on the same engine: the connection speaks TLS, we are its server.
 * STATUS_NO_MEMORY: it is as before. */
must_use enum status tls_begin(struct connection *connection, struct engine *engine,
                               struct tls_context *context);
/* Let go of all that TLS holds of the connection, after a farewell to the peer if the socket takes it at once.
 * The engines do so before they close the socket; another only when engine_attach refused. Without TLS nothing
 * happens. */
void tls_release(struct connection *connection);

/* Put a farewell on the wire, for the engine to send, if nothing is left to say: nothing more comes then, and what the
 * peer still sends is read as before. Once is enough. Without TLS nothing happens. */
void tls_bid_farewell(struct connection *connection);

/* Heap bytes that one connection's TLS takes besides what `wire` holds; 0 without. O(1). */
size_t tls_footprint(const struct connection *connection);
/* Is the handshake over? True without TLS. */
bool tls_is_established(const struct connection *connection);
/* Why it failed, for the log; NULL when it hasn't. */
const char *tls_complaint(const struct connection *connection);

/* ---- For the engines ------------------------------------------------------------------------- */

enum tls_outcome { TLS_GOES_ON, TLS_ENDED, TLS_FAILED };
/* `received` came: what it says goes to `plain`, which is valid until the next tls_begin_turn and may be empty.
 * Something to send may lie in `wire` after it. At most as often between two tls_begin_turn as the engine has
 * receive buffers. */
enum tls_outcome tls_receive(struct connection *connection, struct bytes received,
                             struct bytes *plain);
/* Encrypt what the next sends take, from `output` to `wire`. False: it can't be, and the connection has failed. */
bool tls_seal(struct connection *connection);
/* The same for any connection: in `wire` is what to send. */
static inline bool tls_prepare_send(struct connection *connection) {
    return __builtin_expect(connection->tls == NULL, 1) || tls_seal(connection);
}
/* A turn of the engine begins: what was delivered in the last one may be overwritten. NULL is allowed. */
void tls_area_empty(struct tls_area *area);
static inline void tls_begin_turn(struct tls_area *area) {
    if (__builtin_expect(area != NULL, 0)) tls_area_empty(area);
}
/* The engine goes. NULL is allowed. */
void tls_area_destroy(struct tls_area *area);
