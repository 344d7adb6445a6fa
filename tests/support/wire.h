/* A connection that sends exactly the bytes it is told, and shows exactly what comes back.
 *
 * Replies are shown as text in which every type of RESP can be told apart (tests/transcripts/README.md has the table):
 *   +OK   -ERR no   :1   "bulk\x00"   $-1   *-1   ["array", :1]
 *   {"map" => :1}   ~["set"]   >["push"]   ,1.5   #t   _   (123   =txt:"verbatim"
 *
 * Everything waits for ten seconds at most (WIRE_WAIT_MS), then fails the running test: main thread only. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "tests/support/server.h"

enum { WIRE_WAIT_MS = 10000 };

struct wire;
struct ssl_st;         /* OpenSSL: SSL, */
struct ssl_ctx_st;     /* SSL_CTX, */
struct ssl_session_st; /* SSL_SESSION */

struct wire *wire_connect(const struct test_server *server); /* over TCP */
struct wire *wire_connect_unix(const struct test_server *server);
/* Over TLS on this port of 127.0.0.1, by a context that stays the caller's; `session` is
 * offered again, if it isn't NULL. NULL when the handshake fails, or the server hangs up on it. */
struct wire *wire_try_connect_tls(int port, struct ssl_ctx_st *context,
                                  struct ssl_session_st *session);
/* OpenSSL's SSL of such a connection. */
struct ssl_st *wire_tls(const struct wire *wire);
/* NULL when it is refused. */
struct wire *wire_try_connect(const char *host, int port);
void wire_close(struct wire *wire);
int wire_fd(const struct wire *wire);

/* All of it, or the test fails; `wire_try_send`: false when the server closed the connection meanwhile. */
void wire_send(struct wire *wire, const void *data, size_t size);
bool wire_try_send(struct wire *wire, const void *data, size_t size);
void wire_send_text(struct wire *wire, const char *text);
/* A request: a line split and unescaped like redis-cli's, sent as an array of bulk strings. */
void wire_send_command(struct wire *wire, const char *line);
void wire_send_arguments(struct wire *wire, const char *const *arguments, const size_t *sizes,
                         size_t count);

/* The next bytes must be these. */
void wire_expect_text(struct wire *wire, const char *text);
/* The server closes the connection, with nothing more to say. */
void wire_expect_closed(struct wire *wire);
/* The next reply as text, owned by the caller; NULL when the connection is closed instead. */
char *wire_read_reply(struct wire *wire);
void wire_expect_reply(struct wire *wire, const char *expected);
/* Read and forget all there is until the server closes; returns the bytes. */
size_t wire_drain(struct wire *wire);

/* Send a command and read its reply. */
char *wire_ask(struct wire *wire, const char *line);
void wire_expect(struct wire *wire, const char *line, const char *expected);
/* Ask until the reply is `expected`. */
void wire_await(struct wire *wire, const char *line, const char *expected);
/* Set so many thousand keys of their own. */
void wire_set_many(struct wire *wire, int thousands);
/* The reply's number, or that in the line "name:123" of a reply like INFO's. */
long long wire_ask_integer(struct wire *wire, const char *line);
long long wire_ask_field(struct wire *wire, const char *line, const char *name);
