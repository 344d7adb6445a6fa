/* What was denied lately, newest first: ACL LOG.
 *
 * The same denial (reason, object and user) within a minute is one entry that counts. At most `acllog-max-len`
 * entries; of an object or a user's name the first ACL_LOG_TEXT_MAX bytes are kept. Any thread: it has a lock,
 * a leaf. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "shards/base/bytes.h"

enum { ACL_LOG_TEXT_MAX = 256, ACL_LOG_CLIENT_MAX = 1024, ACL_LOG_MERGE_MS = 60000 };

enum acl_log_reason { ACL_LOG_COMMAND, ACL_LOG_KEY, ACL_LOG_AUTH, ACL_LOG_REASONS };

struct acl_log_entry {
    enum acl_log_reason reason;
    uint64_t id, count;
    int64_t created_ms, updated_ms;
    size_t object_size, user_size, client_size;
    char object
        [ACL_LOG_TEXT_MAX]; /* the command, the key; of a failed login the command that it came by */
    char user[ACL_LOG_TEXT_MAX];
    char client[ACL_LOG_CLIENT_MAX]; /* as in CLIENT LIST, without a line end */
    struct acl_log_entry *next;
};

struct acl_log {
    pthread_mutex_t lock;
    struct acl_log_entry *newest;              /* lock; a list */
    uint64_t count, next_id;                   /* lock */
    _Atomic uint64_t denials[ACL_LOG_REASONS]; /* atomic, relaxed: ever; a statistic */
};

void acl_log_init(struct acl_log *log);
void acl_log_release(struct acl_log *log);
struct acl_denial {
    enum acl_log_reason reason;
    struct bytes object, user, client;
};
/* Without memory for it, it is not noted. */
void acl_log_add(struct acl_log *log, const struct acl_denial *denial, int64_t now_ms,
                 uint64_t length_max);
void acl_log_reset(struct acl_log *log);
/* The newest, `count` at most, copied to a list of the caller's (acl_log_free_list); `*found` of them. */
struct acl_log_entry *acl_log_copy(struct acl_log *log, uint64_t count, uint64_t *found);
void acl_log_free_list(struct acl_log_entry *list);
const char *acl_log_reason_name(enum acl_log_reason reason);
