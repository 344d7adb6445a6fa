#include "tests/support/wire.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/words.h"
#include "shards/base/bytes.h"

enum {
    BUFFER_BYTES = 64 * 1024,
    ARGUMENTS_MAX = 128,
    LINE_BYTES_MAX = 64 * 1024,
    AWAIT_PAUSE_MS = 5,
};

struct wire {
    int fd;
    SSL *tls;          /* NULL: plain */
    size_t start, end; /* what is received and not yet read */
    char buffer[BUFFER_BYTES];
};

/* ---- Connecting ------------------------------------------------------------------------------ */

static struct wire *wire_create(int fd) {
    struct timeval limit = {.tv_sec = WIRE_WAIT_MS / 1000};
    int on = 1;
    struct wire *wire = malloc(sizeof *wire);
    assert_non_null(wire);
    wire->fd = fd;
    wire->tls = NULL;
    wire->start = wire->end = 0;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on,
               sizeof on); /* refused, harmlessly, by Unix sockets */
    return wire;
}

struct wire *wire_try_connect(const char *host, int port) {
    char service[16];
    snprintf(service, sizeof service, "%d", port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}, *address;
    assert_int_equal(getaddrinfo(host, service, &hints, &address), 0);
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool connected = fd >= 0 && connect(fd, address->ai_addr, address->ai_addrlen) == 0;
    freeaddrinfo(address);
    if (connected) return wire_create(fd);
    if (fd >= 0) close(fd);
    return NULL;
}

struct wire *wire_try_connect_tls(int port, SSL_CTX *context, SSL_SESSION *session) {
    struct wire *wire = wire_try_connect("127.0.0.1", port);
    assert_non_null(wire);
    wire->tls = SSL_new(context);
    assert_non_null(wire->tls);
    assert_int_equal(SSL_set_fd(wire->tls, wire->fd), 1);
    if (session != NULL) assert_int_equal(SSL_set_session(wire->tls, session), 1);
    ERR_clear_error();
    if (SSL_connect(wire->tls) == 1) return wire;
    SSL_free(wire->tls);
    wire->tls = NULL;
    wire_close(wire);
    return NULL;
}

SSL *wire_tls(const struct wire *wire) {
    return wire->tls;
}

struct wire *wire_connect(const struct test_server *server) {
    struct wire *wire = wire_try_connect("127.0.0.1", server->port);
    assert_non_null(wire);
    return wire;
}

struct wire *wire_connect_unix(const struct test_server *server) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", server->unix_socket);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return wire_create(fd);
}

void wire_close(struct wire *wire) {
    if (wire == NULL) return;
    if (wire->tls != NULL) SSL_shutdown(wire->tls);
    SSL_free(wire->tls);
    ERR_clear_error();
    close(wire->fd);
    free(wire);
}

int wire_fd(const struct wire *wire) {
    return wire->fd;
}

/* ---- Sending --------------------------------------------------------------------------------- */

/* Both: below zero, with errno, when it fails; receiving 0 is the end. */
static ssize_t send_some(struct wire *wire, const char *data, size_t size) {
    if (wire->tls == NULL) return send(wire->fd, data, size, MSG_NOSIGNAL);
    int sent = SSL_write(wire->tls, data, size < INT32_MAX ? (int)size : INT32_MAX);
    if (sent <= 0) errno = ECONNRESET;
    return sent > 0 ? sent : -1;
}

static ssize_t receive_some(struct wire *wire, char *data, size_t size) {
    if (wire->tls == NULL) return recv(wire->fd, data, size, 0);
    ERR_clear_error();
    int received = SSL_read(wire->tls, data, (int)size);
    if (received > 0) return received;
    bool has_ended = SSL_get_error(wire->tls, received) != SSL_ERROR_WANT_READ;
    if (!has_ended) errno = EAGAIN;
    return has_ended ? 0 : -1;
}

bool wire_try_send(struct wire *wire, const void *data, size_t size) {
    const char *next = data;
    while (size > 0) {
        ssize_t sent = send_some(wire, next, size);
        if (sent < 0 && (errno == ECONNRESET || errno == EPIPE)) return false;
        if (sent < 0) fail_msg("can't send: %s", strerror(errno));
        next += sent;
        size -= (size_t)sent;
    }
    return true;
}

void wire_send(struct wire *wire, const void *data, size_t size) {
    if (!wire_try_send(wire, data, size)) fail_msg("the server has closed the connection");
}

void wire_send_text(struct wire *wire, const char *text) {
    wire_send(wire, text, strlen(text));
}

void wire_send_arguments(struct wire *wire, const char *const *arguments, const size_t *sizes,
                         size_t count) {
    char *request;
    size_t request_bytes;
    FILE *out = open_memstream(&request, &request_bytes);
    assert_non_null(out);
    fprintf(out, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "$%zu\r\n", sizes[i]);
        fwrite(arguments[i], 1, sizes[i], out);
        fputs("\r\n", out);
    }
    fclose(out);
    wire_send(wire, request, request_bytes);
    free(request);
}

void wire_send_command(struct wire *wire, const char *line) {
    const char *arguments[ARGUMENTS_MAX];
    size_t sizes[ARGUMENTS_MAX], count = 0;
    char *copy = strdup(line);
    assert_non_null(copy);
    struct words words = {.next = copy, .end = copy + strlen(copy)};
    struct bytes word;
    enum words_outcome outcome;
    while ((outcome = words_next(&words, &word)) == WORDS_FOUND) {
        assert_true(count < ARGUMENTS_MAX);
        arguments[count] = (const char *)word.data;
        sizes[count++] = word.size;
    }
    if (outcome == WORDS_UNBALANCED) fail_msg("unbalanced quotes: %s", line);
    wire_send_arguments(wire, arguments, sizes, count);
    free(copy);
}

/* ---- Receiving ------------------------------------------------------------------------------- */

/* False when the connection is closed. */
static bool wire_fill(struct wire *wire) {
    if (wire->start < wire->end) return true;
    ssize_t received = receive_some(wire, wire->buffer, sizeof wire->buffer);
    if (received < 0 && errno == ECONNRESET) received = 0;
    if (received < 0) {
        fail_msg("nothing came back (within %d ms): %s", WIRE_WAIT_MS, strerror(errno));
    }
    wire->start = 0;
    wire->end = (size_t)received;
    return received > 0;
}

static bool wire_take(struct wire *wire, char *data, size_t size) {
    while (size > 0) {
        if (!wire_fill(wire)) return false;
        size_t part = wire->end - wire->start < size ? wire->end - wire->start : size;
        memcpy(data, wire->buffer + wire->start, part);
        wire->start += part;
        data += part;
        size -= part;
    }
    return true;
}

/* A line without its CR LF. */
static bool wire_take_line(struct wire *wire, char line[LINE_BYTES_MAX]) {
    size_t size = 0;
    while (size < 2 || line[size - 2] != '\r' || line[size - 1] != '\n') {
        if (size == LINE_BYTES_MAX) fail_msg("a reply's line is too long");
        if (!wire_take(wire, line + size, 1)) return false;
        size++;
    }
    line[size - 2] = '\0';
    return true;
}

void wire_expect_text(struct wire *wire, const char *text) {
    size_t size = strlen(text);
    char *received = calloc(1, size + 1);
    assert_non_null(received);
    for (size_t i = 0; i < size; i++) {
        if (!wire_take(wire, received + i, 1)) {
            fail_msg("expected \"%s\"; closed after \"%s\"", text, received);
        }
        if (received[i] == text[i]) continue;
        fail_msg("expected \"%s\", got \"%s%.*s\"", text, received, (int)(wire->end - wire->start),
                 wire->buffer + wire->start);
    }
    free(received);
}

size_t wire_drain(struct wire *wire) {
    size_t bytes = 0;
    while (wire_fill(wire)) {
        bytes += wire->end - wire->start;
        wire->start = wire->end;
    }
    return bytes;
}

void wire_expect_closed(struct wire *wire) {
    if (!wire_fill(wire)) return;
    fail_msg("expected the connection to be closed; got \"%.*s\"", (int)(wire->end - wire->start),
             wire->buffer + wire->start);
}

/* ---- Replies as text ------------------------------------------------------------------------- */

static void show_bytes(FILE *out, const char *data, size_t size) {
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)data[i];
        switch (byte) {
        case '\n':
            fputs("\\n", out);
            break;
        case '\r':
            fputs("\\r", out);
            break;
        case '\t':
            fputs("\\t", out);
            break;
        case '"':
            fputs("\\\"", out);
            break;
        case '\\':
            fputs("\\\\", out);
            break;
        default:
            fprintf(out, isprint(byte) ? "%c" : "\\x%02x", byte);
        }
    }
}

static bool show_bulk(struct wire *wire, FILE *out, size_t size) {
    char *data = malloc(size + 2);
    assert_non_null(data);
    bool whole = wire_take(wire, data, size + 2);
    if (whole) {
        fputc('"', out);
        show_bytes(out, data, size);
        fputc('"', out);
        if (memcmp(data + size, "\r\n", 2) != 0) fail_msg("a bulk string isn't ended by CR LF");
    }
    free(data);
    return whole;
}

static bool show_verbatim(struct wire *wire, FILE *out, size_t size) {
    char kind[4];
    if (size < 4) fail_msg("a verbatim string without its kind");
    if (!wire_take(wire, kind, 4)) return false;
    fprintf(out, "=%.4s", kind);
    return show_bulk(wire, out, size - 4);
}

static bool show_reply(struct wire *wire, FILE *out);

static bool show_elements(struct wire *wire, FILE *out, size_t count, const char *brackets) {
    fprintf(out, "%c", brackets[0]);
    for (size_t i = 0; i < count; i++) {
        if (i > 0) fputs(", ", out);
        if (!show_reply(wire, out)) return false;
        if (brackets[0] != '{') continue;
        fputs(" => ", out);
        if (!show_reply(wire, out)) return false;
    }
    fprintf(out, "%c", brackets[1]);
    return true;
}

static size_t size_of_line(const char *line) {
    char *end;
    unsigned long size = strtoul(line + 1, &end, 10);
    if (!isdigit((unsigned char)line[1]) || *end != '\0') fail_msg("a reply of size %s", line);
    return size;
}

static bool show_reply(struct wire *wire, FILE *out) {
    char line[LINE_BYTES_MAX];
    if (!wire_take_line(wire, line)) return false;
    bool is_null = strcmp(line + 1, "-1") == 0 && (line[0] == '$' || line[0] == '*');
    if (is_null) return fputs(line, out) >= 0;
    switch (line[0]) {
    case '+':
    case '-':
    case ':':
    case ',':
    case '#':
    case '_':
    case '(':
        show_bytes(out, line, strlen(line));
        return true;
    case '$':
        return show_bulk(wire, out, size_of_line(line));
    case '=':
        return show_verbatim(wire, out, size_of_line(line));
    case '*':
        return show_elements(wire, out, size_of_line(line), "[]");
    case '%':
        return show_elements(wire, out, size_of_line(line), "{}");
    case '~':
    case '>':
        fputc(line[0], out);
        return show_elements(wire, out, size_of_line(line), "[]");
    default:
        fail_msg("this is no reply: \"%s\"", line);
        return false;
    }
}

char *wire_read_reply(struct wire *wire) {
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    bool whole = show_reply(wire, out);
    fclose(out);
    if (whole) return text;
    free(text);
    return NULL;
}

/* ---- Asking ---------------------------------------------------------------------------------- */

static void expect_reply_to(struct wire *wire, const char *line, const char *expected) {
    char *reply = wire_read_reply(wire);
    if (reply == NULL) fail_msg("%s: expected %s, but the connection is closed", line, expected);
    if (strcmp(reply, expected) != 0) fail_msg("%s: expected %s, got %s", line, expected, reply);
    free(reply);
}

void wire_expect_reply(struct wire *wire, const char *expected) {
    expect_reply_to(wire, "(next reply)", expected);
}

char *wire_ask(struct wire *wire, const char *line) {
    wire_send_command(wire, line);
    char *reply = wire_read_reply(wire);
    if (reply == NULL) fail_msg("%s: the connection is closed", line);
    return reply;
}

void wire_expect(struct wire *wire, const char *line, const char *expected) {
    wire_send_command(wire, line);
    expect_reply_to(wire, line, expected);
}

void wire_await(struct wire *wire, const char *line, const char *expected) {
    for (int waited_ms = 0; waited_ms < WIRE_WAIT_MS; waited_ms += AWAIT_PAUSE_MS) {
        char *reply = wire_ask(wire, line);
        bool came = strcmp(reply, expected) == 0;
        free(reply);
        if (came) return;
        poll(NULL, 0, AWAIT_PAUSE_MS);
    }
    wire_expect(wire, line, expected);
}

void wire_set_many(struct wire *wire, int thousands) {
    enum { PAIRS = 1000, PAIR_BYTES = 32 };
    char *line = malloc(8 + PAIRS * PAIR_BYTES);
    assert_non_null(line);
    for (int i = 0; i < thousands; i++) {
        size_t size = (size_t)sprintf(line, "MSET");
        for (int j = 0; j < PAIRS; j++) {
            size += (size_t)sprintf(line + size, " key:%d value", i * PAIRS + j);
        }
        memcpy(line + size, "\r\n", 3);
        wire_send_text(wire, line);
        wire_expect_reply(wire, "+OK");
    }
    free(line);
}

long long wire_ask_integer(struct wire *wire, const char *line) {
    char *reply = wire_ask(wire, line), *end;
    long long number = strtoll(reply + 1, &end, 10);
    if (reply[0] != ':' || *end != '\0') fail_msg("%s: expected a number, got %s", line, reply);
    free(reply);
    return number;
}

/* In the shown reply, lines end with \r\n spelt out. */
long long wire_ask_field(struct wire *wire, const char *line, const char *name) {
    char label[128];
    snprintf(label, sizeof label, "\\r\\n%s:", name);
    char *reply = wire_ask(wire, line);
    const char *field = strstr(reply, label);
    if (field == NULL) fail_msg("%s has no %s: %s", line, name, reply);
    long long number = strtoll(field + strlen(label), NULL, 10);
    free(reply);
    return number;
}
