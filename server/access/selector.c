#include "server/access/selector.h"

#include <string.h>

#include "server/access/category.h"
#include "server/command_facts.h"
#include "shards/base/match.h"

void selector_init(struct selector *selector, bool all_channels) {
    *selector = (struct selector){.all_channels = all_channels};
}

void selector_release(struct selector *selector) {
    strings_release(&selector->rules);
    strings_release(&selector->first_arguments);
    strings_release(&selector->keys);
    strings_release(&selector->channels);
}

void selector_copy(struct selector *to, const struct selector *from) {
    *to = *from;
    to->rules = to->first_arguments = to->keys = to->channels = (struct strings){0};
    strings_copy(&to->rules, &from->rules);
    strings_copy(&to->first_arguments, &from->first_arguments);
    strings_copy(&to->keys, &from->keys);
    strings_copy(&to->channels, &from->channels);
}

bool selector_has_failed(const struct selector *selector) {
    return selector->rules.has_failed || selector->first_arguments.has_failed ||
           selector->keys.has_failed || selector->channels.has_failed;
}

bool selector_equal(const struct selector *a, const struct selector *b) {
    return a->begins_with_all == b->begins_with_all && a->all_keys == b->all_keys &&
           a->all_channels == b->all_channels && strings_equal(&a->rules, &b->rules) &&
           strings_equal(&a->keys, &b->keys) && strings_equal(&a->channels, &b->channels);
}

/* ---- Commands -------------------------------------------------------------------------------- */

static bool has_command(const struct selector *selector, uint32_t id) {
    return (selector->commands[id / 64] >> id % 64 & 1) != 0;
}

static void set_bit(struct selector *selector, uint32_t id, bool allows) {
    uint64_t bit = UINT64_C(1) << id % 64;
    if (allows) {
        selector->commands[id / 64] |= bit;
    } else {
        selector->commands[id / 64] &= ~bit;
    }
}

/* A command, its subcommands with it. What was permitted of it by first argument is settled now. */
static void set_command(struct selector *selector, uint32_t id, bool allows,
                        const struct command_table *commands) {
    set_bit(selector, id, allows);
    for (uint32_t i = selector->first_arguments.count; i-- > 0;) {
        if (selector->first_arguments.items[i].number == id)
            strings_remove(&selector->first_arguments, i);
    }
    if (id >= command_table_count(commands)) return;
    uint32_t first = command_table_first_sub(commands, id);
    for (size_t i = 0; i < command_table_row(commands, id)->subcommand_count; i++) {
        set_bit(selector, first + (uint32_t)i, allows);
    }
}

/* Ids below the first subcommand's are of whole commands: a container comes before its parts, as in Redis, so
 * that a part's own category has the last word. */
static void set_category(struct selector *selector, int category, bool allows,
                         const struct command_table *commands) {
    for (uint32_t id = 0; id < command_table_count_all(commands); id++) {
        if (category_has(category, command_table_row(commands, id)))
            set_command(selector, id, allows, commands);
    }
}

static void set_all(struct selector *selector, bool allows) {
    memset(selector->commands, allows ? 0xff : 0, sizeof(selector->commands));
    selector->begins_with_all = allows;
    bool has_failed = selector->rules.has_failed;
    strings_release(&selector->rules);
    strings_release(&selector->first_arguments);
    selector->rules.has_failed = has_failed;
}

/* Is a rule's name this one, or of a part of it: "config|set" of "config"? */
static bool is_part(struct bytes name, struct bytes whole) {
    if (name.size < whole.size || !bytes_equal(bytes_of(name.data, whole.size), whole))
        return false;
    return name.size == whole.size || name.data[whole.size] == '|';
}

static void note_rule(struct selector *selector, const struct acl_rule *rule) {
    struct text text = {0};
    text_format(&text, "%c", rule->allows ? '+' : '-');
    for (size_t i = 0; i < rule->text.size; i++) {
        text_format(&text, "%c", byte_lower(rule->text.data[i]));
    }
    if (text.has_failed) {
        selector->rules.has_failed = true;
        text_release(&text);
        return;
    }
    struct bytes name = bytes_of(text.data + 1, text.size - 1);
    for (uint32_t i = selector->rules.count; i-- > 0;) {
        struct bytes earlier = selector->rules.items[i].text;
        if (is_part(bytes_of(earlier.data + 1, earlier.size - 1), name))
            strings_remove(&selector->rules, i);
    }
    strings_add(&selector->rules, text_bytes(&text), 0);
    text_release(&text);
}

static void allow_first_argument(struct selector *selector, const struct acl_rule *rule) {
    const char *bar = memchr(rule->text.data, '|', rule->text.size);
    struct bytes argument =
        bytes_of(bar + 1, rule->text.size - (size_t)(bar + 1 - rule->text.data));
    strings_add(&selector->first_arguments, argument, rule->number);
}

/* ---- Patterns -------------------------------------------------------------------------------- */

static void reset_patterns(struct strings *patterns, bool *all, bool now_all) {
    bool has_failed = patterns->has_failed;
    strings_release(patterns);
    patterns->has_failed = has_failed;
    *all = now_all;
}

/* "%R~*" and "%W~*" together are "~*": what is written has to read back the same, and nothing may follow "~*". */
static const char *add_keys(struct selector *selector, const struct acl_rule *rule) {
    struct string *known = strings_find(&selector->keys, rule->text);
    uint32_t access = rule->number | (known != NULL ? known->number : 0);
    if (access == ACL_READ_WRITE && bytes_is(rule->text, "*")) {
        reset_patterns(&selector->keys, &selector->all_keys, true);
    } else if (selector->all_keys) {
        return acl_covered_key;
    } else if (known != NULL) {
        known->number = access;
    } else {
        strings_add(&selector->keys, rule->text, access);
    }
    return NULL;
}

static const char *add_channels(struct selector *selector, const struct acl_rule *rule) {
    if (selector->all_channels) return acl_covered_channel;
    if (strings_find(&selector->channels, rule->text) == NULL)
        strings_add(&selector->channels, rule->text, 0);
    return NULL;
}

const char *selector_apply(struct selector *selector, const struct acl_rule *rule,
                           const struct command_table *commands) {
    switch (rule->kind) {
    case ACL_ALL_COMMANDS:
    case ACL_NO_COMMANDS:
        set_all(selector, rule->kind == ACL_ALL_COMMANDS);
        return NULL;
    case ACL_COMMAND:
        set_command(selector, rule->number, rule->allows, commands);
        note_rule(selector, rule);
        return NULL;
    case ACL_CATEGORY:
        set_category(selector, (int)rule->number, rule->allows, commands);
        note_rule(selector, rule);
        return NULL;
    case ACL_FIRST_ARGUMENT:
        allow_first_argument(selector, rule);
        note_rule(selector, rule);
        return NULL;
    case ACL_ALL_KEYS:
    case ACL_RESET_KEYS:
        reset_patterns(&selector->keys, &selector->all_keys, rule->kind == ACL_ALL_KEYS);
        return NULL;
    case ACL_KEYS:
        return add_keys(selector, rule);
    case ACL_ALL_CHANNELS:
    case ACL_RESET_CHANNELS:
        reset_patterns(&selector->channels, &selector->all_channels,
                       rule->kind == ACL_ALL_CHANNELS);
        return NULL;
    case ACL_CHANNELS:
        return add_channels(selector, rule);
    default:
        return acl_syntax; /* a rule of a user, within a selector */
    }
}

/* ---- Asking ---------------------------------------------------------------------------------- */

bool selector_permits_all(const struct selector *selector) {
    for (size_t i = 0; i < SELECTOR_WORDS; i++) {
        if (selector->commands[i] != UINT64_MAX) return false;
    }
    return selector->all_keys;
}

static bool permits_command(const struct selector *selector,
                            const struct selector_question *question) {
    if (has_command(selector, question->id)) return true;
    for (uint32_t i = 0; i < selector->first_arguments.count && question->arg_count > 1; i++) {
        const struct string *allowed = &selector->first_arguments.items[i];
        if (allowed->number == question->id && bytes_equal_folded(allowed->text, question->args[1]))
            return true;
    }
    return false;
}

static bool permits_key(const struct selector *selector, struct bytes key, uint32_t access) {
    for (uint32_t i = 0; i < selector->keys.count; i++) {
        const struct string *pattern = &selector->keys.items[i];
        if ((pattern->number & access) == access && match_glob(pattern->text, key)) return true;
    }
    return false;
}

enum selector_answer selector_ask(const struct selector *selector,
                                  const struct selector_question *question, uint32_t *denied) {
    if (!permits_command(selector, question)) return SELECTOR_DENIES_COMMAND;
    uint32_t last = command_last_key(question->row, question->arg_count);
    if (selector->all_keys || last == 0) return SELECTOR_PERMITS;
    uint32_t first = (uint32_t)question->row->keys.first;
    for (uint32_t i = first; i <= last; i += (uint32_t)question->row->keys.step) {
        uint32_t access = i == first ? question->first_access : question->other_access;
        if (permits_key(selector, question->args[i], access)) continue;
        *denied = i;
        return SELECTOR_DENIES_KEY;
    }
    return SELECTOR_PERMITS;
}

/* ---- Writing --------------------------------------------------------------------------------- */

/* A word behind others. */
static void add_word(struct text *text, const char *prefix, struct bytes word, bool is_first) {
    text_format(text, "%s%s", is_first ? "" : " ", prefix);
    text_add(text, word);
}

void selector_write_commands(const struct selector *selector, struct text *text) {
    text_format(text, "%s", selector->begins_with_all ? "+@all" : "-@all");
    for (uint32_t i = 0; i < selector->rules.count; i++) {
        add_word(text, "", selector->rules.items[i].text, false);
    }
}

void selector_write_keys(const struct selector *selector, struct text *text) {
    static const char *const prefixes[] = {
        [ACL_READ] = "%R~", [ACL_WRITE] = "%W~", [ACL_READ_WRITE] = "~"};
    if (selector->all_keys) text_add(text, BYTES("~*"));
    for (uint32_t i = 0; i < selector->keys.count; i++) {
        const struct string *pattern = &selector->keys.items[i];
        add_word(text, prefixes[pattern->number], pattern->text, i == 0);
    }
}

void selector_write_channels(const struct selector *selector, struct text *text) {
    if (selector->all_channels) text_add(text, BYTES("&*"));
    for (uint32_t i = 0; i < selector->channels.count; i++) {
        add_word(text, "&", selector->channels.items[i].text, i == 0);
    }
}

void selector_write(const struct selector *selector, struct text *text) {
    size_t before = text->size;
    selector_write_keys(selector, text);
    if (text->size != before) text_add(text, BYTES(" "));
    if (!selector->all_channels) text_add(text, BYTES("resetchannels "));
    before = text->size;
    selector_write_channels(selector, text);
    if (text->size != before) text_add(text, BYTES(" "));
    selector_write_commands(selector, text);
}
