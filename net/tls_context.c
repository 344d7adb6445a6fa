/* The context of all connections, from options to OpenSSL, and the transport that its sessions use.
 *
 * Who reads an error here has a server that didn't start, or a certificate that wasn't taken: so each names the
 * file, and OpenSSL's first reason, which is the cause; those behind it are consequences.
 *
 * Sessions: with tickets (TLS 1.3, and 1.2 where the client can) the client keeps the session, encrypted for us;
 * their key is made with the context and never stored, so a changed certificate, or another authority for clients,
 * makes every client prove itself anew. Without tickets we keep sessions, up to a maximum, under a lock of
 * OpenSSL's that a handshake takes.
 *
 * Renegotiation is off: TLS 1.3 has none, and in 1.2 it is a way to make a server work for nothing. */
#include "tls_context.h"

#include <errno.h>
#include <openssl/decodererr.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shards/base/bytes.h"
#include "shards/base/memory.h"
#include "tls_transport.h"
#include "words.h"

/* ---- Memory ---------------------------------------------------------------------------------- */

static void *allocate(size_t size, const char *file, int line) {
    (void)file, (void)line;
    return memory_allocate(size);
}
static void *resize(void *pointer, size_t size, const char *file, int line) {
    (void)file, (void)line;
    return memory_resize(pointer, size);
}
static void release(void *pointer, const char *file, int line) {
    (void)file, (void)line;
    memory_free(pointer);
}

bool tls_count_memory(void) {
    return CRYPTO_set_mem_functions(allocate, resize, release) == 1;
}

/* ---- Errors ---------------------------------------------------------------------------------- */

static const char *first_reason(void) {
    unsigned long error = ERR_peek_error();
    if (error == 0) return "unknown error";
    if (ERR_SYSTEM_ERROR(error)) return strerror(ERR_GET_REASON(error));
    /* What OpenSSL says of any file that isn't in this form: "no start line", or "unsupported". */
    bool is_no_pem =
        (ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE) ||
        (ERR_GET_LIB(error) == ERR_LIB_OSSL_DECODER && ERR_GET_REASON(error) == ERR_R_UNSUPPORTED);
    if (is_no_pem) return "it holds none in PEM's form (-----BEGIN ...)";
    const char *reason = ERR_reason_error_string(error);
    return reason != NULL ? reason : "unknown error";
}

/* Why a file wouldn't do. OpenSSL says of a folder what it says of any text. */
static const char *file_reason(const char *path) {
    struct stat about;
    if (stat(path, &about) == 0 && S_ISDIR(about.st_mode)) return "it is a folder; name the file";
    return first_reason();
}

static __attribute__((format(printf, 2, 3))) bool refuse(char *error, const char *format, ...) {
    va_list values;
    va_start(values, format);
    vsnprintf(error, TLS_ERROR_MAX, format, values);
    va_end(values);
    ERR_clear_error();
    return false;
}

/* ---- The parts: each returns false with the reason in `error` -------------------------------- */

struct password {
    const char *text;
    bool was_asked;
};

static int give_password(char *out, int size, int is_writing, void *context) {
    (void)is_writing;
    struct password *password = context;
    size_t length = strlen(password->text);
    password->was_asked = true;
    if (length == 0 || length > (size_t)size) return -1; /* never ask on the terminal */
    memcpy(out, password->text, length);
    return (int)length;
}

static bool load_certificate(SSL_CTX *shared, const struct tls_options *options, char *error) {
    const char *file = options->certificate_file;
    if (file[0] == '\0') {
        return refuse(error, "tls-port needs a certificate: set tls-cert-file and tls-key-file");
    }
    if (SSL_CTX_use_certificate_chain_file(shared, file) == 1) return true;
    return refuse(error, "tls-cert-file: can't load the certificate from %s: %s", file,
                  file_reason(file));
}

static bool is_mismatch(unsigned long error) {
    int reason = ERR_GET_REASON(error);
    return ERR_GET_LIB(error) == ERR_LIB_X509 &&
           (reason == X509_R_KEY_VALUES_MISMATCH || reason == X509_R_KEY_TYPE_MISMATCH);
}

static bool load_key(SSL_CTX *shared, const struct tls_options *options, char *error) {
    const char *file = options->key_file[0] != '\0' ? options->key_file : options->certificate_file;
    if (file[0] == '\0') return true; /* the certificate is missing, and that is told */
    struct password password = {.text = options->key_password};
    SSL_CTX_set_default_passwd_cb(shared, give_password);
    SSL_CTX_set_default_passwd_cb_userdata(shared, &password);
    bool is_loaded = SSL_CTX_use_PrivateKey_file(shared, file, SSL_FILETYPE_PEM) == 1;
    SSL_CTX_set_default_passwd_cb_userdata(shared, NULL);
    bool has_certificate = SSL_CTX_get0_certificate(shared) != NULL;
    if (is_loaded && !has_certificate) return true; /* told already: there is nothing to match */
    if (is_loaded && SSL_CTX_check_private_key(shared) == 1) return true;
    if (is_mismatch(ERR_peek_error())) {
        return refuse(error, "tls-key-file: the key in %s isn't that of the certificate in %s",
                      file, options->certificate_file);
    }
    if (password.was_asked) {
        return refuse(error, "tls-key-file: the key in %s needs a password, and %s", file,
                      password.text[0] == '\0' ? "tls-key-file-pass is empty"
                                               : "tls-key-file-pass isn't it");
    }
    return refuse(error, "tls-key-file: can't load the key from %s: %s", file, file_reason(file));
}

static bool load_authorities(SSL_CTX *shared, const struct tls_options *options, char *error) {
    static const int modes[] = {
        [TLS_CERTIFICATES_IGNORED] = SSL_VERIFY_NONE,
        [TLS_CERTIFICATES_OPTIONAL] = SSL_VERIFY_PEER,
        [TLS_CERTIFICATES_REQUIRED] = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
    };
    const char *file = options->authorities_file, *folder = options->authorities_folder;
    SSL_CTX_set_verify(shared, modes[options->client_certificates], NULL);
    if (file[0] == '\0' && folder[0] == '\0') {
        if (options->client_certificates == TLS_CERTIFICATES_IGNORED) return true;
        return refuse(error, "tls-auth-clients asks clients for a certificate: say who may vouch "
                             "for them with tls-ca-cert-file or tls-ca-cert-dir, or set it to no");
    }
    if (file[0] != '\0' && SSL_CTX_load_verify_file(shared, file) != 1) {
        return refuse(error, "tls-ca-cert-file: can't load the authorities from %s: %s", file,
                      file_reason(file));
    }
    if (folder[0] != '\0' && access(folder, R_OK | X_OK) != 0) { /* OpenSSL looks only later */
        return refuse(error, "tls-ca-cert-dir: can't use %s: %s", folder, strerror(errno));
    }
    if (folder[0] != '\0' && SSL_CTX_load_verify_dir(shared, folder) != 1) {
        return refuse(error, "tls-ca-cert-dir: can't use %s: %s", folder, first_reason());
    }
    /* Tell clients which authorities: those who have several certificates choose by it. */
    if (file[0] != '\0') SSL_CTX_set_client_CA_list(shared, SSL_load_client_CA_file(file));
    return true;
}

static bool set_protocols(SSL_CTX *shared, const struct tls_options *options, char *error) {
    bool has_12 = false, has_13 = false;
    char text[TLS_PROTOCOLS_MAX];
    snprintf(text, sizeof(text), "%s", options->protocols);
    struct words words = {text, text + strlen(text)};
    struct bytes word;
    while (words_next(&words, &word) == WORDS_FOUND) {
        bool is_12 = bytes_is(word, "tlsv1.2"), is_13 = bytes_is(word, "tlsv1.3");
        if (!is_12 && !is_13) {
            return refuse(error, "tls-protocols: '%.*s' isn't one of TLSv1.2, TLSv1.3",
                          (int)word.size, word.data);
        }
        has_12 |= is_12;
        has_13 |= is_13;
    }
    bool is_unset = !has_12 && !has_13;
    SSL_CTX_set_min_proto_version(shared, has_12 || is_unset ? TLS1_2_VERSION : TLS1_3_VERSION);
    SSL_CTX_set_max_proto_version(shared, has_13 || is_unset ? TLS1_3_VERSION : TLS1_2_VERSION);
    return true;
}

static bool set_ciphers(SSL_CTX *shared, const struct tls_options *options, char *error) {
    if (options->ciphers[0] != '\0' && SSL_CTX_set_cipher_list(shared, options->ciphers) != 1) {
        return refuse(error, "tls-ciphers: '%s': %s", options->ciphers, first_reason());
    }
    if (options->cipher_suites[0] != '\0' &&
        SSL_CTX_set_ciphersuites(shared, options->cipher_suites) != 1) {
        return refuse(error, "tls-ciphersuites: '%s': %s", options->cipher_suites, first_reason());
    }
    if (options->prefers_own_ciphers) SSL_CTX_set_options(shared, SSL_OP_CIPHER_SERVER_PREFERENCE);
    return true;
}

static void set_sessions(SSL_CTX *shared, const struct tls_options *options) {
    static const unsigned char name[] = "sherd";
    SSL_CTX_set_session_id_context(shared, name, sizeof(name) - 1);
    if (!options->resumes_sessions) {
        SSL_CTX_set_session_cache_mode(shared, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_options(shared, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(shared, 0);
        return;
    }
    SSL_CTX_set_session_cache_mode(shared, SSL_SESS_CACHE_SERVER);
    SSL_CTX_sess_set_cache_size(shared, (long)options->sessions_max);
    SSL_CTX_set_timeout(shared, (long)options->session_seconds);
}

static void set_manner(SSL_CTX *shared) {
    SSL_CTX_set_options(shared, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(shared, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(shared, 1); /* a record's header and body in one read of the transport */
    SSL_CTX_set_dh_auto(shared, 1);
}

static void describe(struct tls_context *context) {
    X509 *certificate = SSL_CTX_get0_certificate(context->shared);
    BIO *text = BIO_new(BIO_s_mem());
    context->is_expired = X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0;
    if (text == NULL) return;
    X509_NAME_print_ex(text, X509_get_subject_name(certificate), 0, XN_FLAG_ONELINE);
    BIO_puts(text, ", valid until ");
    ASN1_TIME_print(text, X509_get0_notAfter(certificate));
    if (context->is_expired) BIO_puts(text, " (expired)");
    int size = BIO_read(text, context->description, sizeof(context->description) - 1);
    context->description[size > 0 ? size : 0] = '\0';
    BIO_free(text);
}

/* ---- Life ------------------------------------------------------------------------------------ */

static bool fill(struct tls_context *context, const struct tls_options *options, char *error) {
    context->shared = SSL_CTX_new(TLS_server_method());
    context->transport = tls_transport_kind();
    if (context->shared == NULL || context->transport == NULL)
        return refuse(error, "out of memory");
    set_manner(context->shared);
    set_sessions(context->shared, options);
    static bool (*const parts[])(SSL_CTX * shared, const struct tls_options *options,
                                 char *error) = {
        load_certificate, load_key, load_authorities, set_protocols, set_ciphers,
    };
    bool is_filled = true;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (parts[i](context->shared, options, error)) continue;
        if (options->tell == NULL) return false;
        options->tell(options->tell_context, error);
        is_filled = false;
    }
    return is_filled;
}

struct tls_context *tls_context_create(const struct tls_options *options, char *error) {
    struct tls_context *context = memory_allocate_zeroed(sizeof(*context));
    if (context == NULL) {
        refuse(error, "out of memory");
        return NULL;
    }
    ERR_clear_error();
    atomic_init(&context->holders, 1);
    if (!fill(context, options, error)) {
        tls_context_drop(context);
        return NULL;
    }
    describe(context);
    ERR_clear_error();
    return context;
}

void tls_context_hold(struct tls_context *context) {
    atomic_fetch_add_explicit(&context->holders, 1, memory_order_relaxed);
}

void tls_context_drop(struct tls_context *context) {
    if (context == NULL ||
        atomic_fetch_sub_explicit(&context->holders, 1, memory_order_acq_rel) != 1)
        return;
    SSL_CTX_free(context->shared);
    BIO_meth_free(context->transport);
    memory_free(context);
}
