/* TLS in both engines (net/tls.h): every test runs on each, against a client made of OpenSSL over memory, so
 * that what travels can be cut anywhere, spoiled, and looked at. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/tls.h"
#include "shards/base/memory.h"
#include "tests/support/certificate.h"
#include "tests/support/engine_rows.h"
#include "tests/support/engine_world.h"
#include "tests/support/folder.h"

enum {
    ALL = 1 << 30,
    CIPHERTEXT_MAX = 4 * 1024 * 1024,
};

/* ---- The client ------------------------------------------------------------------------------ */

/* What it writes and reads is the world's pattern. */
struct peer {
    int fd; /* -1: closed */
    SSL *session;
    BIO *in, *out;                /* the session's */
    size_t send_max, receive_max; /* bytes of a step; ALL: what there is */
    uint64_t to_write, written, read;
    bool has_seen_end; /* close_notify */
    bool has_failed;
    size_t sent_bytes;
    char *seen; /* all ciphertext that came; NULL: not kept */
    size_t seen_bytes;
};

static char folder[64];

static SSL_CTX *client_context(int version) {
    char path[CERTIFICATE_PATH_MAX];
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    assert_non_null(context);
    assert_int_equal(SSL_CTX_load_verify_file(context, certificate_path(folder, "ca.crt", path)),
                     1);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_max_proto_version(context, version);
    return context;
}

static void peer_init(struct peer *peer, int fd, int version) {
    SSL_CTX *context = client_context(version);
    *peer = (struct peer){.fd = fd, .send_max = ALL, .receive_max = ALL};
    peer->session = SSL_new(context);
    SSL_CTX_free(context);
    peer->in = BIO_new(BIO_s_mem());
    peer->out = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(peer->in, -1);
    SSL_set_bio(peer->session, peer->in, peer->out);
    SSL_set_connect_state(peer->session);
}

static void peer_hang_up(struct peer *peer) {
    if (peer->fd >= 0) close(peer->fd);
    peer->fd = -1;
}

static void peer_release(struct peer *peer) {
    peer_hang_up(peer);
    SSL_free(peer->session);
    free(peer->seen);
}

/* From the session to the socket. */
static void peer_send(struct peer *peer) {
    char *waiting;
    size_t size = (size_t)BIO_get_mem_data(peer->out, &waiting);
    if (size > peer->send_max) size = peer->send_max;
    if (size == 0 || peer->fd < 0) return;
    ssize_t sent = send(peer->fd, waiting, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent <= 0) return;
    char dropped[4096];
    peer->sent_bytes += (size_t)sent;
    for (int left = (int)sent; left > 0;) {
        left -= BIO_read(peer->out, dropped, left < 4096 ? left : 4096);
    }
}

static void peer_receive(struct peer *peer) {
    char bytes[64 * 1024];
    size_t size = peer->receive_max < sizeof bytes ? peer->receive_max : sizeof bytes;
    ssize_t count = peer->fd >= 0 && size > 0 ? recv(peer->fd, bytes, size, MSG_DONTWAIT) : -1;
    if (count <= 0) return;
    BIO_write(peer->in, bytes, (int)count);
    if (peer->seen == NULL) return;
    assert_true(peer->seen_bytes + (size_t)count <= CIPHERTEXT_MAX);
    memcpy(peer->seen + peer->seen_bytes, bytes, (size_t)count);
    peer->seen_bytes += (size_t)count;
}

static void peer_note(struct peer *peer, int result) {
    int error = SSL_get_error(peer->session, result);
    if (error == SSL_ERROR_ZERO_RETURN) peer->has_seen_end = true;
    if (error == SSL_ERROR_SSL) peer->has_failed = true;
}

static void peer_step(struct peer *peer) {
    char piece[20 * 1000], expected[20 * 1000];
    ERR_clear_error();
    uint64_t left = peer->to_write - peer->written;
    int size = left < sizeof piece ? (int)left : (int)sizeof piece;
    pattern_fill(piece, (size_t)size, peer->written);
    int result = size > 0 ? SSL_write(peer->session, piece, size) : SSL_do_handshake(peer->session);
    if (size > 0 && result > 0) peer->written += (uint64_t)result;
    peer_send(peer);
    peer_receive(peer);
    ERR_clear_error();
    while ((result = SSL_read(peer->session, piece, sizeof piece)) > 0) {
        pattern_fill(expected, (size_t)result, peer->read);
        assert_memory_equal(piece, expected, (size_t)result);
        peer->read += (uint64_t)result;
    }
    peer_note(peer, result);
}

/* ---- The world ------------------------------------------------------------------------------- */

static struct tls_context *server_context(void) {
    char certificate[CERTIFICATE_PATH_MAX], key[CERTIFICATE_PATH_MAX], error[TLS_ERROR_MAX];
    const struct tls_options options = {
        .certificate_file = certificate_path(folder, "server.crt", certificate),
        .key_file = certificate_path(folder, "server.key", key),
        .key_password = "",
        .authorities_file = "",
        .authorities_folder = "",
        .protocols = "",
        .ciphers = "",
        .cipher_suites = "",
        .resumes_sessions = true,
        .session_seconds = 300,
    };
    struct tls_context *context = tls_context_create(&options, error);
    if (context == NULL) fail_msg("%s", error);
    return context;
}

static void open_world(struct world *world) {
    world_open_usual(world);
    world->tls = server_context();
}

static void close_world(struct world *world) {
    struct tls_context *context = world->tls;
    world_close(world);
    assert_int_equal(atomic_load(&context->holders), 1); /* every connection let go */
    tls_context_drop(context);
    assert_int_equal(memory_of_clients(), 0);
}

/* A pair whose other end is `peer`. */
static struct pair *add_peer(struct world *world, struct peer *peer, int version) {
    struct pair *pair = world_add_tcp_pair(world, 0);
    peer_init(peer, pair->peer, version);
    pair->peer = -1; /* the world leaves it to us */
    return pair;
}

static void step(struct world *world, struct peer *peer) {
    peer_step(peer);
    world_turn(world, STEP_MS);
}

static uint64_t count_of(_Atomic uint64_t *statistic) {
    return atomic_load_explicit(statistic, memory_order_relaxed);
}

/* Step until `condition`, which `peer` and `pair` are in. */
#define STEP_UNTIL(condition)                                                                      \
    do {                                                                                           \
        int steps = 0;                                                                             \
        for (; steps < STEPS_MAX && !(condition); steps++) {                                       \
            step(world, &peer);                                                                    \
        }                                                                                          \
        assert_true(condition);                                                                    \
    } while (0)

/* ---- There and back -------------------------------------------------------------------------- */

static void echo(struct world *world, int version, size_t send_max, uint64_t size) {
    struct peer peer;
    open_world(world);
    struct pair *pair = add_peer(world, &peer, version);
    peer.send_max = send_max;
    peer.to_write = size;
    STEP_UNTIL(peer.read == size);
    assert_int_equal(SSL_version(peer.session), version);
    assert_true(tls_is_established(&pair->connection));
    assert_null(tls_complaint(&pair->connection));
    assert_int_equal(count_of(&world->engine->statistics.handshakes), 1);
    assert_int_equal(count_of(&world->engine->statistics.handshakes_open), 0);
    peer_release(&peer);
    close_world(world);
}

static void an_echo_over_tls_1_3_comes_back_whole(struct world *world) {
    echo(world, TLS1_3_VERSION, ALL, 300 * 1000);
}

static void an_echo_over_tls_1_2_comes_back_whole(struct world *world) {
    echo(world, TLS1_2_VERSION, ALL, 300 * 1000);
}

static void a_stream_of_single_bytes_is_understood(struct world *world) {
    echo(world, TLS1_3_VERSION, 1, 40);
    *world = (struct world){.kind = world->kind, .files = world->files};
    echo(world, TLS1_2_VERSION, 1, 40);
}

static void a_record_that_comes_in_two_halves_is_delivered_once(struct world *world) {
    struct peer peer;
    open_world(world);
    struct pair *pair = add_peer(world, &peer, TLS1_3_VERSION);
    STEP_UNTIL(tls_is_established(&pair->connection));
    peer.to_write = 16 * 1024;
    peer.send_max = 16 * 1024; /* all but its last bytes: a record is longer than what it carries */
    step(world, &peer);
    for (int i = 0; i < 20; i++) {
        world_turn(world, STEP_MS); /* what was sent has come */
    }
    assert_int_equal(pair->received, 0);
    STEP_UNTIL(pair->received == 16 * 1024);
    assert_int_equal(pair->receive_count, 1);
    STEP_UNTIL(peer.read == 16 * 1024);
    peer_release(&peer);
    close_world(world);
}

static void many_connections_in_one_turn_do_not_mix(struct world *world) {
    enum { PEERS = 40 };
    static struct peer peers[PEERS];
    open_world(world);
    for (int i = 0; i < PEERS; i++) {
        add_peer(world, &peers[i], i % 2 == 0 ? TLS1_3_VERSION : TLS1_2_VERSION);
        peers[i].to_write = 60 * 1000;
        peers[i].send_max = 5000 + (size_t)i * 700;
    }
    int done = 0;
    for (int steps = 0; steps < STEPS_MAX && done < PEERS; steps++) {
        done = 0;
        for (int i = 0; i < PEERS; i++) {
            peer_step(&peers[i]);
            done += peers[i].read == peers[i].to_write;
        }
        world_turn(world, STEP_MS);
    }
    assert_int_equal(done, PEERS);
    for (int i = 0; i < PEERS; i++) {
        peer_release(&peers[i]);
    }
    close_world(world);
}

/* ---- Sending --------------------------------------------------------------------------------- */

static void count_release(void *context, void *subject) {
    (void)context;
    ++*(int *)subject;
}

static struct buffer_owner counted(int *releases) {
    return (struct buffer_owner){.release = count_release, .subject = releases};
}

/* Does what went over the wire hold a run of the pattern? */
static bool has_plain_text(const struct peer *peer, const char *pattern) {
    return memmem(peer->seen, peer->seen_bytes, pattern, 32) != NULL;
}

static void references_and_text_are_encrypted_in_order(struct world *world) {
    enum { LARGE = 1024 * 1024, SMALL = 20 * 1000, TEXT = 37 };
    struct peer peer;
    int released = 0;
    uint64_t size = 0;
    open_world(world);
    struct pair *pair = add_peer(world, &peer, TLS1_3_VERSION);
    peer.seen = malloc(CIPHERTEXT_MAX);
    char *pattern = malloc(2 * LARGE);
    assert_non_null(pattern);
    assert_non_null(peer.seen);
    pattern_fill(pattern, 2 * LARGE, 0);
    STEP_UNTIL(tls_is_established(&pair->connection));
    static const size_t sizes[] = {SMALL, LARGE, SMALL, SMALL};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        buffer_append(&pair->connection.output, bytes_of(pattern + size, TEXT));
        buffer_append_reference(&pair->connection.output, bytes_of(pattern + size + TEXT, sizes[i]),
                                counted(&released));
        size += TEXT + sizes[i];
    }
    engine_send(world->engine, &pair->connection);
    STEP_UNTIL(peer.read == size);
    assert_int_equal(released, sizeof sizes / sizeof *sizes);
    assert_true(peer.seen_bytes > size);
    for (size_t at = 0; at < size; at += 10 * 1000) {
        assert_false(has_plain_text(&peer, pattern + at));
    }
    free(pattern);
    peer_release(&peer);
    close_world(world);
}

static void what_a_turn_appended_is_one_record(struct world *world) {
    struct peer peer;
    open_world(world);
    struct pair *pair = add_peer(world, &peer, TLS1_3_VERSION);
    STEP_UNTIL(tls_is_established(&pair->connection) && SSL_is_init_finished(peer.session));
    for (int i = 0; i < 20; i++) {
        step(world, &peer); /* the session tickets are through */
    }
    uint64_t before = pair->connection.sent_bytes;
    char pattern[1000];
    pattern_fill(pattern, sizeof pattern, 0);
    for (size_t i = 0; i < sizeof pattern; i += 10) {
        buffer_append(&pair->connection.output, bytes_of(pattern + i, 10));
    }
    engine_send(world->engine, &pair->connection);
    STEP_UNTIL(peer.read == sizeof pattern);
    assert_int_equal(pair->connection.sent_bytes - before, sizeof pattern + 5 + 1 + 16);
    peer_release(&peer);
    close_world(world);
}

static void a_client_that_does_not_read_has_little_encrypted_for_it(struct world *world) {
    enum { SIZE = 16 * 1024 * 1024 };
    struct peer peer;
    int released = 0;
    open_world(world);
    struct pair *pair = add_peer(world, &peer, TLS1_3_VERSION);
    char *pattern = malloc(SIZE);
    assert_non_null(pattern);
    pattern_fill(pattern, SIZE, 0);
    STEP_UNTIL(tls_is_established(&pair->connection));
    peer.receive_max = 0;
    buffer_append_reference(&pair->connection.output, bytes_of(pattern, SIZE), counted(&released));
    engine_send(world->engine, &pair->connection);
    for (int i = 0; i < 300; i++) {
        step(world, &peer);
        assert_true(buffer_waiting(pair->connection.wire) <= 200 * 1024);
    }
    assert_true(buffer_waiting(&pair->connection.output) > 0);
    assert_int_equal(released, 0);
    peer.receive_max = ALL;
    STEP_UNTIL(peer.read == SIZE);
    assert_int_equal(released, 1);
    assert_true(connection_is_drained(&pair->connection));
    free(pattern);
    peer_release(&peer);
    close_world(world);
}

/* ---- Ends ------------------------------------------------------------------------------------ */

static void close_notify_is_the_end_and_is_answered(struct world *world) {
    struct peer peer;
    open_world(world);
    struct pair *pair = add_peer(world, &peer, TLS1_3_VERSION);
    pair->closes_when_ended = true;
    STEP_UNTIL(tls_is_established(&pair->connection));
    assert_true(SSL_shutdown(peer.session) >= 0);
    STEP_UNTIL(pair->ended_count == 1);
    assert_int_equal(pair->end_error, 0);
    STEP_UNTIL(!pair->is_open && peer.has_seen_end);
    peer_release(&peer);
    close_world(world);
}

/* How many bytes a client sends until the handshake is done on our side. */
static size_t handshake_bytes(struct world *world, int version) {
    struct peer peer;
    open_world(world);
    struct pair *pair = add_peer(world, &peer, version);
    peer.send_max = 1;
    STEP_UNTIL(tls_is_established(&pair->connection));
    size_t bytes = peer.sent_bytes;
    peer_release(&peer);
    close_world(world);
    *world = (struct world){.kind = world->kind, .files = world->files};
    return bytes;
}

/* The client hangs up behind so many bytes. */
static void leave_after(struct world *world, int version, size_t bytes) {
    struct peer peer;
    world->pair_count = 0;
    struct pair *pair = add_peer(world, &peer, version);
    pair->closes_when_ended = true;
    while (peer.sent_bytes < bytes) {
        peer.send_max = bytes - peer.sent_bytes;
        step(world, &peer);
    }
    peer_hang_up(&peer);
    STEP_UNTIL(!pair->is_open);
    assert_int_equal(pair->ended_count, 1);
    assert_int_equal(pair->received, 0);
    peer_release(&peer);
}

static void a_handshake_may_be_left_at_every_byte(struct world *world) {
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < 2; i++) {
        size_t bytes = handshake_bytes(world, versions[i]);
        assert_true(bytes > 200);
        open_world(world);
        for (size_t cut = 0; cut < bytes - 1; cut++) { /* a hello's length varies by some bytes */
            leave_after(world, versions[i], cut);
        }
        assert_int_equal(count_of(&world->engine->statistics.handshakes_open), 0);
        close_world(world);
        *world = (struct world){.kind = world->kind, .files = world->files};
    }
}

static void expect_refusal(struct world *world, const char *bytes, size_t size,
                           const char *complaint) {
    struct peer peer;
    struct pair *pair = add_peer(world, &peer, TLS1_3_VERSION);
    assert_int_equal(send(peer.fd, bytes, size, MSG_NOSIGNAL), (ssize_t)size);
    for (int i = 0; i < STEPS_MAX && pair->ended_count == 0; i++) {
        world_turn(world, STEP_MS);
    }
    assert_int_equal(pair->end_error, EPROTO);
    assert_int_equal(pair->received, 0);
    assert_non_null(tls_complaint(&pair->connection));
    if (strstr(tls_complaint(&pair->connection), complaint) == NULL) {
        fail_msg("%s", tls_complaint(&pair->connection));
    }
    engine_close(world->engine, &pair->connection);
    peer_release(&peer);
}

static void what_is_no_tls_is_refused_and_named(struct world *world) {
    char zeros[4096] = {0};
    open_world(world);
    expect_refusal(world, "*1\r\n$4\r\nPING\r\n", 14, "doesn't speak TLS");
    expect_refusal(world, "GET / HTTP/1.1\r\n\r\n", 18, "doesn't speak TLS");
    expect_refusal(world, zeros, sizeof zeros, "doesn't speak TLS");
    expect_refusal(world, "\x16\x03\x01\x00\x05hello", 10, "");
    assert_int_equal(count_of(&world->engine->statistics.handshake_failures), 4);
    close_world(world);
}

static void a_spoiled_record_ends_the_connection(struct world *world) {
    enum { RECORD = 5 + 20 + 1 + 16 };
    open_world(world);
    for (size_t at = 0; at < RECORD; at++) {
        struct peer peer;
        world->pair_count = 0;
        struct pair *pair = add_peer(world, &peer, TLS1_3_VERSION);
        STEP_UNTIL(tls_is_established(&pair->connection));
        peer_send(&peer);
        char text[20], record[RECORD];
        pattern_fill(text, sizeof text, 0);
        assert_int_equal(SSL_write(peer.session, text, sizeof text), sizeof text);
        assert_int_equal(BIO_read(peer.out, record, RECORD), RECORD);
        record[at] = (char)(record[at] ^ 0x40);
        assert_int_equal(send(peer.fd, record, RECORD, MSG_NOSIGNAL), RECORD);
        bool is_length =
            at == 3 || at == 4; /* it may say that more is to come: then nothing happens yet */
        for (int i = 0; i < (is_length ? 20 : STEPS_MAX) && pair->ended_count == 0; i++) {
            world_turn(world, STEP_MS);
        }
        if (!is_length) assert_int_equal(pair->end_error, EPROTO);
        assert_int_equal(pair->received, 0);
        engine_close(world->engine, &pair->connection);
        peer_release(&peer);
        world_step_until(world, world_all_are_released);
    }
    close_world(world);
}

static void key_updates_are_followed(struct world *world) {
    struct peer peer;
    open_world(world);
    struct pair *pair = add_peer(world, &peer, TLS1_3_VERSION);
    STEP_UNTIL(tls_is_established(&pair->connection));
    for (uint64_t i = 1; i <= 50; i++) {
        assert_int_equal(SSL_key_update(peer.session, SSL_KEY_UPDATE_REQUESTED), 1);
        peer.to_write = i * 1000;
        STEP_UNTIL(peer.read == i * 1000);
    }
    peer_release(&peer);
    close_world(world);
}

static void paused_and_closed_connections_let_go_of_everything(struct world *world) {
    struct peer peer;
    open_world(world);
    struct pair *pair = add_peer(world, &peer, TLS1_3_VERSION);
    pair->pauses_when_received = true;
    peer.to_write = 2 * 1000 * 1000;
    for (int i = 0; i < 100; i++) {
        step(world, &peer);
    }
    assert_true(pair->received > 0 && pair->received < peer.to_write);
    pair->pauses_when_received = false;
    engine_resume_receive(world->engine, &pair->connection);
    STEP_UNTIL(peer.read == peer.to_write);
    peer.to_write *= 2;
    pair->closes_when_received = true;
    STEP_UNTIL(!pair->is_open);
    peer_release(&peer);
    close_world(world);
}

/* ---- Contexts -------------------------------------------------------------------------------- */

static void a_context_says_what_is_wrong(void **state) {
    (void)state;
    char certificate[CERTIFICATE_PATH_MAX], key[CERTIFICATE_PATH_MAX], other[CERTIFICATE_PATH_MAX];
    char locked[CERTIFICATE_PATH_MAX], locked_key[CERTIFICATE_PATH_MAX];
    certificate_path(folder, "server.crt", certificate);
    certificate_path(folder, "server.key", key);
    certificate_path(folder, "ca.key", other);
    certificate_path(folder, "locked.crt", locked);
    certificate_path(folder, "locked.key", locked_key);
    const struct tls_options good = {.certificate_file = certificate,
                                     .key_file = key,
                                     .key_password = "",
                                     .authorities_file = "",
                                     .authorities_folder = "",
                                     .protocols = "",
                                     .ciphers = "",
                                     .cipher_suites = ""};
    struct tls_options none = good, missing = good, no_pem = good, mixed = good, closed = good;
    struct tls_options wrong = good, old = good, cipher = good, suite = good, nobody = good,
                       ca = good;
    none.certificate_file = "";
    missing.certificate_file = "/nowhere/x.crt";
    no_pem.certificate_file = key;
    mixed.key_file = other;
    closed.certificate_file = wrong.certificate_file = locked;
    closed.key_file = wrong.key_file = locked_key;
    wrong.key_password = "wrong";
    old.protocols = "TLSv1.3 SSLv3";
    cipher.ciphers = "NO-SUCH";
    suite.cipher_suites = "NO-SUCH";
    nobody.client_certificates = TLS_CERTIFICATES_REQUIRED;
    ca.authorities_file = "/nowhere/ca.crt";
    const struct {
        struct tls_options options;
        const char *parts[2];
    } rows[] = {
        {none, {"tls-cert-file", "tls-port"}},
        {missing, {"/nowhere/x.crt", "No such file or directory"}},
        {no_pem, {key, "tls-cert-file"}},
        {mixed, {"isn't that of the certificate", other}},
        {closed, {locked_key, "tls-key-file-pass is empty"}},
        {wrong, {locked_key, "tls-key-file-pass isn't it"}},
        {old, {"tls-protocols", "'SSLv3'"}},
        {cipher, {"tls-ciphers", "no cipher match"}},
        {suite, {"tls-ciphersuites", "NO-SUCH"}},
        {nobody, {"tls-auth-clients", "tls-ca-cert-file"}},
        {ca, {"/nowhere/ca.crt", "No such file or directory"}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char error[TLS_ERROR_MAX] = "";
        struct tls_context *context = tls_context_create(&rows[i].options, error);
        if (context != NULL) fail_msg("row %zu is accepted", i);
        for (size_t j = 0; j < 2; j++) {
            if (strstr(error, rows[i].parts[j]) == NULL) fail_msg("row %zu: %s", i, error);
        }
    }
    char error[TLS_ERROR_MAX];
    struct tls_options unlocked = closed;
    unlocked.key_password = "open";
    struct tls_context *context = tls_context_create(&unlocked, error);
    if (context == NULL) fail_msg("%s", error);
    assert_non_null(strstr(context->description, "CN = locked"));
    tls_context_drop(context);
    assert_int_equal(memory_used(), 0);
}

/* ---- Running --------------------------------------------------------------------------------- */

static const struct engine_row rows[] = {
    ENGINE_ROW(an_echo_over_tls_1_3_comes_back_whole),
    ENGINE_ROW(an_echo_over_tls_1_2_comes_back_whole),
    ENGINE_ROW(a_stream_of_single_bytes_is_understood),
    ENGINE_ROW(a_record_that_comes_in_two_halves_is_delivered_once),
    ENGINE_ROW(many_connections_in_one_turn_do_not_mix),
    ENGINE_ROW(references_and_text_are_encrypted_in_order),
    ENGINE_ROW(what_a_turn_appended_is_one_record),
    ENGINE_ROW(a_client_that_does_not_read_has_little_encrypted_for_it),
    ENGINE_ROW(close_notify_is_the_end_and_is_answered),
    ENGINE_ROW(a_handshake_may_be_left_at_every_byte),
    ENGINE_ROW(what_is_no_tls_is_refused_and_named),
    ENGINE_ROW(a_spoiled_record_ends_the_connection),
    ENGINE_ROW(key_updates_are_followed),
    ENGINE_ROW(paused_and_closed_connections_let_go_of_everything),
};

static int make_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/sherd-tls-XXXXXX");
    assert_non_null(mkdtemp(folder));
    certificate_make(folder, (struct certificate_wish){.name = "ca"});
    certificate_make(folder, (struct certificate_wish){.name = "server", .issuer = "ca"});
    certificate_make(
        folder, (struct certificate_wish){.name = "locked", .issuer = "ca", .password = "open"});
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    return folder_remove(folder);
}

int main(void) {
    const struct CMUnitTest others[] = {cmocka_unit_test(a_context_says_what_is_wrong)};
    int failed =
        engine_rows_run("tls", rows, sizeof rows / sizeof *rows, make_folder, remove_folder);
    return failed + cmocka_run_group_tests(others, make_folder, remove_folder);
}
