#include "tests/support/tls_server.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "tests/support/certificate.h"
#include "tests/support/folder.h"

enum { OPTIONS_MAX = 32 };

static char folder[64];
static char port[16];

const char *tls_file(const char *file) {
    static char paths[16][CERTIFICATE_PATH_MAX]; /* more than one line uses */
    static unsigned next;
    return certificate_path(folder, file, paths[next++ % 16]);
}

struct test_server *tls_start(const char *const *more) {
    const char *options[OPTIONS_MAX + 1] = {
        "--tls-port",         port,
        "--tls-cert-file",    tls_file("server.crt"),
        "--tls-key-file",     tls_file("server.key"),
        "--tls-ca-cert-file", tls_file("ca.crt"),
    };
    size_t count = 8;
    for (; more != NULL && *more != NULL; more++) {
        assert_true(count < OPTIONS_MAX);
        options[count++] = *more;
    }
    snprintf(port, sizeof port, "%d", test_server_free_port());
    return test_server_start(options);
}

int tls_port(void) {
    return atoi(port);
}

SSL_CTX *tls_client_context(const char *name, int version) {
    char file[64];
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    assert_non_null(context);
    assert_int_equal(SSL_CTX_load_verify_file(context, tls_file("ca.crt")), 1);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(context, SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_min_proto_version(context, version);
    SSL_CTX_set_max_proto_version(context, version);
    if (name == NULL) return context;
    snprintf(file, sizeof file, "%s.crt", name);
    assert_int_equal(SSL_CTX_use_certificate_file(context, tls_file(file), SSL_FILETYPE_PEM), 1);
    snprintf(file, sizeof file, "%s.key", name);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(context, tls_file(file), SSL_FILETYPE_PEM), 1);
    return context;
}

struct wire *tls_connect_with(SSL_CTX *context) {
    struct wire *wire = wire_try_connect_tls(tls_port(), context, NULL);
    if (wire == NULL) fail_msg("the handshake fails");
    return wire;
}

struct wire *tls_connect_as(const char *name, int version) {
    SSL_CTX *context = tls_client_context(name, version);
    struct wire *wire = tls_connect_with(context);
    SSL_CTX_free(context); /* the connection holds it */
    return wire;
}

int tls_make_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/sherd-tls-XXXXXX");
    assert_non_null(mkdtemp(folder));
    certificate_make(folder, (struct certificate_wish){.name = "ca"});
    certificate_make(folder, (struct certificate_wish){.name = "server", .issuer = "ca"});
    certificate_make(folder, (struct certificate_wish){.name = "second", .issuer = "ca"});
    certificate_make(folder, (struct certificate_wish){.name = "client", .issuer = "ca"});
    certificate_make(
        folder, (struct certificate_wish){.name = "expired", .issuer = "ca", .is_expired = true});
    certificate_make(folder, (struct certificate_wish){.name = "stranger"});
    return 0;
}

int tls_remove_folder(void **state) {
    (void)state;
    return folder_remove(folder);
}
