/* TLS as operators meet it: certificates that change under load, that are wrong or old, and starts that fail for it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/certificate.h"
#include "tests/support/program.h"
#include "tests/support/tls_server.h"

/* ---- Certificates that change ---------------------------------------------------------------- */

static void copy_file(const char *from, const char *to) {
    char bytes[8192];
    FILE *in = fopen(tls_file(from), "r"), *out = fopen(tls_file(to), "w");
    assert_non_null(in);
    assert_non_null(out);
    size_t size = fread(bytes, 1, sizeof bytes, in);
    assert_int_equal(fwrite(bytes, 1, size, out), size);
    fclose(in);
    fclose(out);
}

static void put_certificate(const char *name) {
    char file[64];
    snprintf(file, sizeof file, "%s.crt", name);
    copy_file(file, "now.crt");
    snprintf(file, sizeof file, "%s.key", name);
    copy_file(file, "now.key");
}

/* The common name of the certificate that a new client is shown. */
static void expect_shown(const char *name) {
    char shown[64] = "";
    struct wire *wire = tls_connect_as("client", 0);
    X509 *certificate = SSL_get1_peer_certificate(wire_tls(wire));
    assert_non_null(certificate);
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, shown,
                              sizeof shown);
    X509_free(certificate);
    wire_close(wire);
    assert_string_equal(shown, name);
}

/* A client of a thread of its own, which neither asserts nor stops until it is told. */
struct load {
    pthread_t thread;
    SSL_CTX *context;
    struct wire *wire;
    _Atomic bool is_over, has_failed;
    _Atomic long rounds;
};

static void *run_load(void *argument) {
    struct load *load = argument;
    SSL *tls = wire_tls(load->wire);
    while (!load->is_over) {
        char reply[5];
        int size = 0;
        bool is_sent = SSL_write(tls, "INCR n\r\n", 8) == 8;
        do {
            size = is_sent ? SSL_read(tls, reply, sizeof reply) : 0;
        } while (size > 0 && memchr(reply, '\n', (size_t)size) == NULL);
        if (size <= 0) break;
        load->rounds++;
    }
    load->has_failed = !load->is_over;
    return NULL;
}

static void certificates_change_and_nobody_is_dropped(void **state) {
    (void)state;
    enum { LOADS = 4, CHANGES = 10 };
    put_certificate("server");
    const char *const options[] = {"--tls-cert-file", tls_file("now.crt"), "--tls-key-file",
                                   tls_file("now.key"), NULL};
    struct test_server *server = tls_start(options);
    struct wire *plain = wire_connect(server);
    struct load loads[LOADS] = {0};
    for (int i = 0; i < LOADS; i++) {
        loads[i].wire = tls_connect_as("client", 0);
        assert_int_equal(pthread_create(&loads[i].thread, NULL, run_load, &loads[i]), 0);
    }
    for (int i = 0; i < CHANGES; i++) {
        const char *name = i % 2 == 0 ? "second" : "server";
        long before = loads[0].rounds;
        char command[2 * CERTIFICATE_PATH_MAX + 64];
        put_certificate(name);
        snprintf(command, sizeof command, "CONFIG SET tls-cert-file %s tls-key-file %s",
                 tls_file("now.crt"), tls_file("now.key"));
        wire_expect(plain, command, "+OK");
        expect_shown(name);
        while (loads[0].rounds == before && !loads[0].has_failed) {
            poll(NULL, 0, 1);
        }
    }
    for (int i = 0; i < LOADS; i++) {
        loads[i].is_over = true;
        pthread_join(loads[i].thread, NULL);
        assert_false(loads[i].has_failed);
        wire_close(loads[i].wire);
    }
    wire_close(plain);
    test_server_stop(server);
}

static void a_wrong_certificate_leaves_the_old_one(void **state) {
    (void)state;
    put_certificate("server");
    const char *const options[] = {"--tls-cert-file", tls_file("now.crt"), "--tls-key-file",
                                   tls_file("now.key"), NULL};
    struct test_server *server = tls_start(options);
    struct wire *plain = wire_connect(server);
    char command[2 * CERTIFICATE_PATH_MAX + 64], expected[3 * CERTIFICATE_PATH_MAX + 200];
    wire_expect(plain, "CONFIG SET tls-ca-cert-dir /nowhere",
                "-ERR CONFIG SET failed (possibly related to argument 'tls-ca-cert-dir') - "
                "tls-ca-cert-dir: can't use /nowhere: No such file or directory");
    wire_expect(plain, "CONFIG SET tls-cert-file /nowhere/a.crt",
                "-ERR CONFIG SET failed (possibly related to argument 'tls-cert-file') - "
                "tls-cert-file: can't load the certificate from /nowhere/a.crt: No such file or "
                "directory");
    snprintf(command, sizeof command, "CONFIG SET tls-key-file %s", tls_file("second.key"));
    snprintf(expected, sizeof expected,
             "-ERR CONFIG SET failed (possibly related to argument 'tls-key-file') - tls-key-file: "
             "the key in %s isn't that of the certificate in %s",
             tls_file("second.key"), tls_file("now.crt"));
    wire_expect(plain, command, expected);
    char *shown = wire_ask(plain, "CONFIG GET tls-key-file");
    assert_non_null(strstr(shown, tls_file("now.key")));
    free(shown);
    snprintf(command, sizeof command, "CONFIG SET tls-cert-file %s", tls_file("."));
    snprintf(expected, sizeof expected,
             "-ERR CONFIG SET failed (possibly related to argument 'tls-cert-file') - "
             "tls-cert-file: can't load the certificate from %s: it is a folder; name the file",
             tls_file("."));
    wire_expect(plain, command, expected);
    expect_shown("server");
    assert_int_equal(test_server_times_said(server, "new clients get the certificate of"), 1);
    snprintf(command, sizeof command, "CONFIG SET tls-cert-file %s tls-key-file %s",
             tls_file("now.crt"), tls_file("now.key"));
    wire_expect(plain, command, "+OK");
    assert_int_equal(test_server_times_said(server, "new clients get the certificate of"), 2);

    copy_file("second.crt", "now.crt"); /* its key isn't there yet */
    kill(server->pid, SIGHUP);
    test_server_await_said(server,
                           "SIGHUP: the certificate stays as it was: tls-key-file: the key in");
    expect_shown("server");
    copy_file("second.key", "now.key");
    kill(server->pid, SIGHUP);
    test_server_await_said(server, "new clients get the certificate of CN = second");
    expect_shown("second");
    wire_close(plain);
    test_server_stop(server);
}

/* ---- Starts that fail ------------------------------------------------------------------------ */

enum { ARGUMENTS_MAX = 1024 };

/* Run sherd with these arguments: it ends with status 1, having said `text`. */
static void expect_refusal(const char *options, const char *text) {
    char command[ARGUMENTS_MAX + sizeof SHERD_BINARY " 2>&1"];
    snprintf(command, sizeof command, SHERD_BINARY " %s 2>&1", options);
    program_expect(command, 1, text);
}

static void expect_no_start(int port, const char *options, const char *text) {
    char arguments[ARGUMENTS_MAX];
    snprintf(arguments, sizeof arguments, "--port 0 --save '' --tls-port %d %s", port, options);
    expect_refusal(arguments, text);
}

static void a_checked_configuration_has_a_certificate_that_will_do(void **state) {
    (void)state;
    char arguments[CERTIFICATE_PATH_MAX + 32];
    FILE *file = fopen(tls_file("sherd.conf"), "w");
    assert_non_null(file);
    fprintf(file, "tls-port 6380\ntls-auth-clients no\ntls-cert-file %s\n", tls_file("server.crt"));
    assert_int_equal(fclose(file), 0);
    snprintf(arguments, sizeof arguments, "--check-config %s", tls_file("sherd.conf"));
    expect_refusal(arguments, "sherd.conf:1: tls-key-file: can't load the key from");
    file = fopen(tls_file("sherd.conf"), "a");
    assert_non_null(file);
    fprintf(file, "tls-key-file %s\n", tls_file("ca.key"));
    assert_int_equal(fclose(file), 0);
    expect_refusal(arguments, "sherd.conf:4: tls-key-file: the key in");
    expect_refusal(arguments, "isn't that of the certificate");
}

static void an_expired_certificate_is_warned_of(void **state) {
    (void)state;
    char line[512];
    const char *const options[] = {"--tls-cert-file", tls_file("expired.crt"), "--tls-key-file",
                                   tls_file("expired.key"), NULL};
    struct test_server *server = tls_start(options);
    test_server_await_said(server,
                           " # TLS: new clients get the certificate of CN = expired, valid until ");
    test_server_stop(server);
    snprintf(line, sizeof line,
             SHERD_BINARY " --check --tls-port 6380 --tls-auth-clients no --tls-cert-file %s "
                          "--tls-key-file %s 2>&1",
             tls_file("expired.crt"), tls_file("expired.key"));
    program_expect(line, 0, "--tls-cert-file: warning: the certificate of CN = expired");
    program_expect(line, 0, "The configuration is valid.");
    snprintf(line, sizeof line,
             SHERD_BINARY " --check --tls-port 6380 --tls-auth-clients no --tls-cert-file %s "
                          "--tls-key-file %s 2>&1 | grep -c warning",
             tls_file("server.crt"), tls_file("server.key"));
    program_expect(line, 1, "0");
}

static void what_cannot_work_is_said_at_the_start(void **state) {
    (void)state;
    char options[512];
    int port = test_server_free_port();
    expect_no_start(port, "", "tls-port needs a certificate: set tls-cert-file and tls-key-file");
    expect_no_start(port, "--tls-cert-file /nowhere/x.crt",
                    "/nowhere/x.crt: No such file or directory");
    expect_no_start(port, "--tls-cert-file /tmp",
                    "can't load the certificate from /tmp: it is a folder; name the file");
    snprintf(options, sizeof options, "--tls-cert-file %s --tls-key-file %s",
             tls_file("server.crt"), tls_file("ca.key"));
    expect_no_start(port, options, "isn't that of the certificate");
    snprintf(options, sizeof options, "--tls-cert-file %s --tls-key-file %s",
             tls_file("server.crt"), tls_file("server.key"));
    expect_no_start(port, options, "tls-auth-clients asks clients for a certificate");
    snprintf(options, sizeof options, "--tls-cert-file %s --tls-key-file /tmp",
             tls_file("server.crt"));
    expect_no_start(port, options, "can't load the key from /tmp: it is a folder; name the file");
    snprintf(options, sizeof options,
             "--tls-cert-file %s --tls-key-file %s --tls-ca-cert-file /tmp", tls_file("server.crt"),
             tls_file("server.key"));
    expect_no_start(port, options, "can't load the authorities from /tmp: it is a folder");
    snprintf(options, sizeof options,
             "--tls-cert-file %s --tls-key-file %s --tls-auth-clients no --tls-protocols SSLv3",
             tls_file("server.crt"), tls_file("server.key"));
    expect_no_start(port, options, "tls-protocols: 'SSLv3' isn't one of TLSv1.2, TLSv1.3");
    snprintf(options, sizeof options,
             "--tls-cert-file %s --tls-key-file %s --tls-auth-clients no --tls-ciphers no-such",
             tls_file("server.crt"), tls_file("server.key"));
    expect_no_start(port, options, "tls-ciphers: 'no-such': no cipher match");
    struct test_server *server = tls_start(NULL);
    snprintf(options, sizeof options, "--tls-cert-file %s --tls-key-file %s --tls-auth-clients no",
             tls_file("server.crt"), tls_file("server.key"));
    expect_no_start(tls_port(), options, "Address already in use");
    test_server_stop(server);
}

int main(void) {
    test_server_require();
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes to sockets without MSG_NOSIGNAL */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificates_change_and_nobody_is_dropped),
        cmocka_unit_test(a_wrong_certificate_leaves_the_old_one),
        cmocka_unit_test(a_checked_configuration_has_a_certificate_that_will_do),
        cmocka_unit_test(an_expired_certificate_is_warned_of),
        cmocka_unit_test(what_cannot_work_is_said_at_the_start),
    };
    return cmocka_run_group_tests(tests, tls_make_folder, tls_remove_folder);
}
