/* The TLS context that new clients get: made of the tls-* options, and replaced as a whole when one of them is
 * set, or what their files hold has changed (CONFIG SET of the same path, SIGHUP). Who is connected keeps the one
 * that it began with.
 *
 * Threads: any; the lock is a leaf, held for a few instructions. Making a context reads files and blocks its
 * caller. */
#pragma once

#include <pthread.h>

#include "config.h"
#include "net/tls_context.h"
#include "shards/base/status.h"

struct certificates {
    pthread_mutex_t lock;
    struct tls_context *current; /* lock; NULL: no tls-port */
};

void certificates_init(struct certificates *certificates);
void certificates_release(struct certificates *certificates);

/* Make a context of what the options say now, and put it in place. STATUS_REFUSED: what was there stays, and
 * `error` (CONFIG_ERROR_MAX bytes) says what is amiss and where. Without a tls-port nothing is read. */
must_use enum status certificates_load(struct certificates *certificates, struct config *config,
                                       char *error);
/* Tell every error that certificates_load would find (config_tells). */
void certificates_check(struct config *config);
/* The context for a new client, held for the caller; NULL without a tls-port. */
struct tls_context *certificates_take(struct certificates *certificates);
