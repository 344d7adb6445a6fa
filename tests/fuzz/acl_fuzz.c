/* Any bytes as a user's rules, a line: they are refused with a reason, or what they make is written out, and read back to
 * the same user, as a file would have it. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "server/access/user.h"
#include "shards/base/check.h"
#include "shards/base/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* NULL when it is refused. */
static struct user *read_user(struct bytes text, const struct command_table *commands) {
    struct bytes *words = memory_allocate((text.size / 2 + 1) * sizeof(*words));
    struct user *user = user_create(BYTES("user"), false);
    check(words != NULL && user != NULL);
    struct user_error error = {0};
    bool is_good = user_apply_all(user, words, acl_split(text, words), commands, &error);
    check(is_good || error.reason != NULL);
    memory_free(words);
    if (is_good) return user;
    user_release(user);
    return NULL;
}

static void check_reads_back(const struct user *user, const struct command_table *commands) {
    struct text text = {0};
    user_write(user, &text);
    struct user *again = read_user(text_bytes(&text), commands);
    check(again != NULL && user_equal(user, again) && again->may_all == user->may_all);
    check(memcmp(user->root.commands, again->root.commands, sizeof(user->root.commands)) == 0);
    user_release(again);
    text_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct command_table *commands;
    if (commands == NULL) commands = command_table_create();
    check(commands != NULL);
    struct user *user = read_user(bytes_of(data, size), commands);
    if (user == NULL) return 0;
    check_reads_back(user, commands);
    user_release(user);
    return 0;
}
