#include "config_hooks.h"

#include <stdio.h>
#include <string.h>

#include "access/access.h"
#include "descriptors.h"
#include "limit.h"
#include "log.h"
#include "server.h"

static enum status apply_loglevel(void *context, struct config *config, char *error) {
    (void)context, (void)error;
    log_set_level((enum log_level)config_number(&config->loglevel));
    return STATUS_OK;
}

static enum status apply_log_format(void *context, struct config *config, char *error) {
    (void)context, (void)error;
    log_set_form((enum log_form)config_number(&config->log_format));
    return STATUS_OK;
}

static enum status apply_saving(void *context, struct config *config, char *error) {
    struct server *server = context;
    (void)config, (void)error;
    saver_configure(&server->saver);
    return STATUS_OK;
}

static enum status apply_password(void *context, struct config *config, char *error) {
    struct server *server = context;
    char password[CONFIG_TEXT_MAX];
    config_copy_text(config, config->requirepass, password);
    enum status status = users_set_default_password(&server->users, bytes_of_text(password));
    explicit_bzero(password, sizeof(password));
    if (status == STATUS_OK) {
        access_wake_workers(server);
    } else {
        snprintf(error, CONFIG_ERROR_MAX, "out of memory");
    }
    return status;
}

static enum status apply_channels(void *context, struct config *config, char *error) {
    struct server *server = context;
    (void)error;
    atomic_store_explicit(&server->users.channels_at_first,
                          config_number(&config->acl_pubsub_default) == CHANNELS_ALL,
                          memory_order_relaxed);
    return STATUS_OK;
}

/* Redis's words. The engine may have noted the old limit of descriptors: it is told to look again. Should the letter find
 * no room, the first clients beyond the old limit are refused, and those of the next tick aren't. */
static enum status apply_maxclients(void *context, struct config *config, char *error) {
    struct server *server = context;
    int64_t possible;
    if (descriptors_raise(config_number(&config->maxclients), &possible) != STATUS_OK) {
        snprintf(error, CONFIG_ERROR_MAX,
                 "The operating system is not able to handle the specified number of clients, try "
                 "with %lld",
                 (long long)possible);
        return STATUS_REFUSED;
    }
    bool is_posted = worker_note_descriptors(&server->workers[0]);
    (void)is_posted;
    return STATUS_OK;
}

static enum status apply_tls(void *context, struct config *config, char *error) {
    struct server *server = context;
    return certificates_load(&server->certificates, config, error);
}

static const struct config_hook hooks[] = {
    {"tls-cert-file", apply_tls},
    {"tls-key-file", apply_tls},
    {"tls-key-file-pass", apply_tls},
    {"tls-ca-cert-file", apply_tls},
    {"tls-ca-cert-dir", apply_tls},
    {"tls-auth-clients", apply_tls},
    {"tls-protocols", apply_tls},
    {"tls-ciphers", apply_tls},
    {"tls-ciphersuites", apply_tls},
    {"tls-prefer-server-ciphers", apply_tls},
    {"tls-session-caching", apply_tls},
    {"tls-session-cache-size", apply_tls},
    {"tls-session-cache-timeout", apply_tls},
    {"requirepass", apply_password},
    {"acl-pubsub-default", apply_channels},
    {"loglevel", apply_loglevel},
    {"log-format", apply_log_format},
    {"maxclients", apply_maxclients},
    {"maxmemory", limit_apply},
    {"maxmemory-clients", limit_apply},
    {"maxmemory-policy", limit_apply},
    {"maxmemory-samples", limit_apply},
    {"lfu-log-factor", limit_apply},
    {"lfu-decay-time", limit_apply},
    {"save", apply_saving},
    {"stop-writes-on-bgsave-error", apply_saving},
    {"slowlog-log-slower-than", timing_apply},
    {"slowlog-max-len", timing_apply},
    {"latency-monitor-threshold", timing_apply},
};

void config_hooks_attach(struct server *server) {
    config_attach_hooks(server->config, hooks, sizeof(hooks) / sizeof(hooks[0]), server);
}
