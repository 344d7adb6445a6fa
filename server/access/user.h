/* A user: who may log in with which passwords, and what they may do.
 *
 * A user is made or copied, changed rule by rule by one thread, published (users.h), and from then on
 * immutable: a change is another user of the same name in its place. Clients hold the one they were judged by;
 * the last to let go frees it. */
#pragma once

#include <stdatomic.h>

#include "server/access/selector.h"

struct user {
    _Atomic uint32_t holders; /* atomic */
    uint64_t
        identity; /* of all its successors too; another user of the same name has another. Of users.h */
    char *name; /* heap; no spaces, no NUL */
    bool is_on;
    bool has_no_password;  /* any will do */
    bool skips_sanitizing; /* remembered and shown: RESTORE isn't there yet */
    bool may_all;          /* every command, every key */
    bool has_failed;       /* an allocation was refused: not to be published */
    bool
        sees_all_channels_at_first; /* acl-pubsub-default when it was made: where "reset" and selectors begin */
    struct password *passwords; /* heap */
    uint32_t password_count;
    struct selector root;
    struct selector *selectors; /* heap: the further ones */
    uint32_t selector_count;
};

enum { USER_NAME_MAX = 256 /* bytes */ };
/* Why nobody can have this name, or NULL. */
const char *user_name_refused(struct bytes name);
/* A user that is off and may do nothing, held once; NULL. */
must_use struct user *user_create(struct bytes name, bool all_channels);
/* The same under the same identity, held once; NULL. */
must_use struct user *user_copy(const struct user *from);
/* Any thread. */
struct user *user_hold(struct user *user);
void user_release(struct user *user);

/* Before it is published. NULL, or what is wrong with the rule; then the user may be changed in part. */
must_use const char *user_apply(struct user *user, struct bytes rule,
                                const struct command_table *commands);
/* The first of several rules that is wrong, cut, and why. */
enum { USER_RULE_SHOWN_MAX = 256 };
struct user_error {
    const char *reason; /* acl_unmatched: a selector without an end begins with this word */
    size_t rule_size;
    char rule[USER_RULE_SHOWN_MAX];
};
/* Rules in order; a selector may be spread over several words. */
must_use bool user_apply_all(struct user *user, const struct bytes *rules, size_t count,
                             const struct command_table *commands, struct user_error *error);
/* The same definition? Names and identities aside. */
bool user_equal(const struct user *a, const struct user *b);
bool user_has_password(const struct user *user, const struct password *password);
/* May somebody use it without having logged in? */
static inline bool user_is_open(const struct user *user) {
    return user->is_on && user->has_no_password;
}
/* The answer of the selector that comes closest. */
enum selector_answer user_ask(const struct user *user, const struct selector_question *question,
                              uint32_t *denied);
/* Its rules: "on #... ~* &* +@all (~b* resetchannels -@all +get)". Applied to a new user they make the same. */
void user_write(const struct user *user, struct text *text);
