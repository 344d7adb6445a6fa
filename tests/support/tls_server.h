/* A server that speaks TLS, certificates in a folder of the test program's own, and clients of both. One server at a
 * time. The folder holds ca, and by it server, second, client and expired; stranger has signed itself. */
#pragma once

#include <openssl/ssl.h>

#include "tests/support/server.h"
#include "tests/support/wire.h"

/* cmocka's group fixtures. */
int tls_make_folder(void **state);
int tls_remove_folder(void **state);
/* The path of a file in it; good until sixteen more were asked for. */
const char *tls_file(const char *name);

/* A server with a tls-port, server's certificate, ca's authority, and these options after: NULL-terminated, or NULL. */
struct test_server *tls_start(const char *const *more);
/* The tls-port of the last that was started. */
int tls_port(void);

/* What a client brings: the name of its certificate (NULL: none), and the version it speaks (0: any). The caller's to
 * free. */
SSL_CTX *tls_client_context(const char *name, int version);
/* Connections to it; the handshake must succeed. */
struct wire *tls_connect_with(SSL_CTX *context);
struct wire *tls_connect_as(const char *name, int version);
