#include "server/access/user.h"

#include "shards/base/memory.h"

/* ---- Lifecycle ------------------------------------------------------------------------------- */

const char *user_name_refused(struct bytes name) {
    if (acl_has_space(name)) return "Usernames can't contain spaces or null characters";
    if (name.size == 0) return "Usernames can't be empty";
    return name.size <= USER_NAME_MAX ? NULL : "Usernames can't be longer than 256 bytes";
}

struct user *user_create(struct bytes name, bool all_channels) {
    struct user *user = memory_allocate_zeroed(sizeof(*user));
    if (user == NULL) return NULL;
    user->name = memory_allocate_zeroed(name.size + 1);
    if (user->name == NULL) {
        memory_free(user);
        return NULL;
    }
    if (name.size != 0) memcpy(user->name, name.data, name.size);
    atomic_store_explicit(&user->holders, 1, memory_order_relaxed);
    user->sees_all_channels_at_first = all_channels;
    selector_init(&user->root, all_channels);
    return user;
}

static void clear_selectors(struct user *user) {
    for (uint32_t i = 0; i < user->selector_count; i++) {
        selector_release(&user->selectors[i]);
    }
    memory_free(user->selectors);
    user->selectors = NULL;
    user->selector_count = 0;
}

static void clear_passwords(struct user *user) {
    memory_free(user->passwords);
    user->passwords = NULL;
    user->password_count = 0;
}

struct user *user_hold(struct user *user) {
    atomic_fetch_add_explicit(&user->holders, 1, memory_order_relaxed);
    return user;
}

void user_release(struct user *user) {
    /* Release and acquire: who frees it comes after all that others did with it. */
    if (user == NULL || atomic_fetch_sub_explicit(&user->holders, 1, memory_order_acq_rel) != 1)
        return;
    clear_selectors(user);
    clear_passwords(user);
    selector_release(&user->root);
    memory_free(user->name);
    memory_free(user);
}

/* ---- Passwords ------------------------------------------------------------------------------- */

/* All are looked at, whichever is right. */
static uint32_t find_password(const struct user *user, const struct password *password) {
    uint32_t found = user->password_count;
    for (uint32_t i = 0; i < user->password_count; i++) {
        if (password_equal(&user->passwords[i], password)) found = i;
    }
    return found;
}

bool user_has_password(const struct user *user, const struct password *password) {
    return find_password(user, password) < user->password_count;
}

static void add_password(struct user *user, const struct password *password) {
    user->has_no_password = false;
    if (user_has_password(user, password)) return;
    size_t size = (user->password_count + 1) * sizeof(*password);
    struct password *grown = memory_resize(user->passwords, size);
    if (grown == NULL) {
        user->has_failed = true;
        return;
    }
    user->passwords = grown;
    user->passwords[user->password_count++] = *password;
}

static const char *remove_password(struct user *user, const struct password *password) {
    uint32_t index = find_password(user, password);
    if (index == user->password_count) return acl_unknown_password;
    user->password_count--;
    memmove(&user->passwords[index], &user->passwords[index + 1],
            (user->password_count - index) * sizeof(*password));
    return NULL;
}

/* ---- Selectors ------------------------------------------------------------------------------- */

static struct selector *grow_selectors(struct user *user) {
    size_t size = (user->selector_count + 1) * sizeof(*user->selectors);
    struct selector *grown = memory_resize(user->selectors, size);
    if (grown == NULL) {
        user->has_failed = true;
        return NULL;
    }
    user->selectors = grown;
    return &grown[user->selector_count];
}

static bool ends_selector(struct bytes word) {
    return word.size != 0 && word.data[word.size - 1] == ')';
}

/* A word that ends like a selector would end it early when it is read back. */
static const char *apply_words(struct selector *selector, struct bytes rules,
                               const struct command_table *commands) {
    for (struct bytes word = acl_take_word(&rules); word.size != 0; word = acl_take_word(&rules)) {
        struct acl_rule rule;
        const char *error = ends_selector(word) ? acl_syntax : acl_rule_read(&rule, word, commands);
        if (error == NULL) error = selector_apply(selector, &rule, commands);
        if (error != NULL) return error;
    }
    return NULL;
}

static const char *add_selector(struct user *user, struct bytes rules,
                                const struct command_table *commands) {
    struct selector *selector = grow_selectors(user);
    if (selector == NULL) return NULL;
    selector_init(selector, user->sees_all_channels_at_first);
    const char *error = apply_words(selector, rules, commands);
    if (selector_has_failed(selector)) user->has_failed = true;
    if (error != NULL) {
        selector_release(selector);
    } else {
        user->selector_count++;
    }
    return error;
}

struct user *user_copy(const struct user *from) {
    struct user *user = user_create(bytes_of_text(from->name), from->sees_all_channels_at_first);
    if (user == NULL) return NULL;
    user->identity = from->identity;
    user->is_on = from->is_on;
    user->has_no_password = from->has_no_password;
    user->skips_sanitizing = from->skips_sanitizing;
    user->may_all = from->may_all;
    for (uint32_t i = 0; i < from->password_count; i++) {
        bool has_no_password = user->has_no_password;
        add_password(user, &from->passwords[i]);
        user->has_no_password = has_no_password;
    }
    selector_copy(&user->root, &from->root);
    for (uint32_t i = 0; i < from->selector_count; i++) {
        struct selector *selector = grow_selectors(user);
        if (selector == NULL) break;
        selector_copy(selector, &from->selectors[i]);
        if (selector_has_failed(selector)) user->has_failed = true;
        user->selector_count++;
    }
    if (selector_has_failed(&user->root)) user->has_failed = true;
    return user;
}

/* ---- Rules ----------------------------------------------------------------------------------- */

static void reset(struct user *user) {
    clear_passwords(user);
    clear_selectors(user);
    bool has_failed = selector_has_failed(&user->root);
    selector_release(&user->root);
    selector_init(&user->root, user->sees_all_channels_at_first);
    if (has_failed) user->has_failed = true;
    user->is_on = user->has_no_password = user->skips_sanitizing = false;
}

static const char *apply(struct user *user, const struct acl_rule *rule,
                         const struct command_table *commands) {
    switch (rule->kind) {
    case ACL_ON:
    case ACL_OFF:
        user->is_on = rule->kind == ACL_ON;
        return NULL;
    case ACL_NO_PASSWORD:
    case ACL_RESET_PASSWORDS:
        clear_passwords(user);
        user->has_no_password = rule->kind == ACL_NO_PASSWORD;
        return NULL;
    case ACL_ADD_PASSWORD:
        add_password(user, &rule->password);
        return NULL;
    case ACL_REMOVE_PASSWORD:
        return remove_password(user, &rule->password);
    case ACL_SANITIZE:
    case ACL_SKIP_SANITIZE:
        user->skips_sanitizing = rule->kind == ACL_SKIP_SANITIZE;
        return NULL;
    case ACL_SELECTOR:
        return add_selector(user, rule->text, commands);
    case ACL_CLEAR_SELECTORS:
        clear_selectors(user);
        return NULL;
    case ACL_RESET:
        reset(user);
        return NULL;
    default:
        return selector_apply(&user->root, rule, commands);
    }
}

static bool permits_all(const struct user *user) {
    bool permits = selector_permits_all(&user->root);
    for (uint32_t i = 0; i < user->selector_count; i++) {
        permits = permits || selector_permits_all(&user->selectors[i]);
    }
    return permits;
}

const char *user_apply(struct user *user, struct bytes text, const struct command_table *commands) {
    struct acl_rule rule;
    const char *error = acl_rule_read(&rule, text, commands);
    if (error == NULL) error = apply(user, &rule, commands);
    user->may_all = permits_all(user);
    if (selector_has_failed(&user->root)) user->has_failed = true;
    return error;
}

static bool refuse(struct user_error *error, const char *reason, struct bytes rule) {
    size_t size = rule.size < sizeof(error->rule) ? rule.size : sizeof(error->rule) - 1;
    error->reason = reason;
    error->rule_size = size;
    if (size != 0) memcpy(error->rule, rule.data, size);
    error->rule[size] = 0;
    return false;
}

static bool apply_one(struct user *user, struct bytes rule, const struct command_table *commands,
                      struct user_error *error) {
    const char *reason = user_apply(user, rule, commands);
    if (reason == NULL && user->has_failed) reason = acl_no_memory;
    return reason == NULL || refuse(error, reason, rule);
}

/* The selector that begins at rules[*index], of several words; `*index` becomes that of its last one. */
static bool apply_parted(struct user *user, const struct bytes *rules, size_t count, size_t *index,
                         const struct command_table *commands, struct user_error *error) {
    size_t last = *index;
    while (last < count && !ends_selector(rules[last])) {
        last++;
    }
    if (last == count) return refuse(error, acl_unmatched, rules[*index]);
    struct text joined = {0};
    for (size_t i = *index; i <= last; i++) {
        if (i != *index) text_add(&joined, BYTES(" "));
        text_add(&joined, rules[i]);
    }
    *index = last;
    bool is_applied = joined.has_failed ? refuse(error, acl_no_memory, rules[last])
                                        : apply_one(user, text_bytes(&joined), commands, error);
    text_release(&joined);
    return is_applied;
}

bool user_apply_all(struct user *user, const struct bytes *rules, size_t count,
                    const struct command_table *commands, struct user_error *error) {
    for (size_t i = 0; i < count; i++) {
        bool is_parted = rules[i].size != 0 && rules[i].data[0] == '(' && !ends_selector(rules[i]);
        bool is_applied = is_parted ? apply_parted(user, rules, count, &i, commands, error)
                                    : apply_one(user, rules[i], commands, error);
        if (!is_applied) return false;
    }
    return true;
}

bool user_equal(const struct user *a, const struct user *b) {
    if (a->is_on != b->is_on || a->has_no_password != b->has_no_password ||
        a->skips_sanitizing != b->skips_sanitizing || a->password_count != b->password_count ||
        a->selector_count != b->selector_count || !selector_equal(&a->root, &b->root))
        return false;
    for (uint32_t i = 0; i < a->password_count; i++) {
        if (!password_equal(&a->passwords[i], &b->passwords[i])) return false;
    }
    for (uint32_t i = 0; i < a->selector_count; i++) {
        if (!selector_equal(&a->selectors[i], &b->selectors[i])) return false;
    }
    return true;
}

/* ---- Asking, writing ------------------------------------------------------------------------- */

/* Of two denials the one that came further: a key rather than the command, a later key rather than an earlier
 * one. */
enum selector_answer user_ask(const struct user *user, const struct selector_question *question,
                              uint32_t *denied) {
    *denied = 0;
    enum selector_answer closest = selector_ask(&user->root, question, denied);
    for (uint32_t i = 0; i < user->selector_count && closest != SELECTOR_PERMITS; i++) {
        uint32_t index = 0;
        enum selector_answer answer = selector_ask(&user->selectors[i], question, &index);
        bool is_closer = answer == SELECTOR_PERMITS || answer > closest ||
                         (answer == closest && index > *denied);
        if (!is_closer) continue;
        closest = answer;
        *denied = index;
    }
    return closest;
}

void user_write(const struct user *user, struct text *text) {
    text_format(text, "%s %s%s ", user->is_on ? "on" : "off",
                user->has_no_password ? "nopass " : "",
                user->skips_sanitizing ? "skip-sanitize-payload" : "sanitize-payload");
    for (uint32_t i = 0; i < user->password_count; i++) {
        char digits[PASSWORD_TEXT_BYTES + 1];
        password_write(&user->passwords[i], digits);
        text_format(text, "#%s ", digits);
    }
    selector_write(&user->root, text);
    for (uint32_t i = 0; i < user->selector_count; i++) {
        text_format(text, " (");
        selector_write(&user->selectors[i], text);
        text_format(text, ")");
    }
}
