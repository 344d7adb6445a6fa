#include "server/access/users.h"

#include <stdlib.h>
#include <string.h>

#include "server/command_facts.h"
#include "shards/base/check.h"
#include "shards/base/memory.h"

/* What a command does with keys: enum acl_access of the first, above it that of others, and whether it depends on the
 * arguments (then it overwrites, and may read, too). */
enum { OTHER_KEYS_SHIFT = 2, ACCESS_VARIES = 1 << 4 };

static const struct bytes default_name = {"default", 7};

/* ---- The table ------------------------------------------------------------------------------- */

/* Where a name is, or where it would be. */
static uint32_t place_of(const struct users *users, struct bytes name) {
    uint32_t low = 0, high = users->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (bytes_compare(bytes_of_text(users->all[middle]->name), name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct user *users_find_locked(const struct users *users, struct bytes name) {
    uint32_t place = place_of(users, name);
    if (place == users->count) return NULL;
    struct user *user = users->all[place];
    return bytes_equal(bytes_of_text(user->name), name) ? user : NULL;
}

/* The caller holds the lock, and has changed something. */
static void publish_locked(struct users *users) {
    const struct user *user = users_find_locked(users, default_name);
    atomic_store_explicit(&users->default_is_open, user_is_open(user), memory_order_relaxed);
    atomic_fetch_add_explicit(&users->version, 1, memory_order_release);
}

/* In the place of the one of the same name, or beside the others. */
static enum status put_locked(struct users *users, struct user *user) {
    struct bytes name = bytes_of_text(user->name);
    uint32_t place = place_of(users, name);
    if (users_find_locked(users, name) != NULL) {
        user_release(users->all[place]);
        users->all[place] = user;
        return STATUS_OK;
    }
    if (users->count == USERS_MAX) return STATUS_FULL;
    struct user **grown = memory_resize(users->all, (users->count + 1) * sizeof(struct user *));
    if (grown == NULL) return STATUS_NO_MEMORY;
    users->all = grown;
    memmove(&grown[place + 1], &grown[place], (users->count - place) * sizeof(struct user *));
    grown[place] = user;
    users->count++;
    return STATUS_OK;
}

/* ---- Lifecycle ------------------------------------------------------------------------------- */

/* "access" is reading to a rule; "insert", "update" and "delete" are writing. */
static uint8_t access_of(const struct facts *use) {
    uint8_t access = 0;
    for (uint32_t i = 0; i < use->count; i++) {
        const char *word = use->words[i];
        if (strcmp(word, "access") == 0) access |= ACL_READ;
        bool writes = strcmp(word, "insert") == 0 || strcmp(word, "update") == 0 ||
                      strcmp(word, "delete") == 0;
        if (writes) access |= ACL_WRITE;
    }
    return access;
}

static uint8_t key_access_of(const struct command *row) {
    if (row->keys.first == 0) return 0;
    struct facts first = command_key_use(row, (uint32_t)row->keys.first);
    struct facts other = command_key_use(row, (uint32_t)row->keys.first + 1);
    return (uint8_t)(access_of(&first) | access_of(&other) << OTHER_KEYS_SHIFT |
                     (command_use_varies(row) ? ACCESS_VARIES : 0));
}

/* The default user as it is at first: it needs no password, and may do everything. NULL. */
static struct user *create_default(const struct users *users) {
    static const char *const rules[] = {"on", "nopass", "~*", "&*", "+@all"};
    struct user *user = user_create(default_name, false);
    for (size_t i = 0; user != NULL && i < sizeof(rules) / sizeof(rules[0]); i++) {
        check(user_apply(user, bytes_of_text(rules[i]), users->commands) == NULL);
    }
    return user;
}

static enum status add_default(struct users *users) {
    struct user *user = create_default(users);
    if (user == NULL) return STATUS_NO_MEMORY;
    user->identity = users->next_identity++;
    enum status status = put_locked(users, user);
    if (status != STATUS_OK) user_release(user);
    return status;
}

enum status users_init(struct users *users, const struct command_table *commands) {
    *users = (struct users){.commands = commands, .next_identity = 1};
    uint32_t count = command_table_count_all(commands);
    check(count <= SELECTOR_COMMANDS_MAX);
    check(pthread_mutex_init(&users->lock, NULL) == 0);
    check(pthread_mutex_init(&users->writing, NULL) == 0);
    users->key_access = memory_allocate(count);
    if (users->key_access == NULL || add_default(users) != STATUS_OK) {
        users_release(users);
        return STATUS_NO_MEMORY;
    }
    for (uint32_t id = 0; id < count; id++) {
        users->key_access[id] = key_access_of(command_table_row(commands, id));
    }
    publish_locked(users);
    return STATUS_OK;
}

void users_release(struct users *users) {
    for (uint32_t i = 0; i < users->count; i++) {
        user_release(users->all[i]);
    }
    memory_free(users->all);
    memory_free(users->key_access);
    pthread_mutex_destroy(&users->writing);
    pthread_mutex_destroy(&users->lock);
}

/* ---- Looking --------------------------------------------------------------------------------- */

struct user *users_hold(struct users *users, struct bytes name) {
    pthread_mutex_lock(&users->lock);
    struct user *user = users_find_locked(users, name);
    if (user != NULL) user_hold(user);
    pthread_mutex_unlock(&users->lock);
    return user;
}

struct user *users_hold_default(struct users *users) {
    return users_hold(users, default_name);
}

struct user **users_hold_all(struct users *users, uint32_t *count) {
    pthread_mutex_lock(&users->lock);
    struct user **all = memory_allocate(users->count * sizeof(*all));
    *count = all != NULL ? users->count : 0;
    for (uint32_t i = 0; i < *count; i++) {
        all[i] = user_hold(users->all[i]);
    }
    pthread_mutex_unlock(&users->lock);
    return all;
}

void users_let_go(struct user **all, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        user_release(all[i]);
    }
    memory_free(all);
}

enum selector_answer users_ask(const struct users *users, const struct user *user,
                               struct selector_question question, uint32_t *denied) {
    uint32_t access = users->key_access[question.id];
    question.first_access = access & ACL_READ_WRITE;
    question.other_access = access >> OTHER_KEYS_SHIFT & ACL_READ_WRITE;
    if (access & ACCESS_VARIES) {
        bool reads = command_asks_for_old(question.args, question.arg_count);
        question.first_access = reads ? ACL_READ_WRITE : ACL_WRITE;
    }
    return user_ask(user, &question, denied);
}

/* ---- Changing -------------------------------------------------------------------------------- */

static bool refuse_for_memory(struct user_error *error) {
    *error = (struct user_error){.reason = acl_no_memory};
    return false;
}

static bool change_locked(struct users *users, struct bytes name, const struct bytes *rules,
                          size_t count, struct user_error *error) {
    const struct user *before = users_find_locked(users, name);
    bool all_channels = atomic_load_explicit(&users->channels_at_first, memory_order_relaxed);
    struct user *user = before != NULL ? user_copy(before) : user_create(name, all_channels);
    if (user == NULL) return refuse_for_memory(error);
    user->sees_all_channels_at_first = all_channels;
    if (before == NULL) user->identity = users->next_identity++;
    bool is_good = user_apply_all(user, rules, count, users->commands, error);
    if (is_good && user->has_failed) is_good = refuse_for_memory(error);
    if (is_good && put_locked(users, user) != STATUS_OK) is_good = refuse_for_memory(error);
    if (!is_good) {
        user_release(user);
        return false;
    }
    publish_locked(users);
    return true;
}

bool users_change(struct users *users, struct bytes name, const struct bytes *rules, size_t count,
                  struct user_error *error) {
    pthread_mutex_lock(&users->lock);
    bool is_changed = change_locked(users, name, rules, count, error);
    pthread_mutex_unlock(&users->lock);
    return is_changed;
}

bool users_remove(struct users *users, struct bytes name) {
    check(!bytes_equal(name, default_name));
    pthread_mutex_lock(&users->lock);
    struct user *user = users_find_locked(users, name);
    if (user != NULL) {
        uint32_t place = place_of(users, name);
        users->count--;
        memmove(&users->all[place], &users->all[place + 1],
                (users->count - place) * sizeof(struct user *));
        user_release(user);
        publish_locked(users);
    }
    pthread_mutex_unlock(&users->lock);
    return user != NULL;
}

static int compare_names(const void *a, const void *b) {
    const struct user *const *one = a, *const *other = b;
    return bytes_compare(bytes_of_text((*one)->name), bytes_of_text((*other)->name));
}

static void take_over_identity(struct users *users, struct user *user) {
    struct bytes name = bytes_of_text(user->name);
    const struct user *before = users_find_locked(users, name);
    /* Who is the default user without having logged in needs none to be it still. */
    bool stays = before != NULL && (user_equal(before, user) || bytes_equal(name, default_name));
    user->identity = stays ? before->identity : users->next_identity++;
}

enum status users_replace(struct users *users, struct user **all, uint32_t count) {
    if (count > USERS_MAX) return STATUS_FULL;
    pthread_mutex_lock(&users->lock);
    struct user **now = memory_allocate((count + 1) * sizeof(*now));
    if (now == NULL) {
        pthread_mutex_unlock(&users->lock);
        return STATUS_NO_MEMORY;
    }
    bool has_default = false;
    for (uint32_t i = 0; i < count; i++) {
        take_over_identity(users, all[i]);
        now[i] = all[i];
        has_default = has_default || bytes_equal(bytes_of_text(all[i]->name), default_name);
    }
    if (!has_default) now[count++] = user_hold(users_find_locked(users, default_name));
    qsort(now, count, sizeof(struct user *), compare_names);
    for (uint32_t i = 0; i < users->count; i++) {
        user_release(users->all[i]);
    }
    memory_free(users->all);
    users->all = now;
    users->count = count;
    publish_locked(users);
    pthread_mutex_unlock(&users->lock);
    return STATUS_OK;
}

/* What requirepass means, as a rule: "#..." or "nopass". */
struct password_rule {
    char text[2 + PASSWORD_TEXT_BYTES];
};

static enum status make_rule(struct password_rule *rule, struct bytes password) {
    *rule = (struct password_rule){"nopass"};
    if (password.size == 0) return STATUS_OK;
    struct password hash;
    if (password_hash(&hash, password) != STATUS_OK) return STATUS_NO_MEMORY;
    rule->text[0] = '#';
    password_write(&hash, rule->text + 1);
    return STATUS_OK;
}

enum status users_set_default_password(struct users *users, struct bytes password) {
    struct password_rule rule;
    if (make_rule(&rule, password) != STATUS_OK) return STATUS_NO_MEMORY;
    struct bytes rules[] = {BYTES("resetpass"), bytes_of_text(rule.text)};
    struct user_error error;
    return users_change(users, default_name, rules, 2, &error) ? STATUS_OK : STATUS_NO_MEMORY;
}

bool users_are_initial(struct users *users, struct bytes password) {
    struct password_rule rule;
    struct user *initial = create_default(users), *now = users_hold_default(users);
    bool is_same = initial != NULL && make_rule(&rule, password) == STATUS_OK &&
                   user_apply(initial, bytes_of_text(rule.text), users->commands) == NULL &&
                   user_equal(initial, now);
    pthread_mutex_lock(&users->lock);
    is_same = is_same && users->count == 1;
    pthread_mutex_unlock(&users->lock);
    user_release(initial);
    user_release(now);
    return is_same;
}
