/* What all TLS connections of a server share: its certificate and key, whom it trusts, protocols, ciphers,
 * sessions.
 *
 * Immutable once made, and counted by reference: every connection holds the one that it began with. So a changed
 * certificate is another context, put in the place of the old one, and nobody who is connected notices.
 *
 * Threads: any; making one reads files, and blocks. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "shards/base/status.h"

enum {
    TLS_ERROR_MAX = 768,
    TLS_PROTOCOLS_MAX = 64,
    TLS_DESCRIPTION_MAX = 256,
};

enum tls_client_certificates {
    TLS_CERTIFICATES_IGNORED,
    TLS_CERTIFICATES_REQUIRED,
    TLS_CERTIFICATES_OPTIONAL
};

/* As the options of Redis that bear these names say it; texts are never NULL, "" is unset. Borrowed for the
 * call. */
struct tls_options {
    const char *certificate_file; /* PEM: ours, then those between it and the authority */
    const char *key_file;         /* PEM; "": in the certificate's file */
    const char *key_password;
    const char *authorities_file, *authorities_folder; /* who may vouch for clients */
    enum tls_client_certificates client_certificates;
    const char *protocols;     /* words: TLSv1.2, TLSv1.3; "": both */
    const char *ciphers;       /* of TLS 1.2, in OpenSSL's language; "": OpenSSL's choice */
    const char *cipher_suites; /* of TLS 1.3, the same */
    bool prefers_own_ciphers;
    bool resumes_sessions;
    int64_t sessions_max;    /* kept by us (TLS 1.2 without tickets); 0: no limit */
    int64_t session_seconds; /* how long one may be resumed */
    /* NULL: the first error is the last one. Otherwise each is told, and there is no context. */
    void (*tell)(void *context, const char *error);
    void *tell_context;
};

/* net/tls.c looks inside; the pointers are OpenSSL's. */
struct tls_context {
    struct ssl_ctx_st *shared;
    struct bio_method_st *transport; /* tls_transport_kind */
    _Atomic uint32_t holders;
    char description[TLS_DESCRIPTION_MAX]; /* the certificate's subject, and until when it holds */
    bool is_expired;                       /* it held no longer when this was made */
};

/* Let OpenSSL allocate through shards/base/memory.h, so that what it takes is counted. Before the process has
 * used it at all, or it refuses (false), and its memory is merely not counted. */
bool tls_count_memory(void);

/* NULL when something is amiss: `error` (TLS_ERROR_MAX bytes) says what, in which file, and OpenSSL's reason.
 * Held once. */
struct tls_context *tls_context_create(const struct tls_options *options, char *error);
void tls_context_hold(struct tls_context *context);
/* Whoever lets go last frees it. NULL is allowed. */
void tls_context_drop(struct tls_context *context);
