/* TLS on one connection: OpenSSL between two places of ours, with no memory of its own while idle.
 *
 * OpenSSL reads and writes through a transport (a BIO) of two functions: it reads from the engine's receive
 * buffer, where the bytes lie, and writes to `wire`, a buffer of the same chunks that replies wait in. No socket
 * is involved: the engines send and receive as ever, in one system call a turn, and a turn's replies to a client
 * are one record.
 *
 * Receiving: whole records are decrypted behind each other into the plain area, which the engine's connections
 * share and which is filled from its front anew each turn (as poll.c's receive buffers are, and for the same
 * reason: small requests of many clients lie in a few pages, which stay in the cache). It can't be too small: what
 * one event decrypts is less than what it received and one record, of which all but the end may have come before;
 * the engine says how many events a turn has, and how many bytes; and SSL_read is always given room for one more. In
 * place, over the received bytes, would spare the area, but that one record breaks it.
 *
 * Sending: a record (16 KiB at most) is encrypted from where it lies if it lies in one piece, which large values
 * do: they are never copied in plain. Small pieces are put together first; a record a piece would cost a header, a
 * tag and 7,000 instructions each. Records are made only when the engine is about to send, and at most WIRE_BYTES
 * ahead: what a client doesn't take waits in plain, as a reference where it is one, and back-pressure above sees
 * it as ever.
 *
 * Memory: with SSL_MODE_RELEASE_BUFFERS OpenSSL holds its two buffers of 17 KiB only while part of a record is in
 * them. What an idle connection costs was measured (150 of them, `used_memory` before and after, OpenSSL 3.0):
 * 14.6 KiB, 22 with a client's certificate, in either protocol. It is counted so among clients' memory, since
 * OpenSSL doesn't say whose is what.
 *
 * The end: a peer's close_notify ends the stream as its FIN does. A FIN without it (many clients) is an end, too:
 * requests say themselves where they end, so nobody gains by cutting them. We say close_notify if the socket takes
 * it at once.
 *
 * Whether a call failed is asked of OpenSSL's per-thread queue of errors, so it must be empty before each.
 *
 * Sources: RFC 8446; OpenSSL's manuals of SSL_read, SSL_CTX_set_mode, BIO_meth_new. */
#include "tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "shards/base/check.h"
#include "shards/base/memory.h"
#include "tls_transport.h"

enum {
    RECORD_BYTES = SSL3_RT_MAX_PLAIN_LENGTH,
    WIRE_BYTES = 8 * RECORD_BYTES, /* encrypted ahead of the socket */
    WIRE_BYTES_MAX =
        32 * RECORD_BYTES, /* with answers to handshakes and key updates: then it has failed */
    SLICES_MAX = 16,       /* looked at for one record */
    COMPLAINT_MAX = 120,
    HANDSHAKE_RECORD = 0x16, /* what the first byte of TLS is */
    CACHE_LINE = 64,
    STATE_BYTES = 14 * 1024,      /* OpenSSL's, of an idle connection */
    CERTIFICATE_BYTES = 15 * 512, /* and more, where the client showed one */
};

/* Plain bytes of a turn, of one engine's connections. */
struct tls_area {
    char *bytes; /* mapped; pages are touched as they are used */
    size_t size, used;
    char record[RECORD_BYTES]; /* where one is put together */
};

struct tls {
    SSL *session;
    struct tls_context *context; /* held */
    struct engine *engine;
    struct tls_transport transport; /* `wire` is the connection's */
    int64_t counted_bytes;          /* as a client's memory */
    bool has_begun;                 /* bytes came; the first was: */
    unsigned char first_byte;
    bool is_established;
    bool has_failed;
    char complaint[COMPLAINT_MAX];
};

/* ---- The area -------------------------------------------------------------------------------- */

static struct tls_area *area_create(const struct engine *engine) {
    struct tls_area *area = memory_allocate(sizeof(*area));
    if (area == NULL) return NULL;
    area->used = 0;
    area->size = engine->receive_bytes_max + RECORD_BYTES +
                 (size_t)engine->receives_max * (RECORD_BYTES + CACHE_LINE);
    area->bytes = mmap(NULL, area->size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (area->bytes != MAP_FAILED) return area;
    memory_free(area);
    return NULL;
}

void tls_area_empty(struct tls_area *area) {
    area->used = 0;
}

void tls_area_destroy(struct tls_area *area) {
    if (area == NULL) return;
    munmap(area->bytes, area->size);
    memory_free(area);
}

/* ---- Life ------------------------------------------------------------------------------------ */

static void count_bytes(struct tls *tls, int64_t bytes) {
    tls->counted_bytes += bytes;
    memory_account_clients(bytes);
}

static void uncount_open(struct tls *tls) {
    engine_count(&tls->engine->statistics.handshakes_open, UINT64_MAX); /* minus one */
}

static SSL *session_create(struct tls *tls) {
    BIO *transport = tls_transport_open(tls->context->transport, &tls->transport);
    SSL *session = SSL_new(tls->context->shared);
    if (transport == NULL || session == NULL) {
        BIO_free(transport);
        SSL_free(session);
        ERR_clear_error();
        return NULL;
    }
    SSL_set_bio(session, transport, transport); /* which is the session's now */
    SSL_set_accept_state(session);
    return session;
}

enum status tls_begin(struct connection *connection, struct engine *engine,
                      struct tls_context *context) {
    if (engine->tls_area == NULL) engine->tls_area = area_create(engine);
    struct tls *tls = engine->tls_area == NULL ? NULL : memory_allocate_zeroed(sizeof(*tls));
    if (tls == NULL) return STATUS_NO_MEMORY;
    tls->engine = engine;
    tls->context = context;
    tls->session = session_create(tls);
    if (tls->session == NULL) {
        memory_free(tls);
        return STATUS_NO_MEMORY;
    }
    tls_context_hold(context);
    buffer_init(&tls->transport.wire, connection->output.pool, WIRE_BYTES_MAX);
    engine_count(&engine->statistics.handshakes_open, 1);
    count_bytes(tls, (int64_t)memory_usable(tls) + STATE_BYTES);
    connection->wire = &tls->transport.wire;
    connection->tls = tls;
    return STATUS_OK;
}

static void send_once(int fd, const struct buffer *wire) {
    struct iovec slices[SLICES_MAX];
    struct msghdr message = {.msg_iov = slices};
    message.msg_iovlen = (size_t)buffer_gather(wire, slices, SLICES_MAX);
    if (message.msg_iovlen == 0) return;
    ssize_t sent = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)sent; /* it was a courtesy */
}

/* The alert that says why, or close_notify: not where replies are left unsent, for it would say that all is
 * there. */
static void bid_farewell(struct connection *connection, struct tls *tls) {
    if (tls->is_established && !tls->has_failed && buffer_is_empty(&connection->output)) {
        SSL_shutdown(tls->session);
    }
}

void tls_bid_farewell(struct connection *connection) {
    if (connection->tls == NULL) return;
    bid_farewell(connection, connection->tls);
    ERR_clear_error();
}

void tls_release(struct connection *connection) {
    struct tls *tls = connection->tls;
    if (tls == NULL) return;
    bid_farewell(connection, tls);
    send_once(connection->fd, &tls->transport.wire);
    if (!tls->is_established) uncount_open(tls);
    /* Else OpenSSL takes a session whose peer said no farewell for a bad one, and forgets it. */
    if (!tls->has_failed) SSL_set_shutdown(tls->session, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(tls->session);
    ERR_clear_error();
    buffer_release(&tls->transport.wire);
    tls_context_drop(tls->context);
    count_bytes(tls, -tls->counted_bytes);
    memory_free(tls);
    connection->tls = NULL;
    connection->wire = &connection->output;
}

size_t tls_footprint(const struct connection *connection) {
    return connection->tls != NULL ? (size_t)connection->tls->counted_bytes : 0;
}

bool tls_is_established(const struct connection *connection) {
    return connection->tls == NULL || connection->tls->is_established;
}

const char *tls_complaint(const struct connection *connection) {
    return connection->tls != NULL && connection->tls->has_failed ? connection->tls->complaint
                                                                  : NULL;
}

/* ---- Failing --------------------------------------------------------------------------------- */

static void complain(struct tls *tls, const char *reason) {
    snprintf(tls->complaint, sizeof(tls->complaint), "%s", reason);
}

/* Of what OpenSSL reports, say what its reader can act on. */
static void explain(struct tls *tls) {
    unsigned long error = ERR_peek_error();
    const char *reason = error != 0 ? ERR_reason_error_string(error) : NULL;
    long verified = SSL_get_verify_result(tls->session);
    if (tls->transport.wire.has_failed) {
        complain(tls, "it doesn't take what it asks for, or memory is short");
    } else if (!tls->is_established && tls->first_byte != HANDSHAKE_RECORD) {
        complain(tls, "it doesn't speak TLS (is it meant for 'port'?)");
    } else if (ERR_GET_REASON(error) == SSL_R_CERTIFICATE_VERIFY_FAILED && verified != X509_V_OK) {
        complain(tls, X509_verify_cert_error_string(verified));
    } else {
        complain(tls, reason != NULL ? reason : "unknown error");
    }
}

static enum tls_outcome fail(struct tls *tls) {
    explain(tls);
    ERR_clear_error();
    tls->has_failed = true;
    if (!tls->is_established) engine_count(&tls->engine->statistics.handshake_failures, 1);
    return TLS_FAILED;
}

/* ---- Receiving ------------------------------------------------------------------------------- */

static void note_handshake(struct tls *tls) {
    struct engine_statistics *statistics = &tls->engine->statistics;
    if (tls->is_established || !SSL_is_init_finished(tls->session)) return;
    tls->is_established = true;
    uncount_open(tls);
    engine_count(&statistics->handshakes, 1);
    if (SSL_get0_peer_certificate(tls->session) != NULL) count_bytes(tls, CERTIFICATE_BYTES);
    if (SSL_session_reused(tls->session)) engine_count(&statistics->resumptions, 1);
}

static bool has_more(const struct tls *tls) {
    return tls->transport.received.size > 0 || SSL_has_pending(tls->session);
}

/* Decrypt to `place` all that can be; returns the last result of SSL_read, and how much there is in `filled`. */
static int read_all(struct tls *tls, char *place, size_t room, size_t *filled) {
    int size;
    do {
        size_t left = room - *filled;
        check(left >= RECORD_BYTES);
        size = SSL_read(tls->session, place + *filled, left < INT32_MAX ? (int)left : INT32_MAX);
        note_handshake(tls);
        if (size > 0) *filled += (size_t)size;
    } while (size > 0 && has_more(tls));
    return size;
}

enum tls_outcome tls_receive(struct connection *connection, struct bytes received,
                             struct bytes *plain) {
    struct tls *tls = connection->tls;
    struct tls_area *area = tls->engine->tls_area;
    char *place = area->bytes + area->used;
    size_t filled = 0;
    *plain = bytes_of(place, 0);
    if (tls->has_failed) return TLS_FAILED;
    if (!tls->has_begun) tls->first_byte = (unsigned char)received.data[0];
    tls->has_begun = true;
    if (ERR_peek_error() != 0) ERR_clear_error(); /* another's */
    tls->transport.received = received;
    int size = read_all(tls, place, area->size - area->used, &filled);
    tls->transport.received = bytes_of(NULL, 0);
    *plain = bytes_of(place, filled);
    area->used += (filled + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    if (size > 0) return TLS_GOES_ON;
    switch (SSL_get_error(tls->session, size)) {
    case SSL_ERROR_WANT_READ:
        return TLS_GOES_ON;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_ENDED;
    default:
        return fail(tls);
    }
}

/* ---- Sending --------------------------------------------------------------------------------- */

/* The next bytes of the output, for one record. */
static struct bytes next_record(const struct buffer *output, char *scratch) {
    struct iovec slices[SLICES_MAX];
    int count = buffer_gather(output, slices, SLICES_MAX);
    size_t size = slices[0].iov_len < RECORD_BYTES ? slices[0].iov_len : RECORD_BYTES;
    if (count == 1 || size == RECORD_BYTES) return bytes_of(slices[0].iov_base, size);
    size = 0;
    for (int i = 0; i < count && size < RECORD_BYTES; i++) {
        size_t left = RECORD_BYTES - size;
        size_t part = slices[i].iov_len < left ? slices[i].iov_len : left;
        memcpy(scratch + size, slices[i].iov_base, part);
        size += part;
    }
    return bytes_of(scratch, size);
}

bool tls_seal(struct connection *connection) {
    struct tls *tls = connection->tls;
    struct buffer *output = &connection->output;
    if (tls->has_failed)
        return true; /* `ended` was told; what is in the wire says why to the peer */
    while (tls->is_established && !buffer_is_empty(output) &&
           buffer_waiting(&tls->transport.wire) < WIRE_BYTES) {
        struct bytes record = next_record(output, tls->engine->tls_area->record);
        if (SSL_write(tls->session, record.data, (int)record.size) != (int)record.size) {
            fail(tls);
            return false;
        }
        buffer_consume(output, record.size);
    }
    return true;
}
