/* The table of users: read by all workers, changed rarely.
 *
 * THE RULES OF THREADS
 * 1. A published user is immutable (user.h). The table, a sorted array of pointers, changes under `lock`, a
 *    leaf lock.
 * 2. A client holds the user it is judged by, so it is judged without looking here. Each change counts
 *    `version` up.
 * 3. A worker that runs a batch, or is woken, compares `version` with the one it has seen, and when they differ
 *    puts the new users into its clients' hands (access_refresh). The version is read after the batch was
 *    received, so what a client sent after a change was answered is judged by the change. The worker that makes
 *    a change refreshes its own clients before it answers, and wakes the others, so that those who must go do.
 * 4. A user is freed by the last who held it; nobody waits for that.
 *
 * Any thread may call everything here. A change takes O(clients x log users), over all workers. */
#pragma once

#include <pthread.h>

#include "server/access/user.h"

enum { USERS_MAX = 65536 };

struct users {
    pthread_mutex_t lock;
    pthread_mutex_t
        writing; /* the file is written by one at a time, or an older state might win; over `lock` */
    struct user **all;        /* lock; heap; by name */
    uint32_t count;           /* lock */
    uint64_t next_identity;   /* lock */
    _Atomic uint64_t version; /* released after a change; pairs with the acquire in users_version */
    _Atomic bool default_is_open;         /* atomic, relaxed: for protected-mode */
    _Atomic bool channels_at_first;       /* acl-pubsub-default; atomic, relaxed */
    const struct command_table *commands; /* under their own names; immutable */
    uint8_t *key_access; /* by command id: what it does with keys (users.c); immutable */
};

/* With the user "default", who needs no password and may do everything. `commands` outlives it.
 * STATUS_NO_MEMORY. */
must_use enum status users_init(struct users *users, const struct command_table *commands);
void users_release(struct users *users);

static inline uint64_t users_version(const struct users *users) {
    return atomic_load_explicit(&users->version, memory_order_acquire);
}
/* The user of this name, held for the caller; NULL. */
struct user *users_hold(struct users *users, struct bytes name);
struct user *users_hold_default(struct users *users);
/* All, by name, each held for the caller, in an array of theirs; NULL when memory is refused. */
must_use struct user **users_hold_all(struct users *users, uint32_t *count);
void users_let_go(struct user **all, uint32_t count);

/* Make or change a user: all rules or none. */
must_use bool users_change(struct users *users, struct bytes name, const struct bytes *rules,
                           size_t count, struct user_error *error);
/* False: there is none. The default user can't be removed. */
bool users_remove(struct users *users, struct bytes name);
/* These instead of all there are, but the default user where none of them is it. Takes them over, sorts them,
 * and leaves the array to the caller. Who is defined as before keeps the identity. STATUS_NO_MEMORY changes
 * nothing. */
must_use enum status users_replace(struct users *users, struct user **all, uint32_t count);
/* requirepass; empty: none is needed. */
must_use enum status users_set_default_password(struct users *users, struct bytes password);

/* Nobody but the default user, as it is at first with this password (empty: none)? False also when memory is refused. */
bool users_are_initial(struct users *users, struct bytes password);

/* For whoever holds `lock` (access_refresh): the user of this name, or NULL. O(log users). */
struct user *users_find_locked(const struct users *users, struct bytes name);
/* May the user run the command? `denied` as in selector_ask. */
enum selector_answer users_ask(const struct users *users, const struct user *user,
                               struct selector_question question, uint32_t *denied);
