#include "certificates.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "config_value.h"
#include "log.h"

static_assert((int)TLS_ERROR_MAX <= (int)CONFIG_ERROR_MAX, "an error is handed on whole");

void certificates_init(struct certificates *certificates) {
    certificates->current = NULL;
    pthread_mutex_init(&certificates->lock, NULL);
}

void certificates_release(struct certificates *certificates) {
    tls_context_drop(certificates->current);
    pthread_mutex_destroy(&certificates->lock);
}

/* The texts of the options, copied out: another thread may set them meanwhile. */
struct texts {
    char certificate[CONFIG_TEXT_MAX], key[CONFIG_TEXT_MAX], password[CONFIG_TEXT_MAX];
    char file[CONFIG_TEXT_MAX], folder[CONFIG_TEXT_MAX];
    char protocols[CONFIG_TEXT_MAX], ciphers[CONFIG_TEXT_MAX], suites[CONFIG_TEXT_MAX];
};

static void copy_texts(struct config *config, struct texts *texts) {
    config_copy_text(config, config->tls_cert_file, texts->certificate);
    config_copy_text(config, config->tls_key_file, texts->key);
    config_copy_text(config, config->tls_key_file_pass, texts->password);
    config_copy_text(config, config->tls_ca_cert_file, texts->file);
    config_copy_text(config, config->tls_ca_cert_dir, texts->folder);
    config_copy_text(config, config->tls_protocols, texts->protocols);
    config_copy_text(config, config->tls_ciphers, texts->ciphers);
    config_copy_text(config, config->tls_ciphersuites, texts->suites);
}

/* The option that an error is about is its first word; what has none is about having TLS at all. */
static void tell(void *context, const char *error) {
    struct bytes word = bytes_of(error, strcspn(error, ": "));
    const struct config_option *option = config_option_find(word);
    bool is_set = option != NULL && config_origin(context, option).source != CONFIG_FROM_DEFAULT;
    config_tells_of(context, is_set ? option->name : "tls-port", error);
}

static struct tls_context *make(struct config *config, char *error) {
    static const enum tls_client_certificates asked[] = {
        [TLS_AUTH_NO] = TLS_CERTIFICATES_IGNORED,
        [TLS_AUTH_YES] = TLS_CERTIFICATES_REQUIRED,
        [TLS_AUTH_OPTIONAL] = TLS_CERTIFICATES_OPTIONAL,
    };
    struct texts texts;
    copy_texts(config, &texts);
    struct tls_options options = {
        .certificate_file = texts.certificate,
        .key_file = texts.key,
        .key_password = texts.password,
        .authorities_file = texts.file,
        .authorities_folder = texts.folder,
        .client_certificates = asked[config_number(&config->tls_auth_clients)],
        .protocols = texts.protocols,
        .ciphers = texts.ciphers,
        .cipher_suites = texts.suites,
        .prefers_own_ciphers = config_number(&config->tls_prefer_server_ciphers),
        .resumes_sessions = config_number(&config->tls_session_caching),
        .sessions_max = config_number(&config->tls_session_cache_size),
        .tell = config->errors != NULL ? tell : NULL,
        .tell_context = config,
        .session_seconds = config_number(&config->tls_session_cache_timeout),
    };
    struct tls_context *context = tls_context_create(&options, error);
    explicit_bzero(texts.password, sizeof(texts.password));
    return context;
}

static bool is_wanted(const struct config *config) {
    return config_number(&config->tls_port) != 0;
}

enum status certificates_load(struct certificates *certificates, struct config *config,
                              char *error) {
    if (!is_wanted(config)) return STATUS_OK;
    struct tls_context *made = make(config, error);
    if (made == NULL) return STATUS_REFUSED;
    if (made->is_expired) {
        log_warning("TLS: new clients get the certificate of %s", made->description);
    } else {
        log_notice("TLS: new clients get the certificate of %s", made->description);
    }
    pthread_mutex_lock(&certificates->lock);
    struct tls_context *before = certificates->current;
    certificates->current = made;
    pthread_mutex_unlock(&certificates->lock);
    tls_context_drop(before);
    return STATUS_OK;
}

void certificates_check(struct config *config) {
    char error[CONFIG_ERROR_MAX];
    if (!is_wanted(config)) return;
    struct tls_context *made = make(config, error);
    if (made != NULL && made->is_expired) {
        snprintf(error, sizeof(error), "the certificate of %s: clients that check it don't connect",
                 made->description);
        config_warns_of(config, "tls-cert-file", error);
    }
    tls_context_drop(made);
}

struct tls_context *certificates_take(struct certificates *certificates) {
    pthread_mutex_lock(&certificates->lock);
    struct tls_context *context = certificates->current;
    if (context != NULL) tls_context_hold(context);
    pthread_mutex_unlock(&certificates->lock);
    return context;
}
