#include "server/access/acl_rule.h"

#include <string.h>

#include "server/access/category.h"

const char acl_unknown_command[] = "Unknown command or category name in ACL";
const char acl_syntax[] = "Syntax error";
const char acl_covered_key[] = "Adding a pattern after the * pattern (or the 'allkeys' flag) is "
                               "not valid and does not have any "
                               "effect. Try 'resetkeys' to start with an empty list of patterns";
const char acl_covered_channel[] =
    "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not "
    "have "
    "any effect. Try 'resetchannels' to start with an empty list of channels";
const char acl_unknown_password[] =
    "The password you are trying to remove from the user does not exist";
const char acl_bad_hash[] = "The password hash must be exactly 64 characters and contain only "
                            "lowercase hexadecimal characters";
const char acl_nested_argument[] = "Allowing first-arg of a subcommand is not supported";
const char acl_unmatched[] = "Unmatched parenthesis in acl selector";
const char acl_no_memory[] = "out of memory";

bool acl_has_space(struct bytes text) {
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == ' ' || (c >= '\t' && c <= '\r') || c == 0) return true;
    }
    return false;
}

struct bytes acl_take_word(struct bytes *text) {
    size_t start = 0, end;
    while (start < text->size && acl_has_space(bytes_of(text->data + start, 1))) {
        start++;
    }
    for (end = start; end < text->size && !acl_has_space(bytes_of(text->data + end, 1));) {
        end++;
    }
    struct bytes word = bytes_of(text->data + start, end - start);
    *text = bytes_of(text->data + end, text->size - end);
    return word;
}

size_t acl_split(struct bytes text, struct bytes *words) {
    size_t count = 0;
    struct bytes word;
    while ((word = acl_take_word(&text)).size != 0) {
        words[count++] = word;
    }
    return count;
}

struct bytes acl_rule_shown(struct bytes text) {
    bool has_password = text.size != 0 && strchr("><#!", text.data[0]) != NULL;
    return has_password ? bytes_of(text.data, 1) : text;
}

/* ---- Words ----------------------------------------------------------------------------------- */

static const struct {
    const char *word;
    enum acl_rule_kind kind;
} words[] = {
    {"on", ACL_ON},
    {"off", ACL_OFF},
    {"nopass", ACL_NO_PASSWORD},
    {"resetpass", ACL_RESET_PASSWORDS},
    {"sanitize-payload", ACL_SANITIZE},
    {"skip-sanitize-payload", ACL_SKIP_SANITIZE},
    {"clearselectors", ACL_CLEAR_SELECTORS},
    {"reset", ACL_RESET},
    {"allcommands", ACL_ALL_COMMANDS},
    {"+@all", ACL_ALL_COMMANDS},
    {"nocommands", ACL_NO_COMMANDS},
    {"-@all", ACL_NO_COMMANDS},
    {"allkeys", ACL_ALL_KEYS},
    {"resetkeys", ACL_RESET_KEYS},
    {"allchannels", ACL_ALL_CHANNELS},
    {"&*", ACL_ALL_CHANNELS},
    {"resetchannels", ACL_RESET_CHANNELS},
};

static bool read_word(struct acl_rule *rule, struct bytes text) {
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (!bytes_is(text, words[i].word)) continue;
        rule->kind = words[i].kind;
        return true;
    }
    return false;
}

/* ---- What a character begins ----------------------------------------------------------------- */

static const char *read_password(struct acl_rule *rule, enum acl_rule_kind kind) {
    rule->kind = kind;
    return password_hash(&rule->password, rule->text) == STATUS_OK ? NULL : acl_no_memory;
}

static const char *read_hash(struct acl_rule *rule, enum acl_rule_kind kind) {
    rule->kind = kind;
    return password_read(&rule->password, rule->text) ? NULL : acl_bad_hash;
}

static const char *read_pattern(struct acl_rule *rule, enum acl_rule_kind kind, uint32_t number) {
    rule->kind = kind;
    rule->number = number;
    return acl_has_space(rule->text) ? acl_syntax : NULL;
}

/* "R~pattern", "wr~pattern": each letter once. */
static const char *read_accessed_pattern(struct acl_rule *rule) {
    uint32_t access = 0;
    struct bytes text = rule->text;
    for (size_t i = 0; i < text.size; i++) {
        char c = byte_lower(text.data[i]);
        uint32_t more = c == 'r' ? ACL_READ : c == 'w' ? ACL_WRITE : 0;
        if (c == '~' && access != 0) {
            rule->text = bytes_of(text.data + i + 1, text.size - i - 1);
            return read_pattern(rule, ACL_KEYS, access);
        }
        if (more == 0 || (access & more)) break;
        access |= more;
    }
    return acl_syntax;
}

static const char *read_category(struct acl_rule *rule) {
    int category = category_find(bytes_of(rule->text.data + 1, rule->text.size - 1));
    if (category < 0) return acl_unknown_command;
    rule->kind = ACL_CATEGORY;
    rule->number = (uint32_t)category;
    return NULL;
}

/* The last '|' parts the two, as in Redis: so a first argument has none. */
static const char *last_bar(struct bytes text) {
    for (size_t i = text.size; i-- > 0;) {
        if (text.data[i] == '|') return text.data + i;
    }
    return NULL;
}

/* A command followed by '|' and what is no subcommand of it. */
static const char *read_first_argument(struct acl_rule *rule, const char *bar,
                                       const struct command_table *commands) {
    size_t size = (size_t)(bar - rule->text.data);
    struct command_found found = command_table_find_full(commands, bytes_of(rule->text.data, size));
    if (found.row == NULL) return acl_unknown_command;
    if (found.id >= command_table_count(commands)) return acl_nested_argument;
    if (rule->text.size == size + 1) return acl_syntax;
    if (found.row->subcommand_count != 0) return acl_unknown_command;
    if (acl_has_space(rule->text)) return acl_syntax;
    rule->kind = ACL_FIRST_ARGUMENT;
    rule->number = found.id;
    return NULL;
}

static const char *read_command(struct acl_rule *rule, bool allows,
                                const struct command_table *commands) {
    rule->allows = allows;
    if (rule->text.size != 0 && rule->text.data[0] == '@') return read_category(rule);
    struct command_found found = command_table_find_full(commands, rule->text);
    if (found.row != NULL) {
        rule->kind = ACL_COMMAND;
        rule->number = found.id;
        return NULL;
    }
    const char *bar = last_bar(rule->text);
    if (bar == NULL || !allows) return acl_unknown_command;
    return read_first_argument(rule, bar, commands);
}

static const char *read_selector(struct acl_rule *rule) {
    if (rule->text.size == 0 || rule->text.data[rule->text.size - 1] != ')') return acl_syntax;
    rule->kind = ACL_SELECTOR;
    rule->text.size--;
    return NULL;
}

const char *acl_rule_read(struct acl_rule *rule, struct bytes text,
                          const struct command_table *commands) {
    *rule = (struct acl_rule){.kind = ACL_ON};
    if (text.size == 0) return acl_syntax;
    if (read_word(rule, text)) return NULL;
    rule->text = bytes_of(text.data + 1, text.size - 1);
    switch (text.data[0]) {
    case '>':
        return read_password(rule, ACL_ADD_PASSWORD);
    case '<':
        return read_password(rule, ACL_REMOVE_PASSWORD);
    case '#':
        return read_hash(rule, ACL_ADD_PASSWORD);
    case '!':
        return read_hash(rule, ACL_REMOVE_PASSWORD);
    case '~':
        return read_pattern(rule, ACL_KEYS, ACL_READ_WRITE);
    case '%':
        return read_accessed_pattern(rule);
    case '&':
        return read_pattern(rule, ACL_CHANNELS, 0);
    case '+':
        return read_command(rule, true, commands);
    case '-':
        return read_command(rule, false, commands);
    case '(':
        return read_selector(rule);
    default:
        return acl_syntax;
    }
}
