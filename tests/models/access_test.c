/* What users may do, against a twin that keeps the rules as text and goes through all of them for every question. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include "server/access/category.h"
#include "server/access/users.h"
#include "tests/models/model.h"

enum { ROUNDS = 2000, RULES_MAX = 14, QUESTIONS = 60, ARGS_MAX = 8, PARTS_MAX = 4 };

/* ---- What is drawn from ---------------------------------------------------------------------- */

static const char *const rules[] = {
    "+@all",        "-@all",        "+get",        "-get",        "+set",
    "-set",         "+mset",        "+del",        "+rename",     "+copy",
    "+config",      "-config",      "+config|get", "-config|set", "+client|id",
    "-client|kill", "+client",      "+select|0",   "+select|1",   "-select",
    "+select",      "+@read",       "-@read",      "+@write",     "-@write",
    "+@slow",       "-@slow",       "+@admin",     "-@dangerous", "+@keyspace",
    "+@connection", "-@connection", "~*",          "allkeys",     "resetkeys",
    "~a*",          "~*b",          "~key",        "%R~r*",       "%W~w*",
    "%RW~x*",       "%R~a*",        "%W~key",      "~",           "+exists",
    "-@fast",       "allcommands",  "nocommands",  "%R~*",        "%W~*",
    "%RW~*",
};

/* Commands, and what Redis's documentation says they do with their keys: R reads of them, W writes, - neither. */
static const struct {
    const char *line;
    const char *keys; /* "1R" is argument 1, of which something is read */
} questions[] = {
    {"get KEY", "1R"},
    {"set KEY v", "1W"},
    {"set KEY v get", "1B"},
    {"set KEY v ex 5", "1W"},
    {"mset KEY v KEY v", "1W3W"},
    {"mget KEY KEY KEY", "1R2R3R"},
    {"del KEY KEY", "1W2W"},
    {"exists KEY KEY", "1-2-"},
    {"rename KEY KEY", "1B2W"},
    {"copy KEY KEY", "1R2W"},
    {"append KEY v", "1W"},
    {"getdel KEY", "1B"},
    {"strlen KEY", "1-"},
    {"ttl KEY", "1R"},
    {"object|encoding encoding KEY", "2-"},
    {"config|get get dir", ""},
    {"config|set set hz 10", ""},
    {"client|id id", ""},
    {"client|kill kill id 5", ""},
    {"select 0", ""},
    {"select 1", ""},
    {"ping", ""},
    {"flushall", ""},
    {"dbsize", ""},
};

static const char *const keys[] = {"a", "ab", "b", "key", "r1", "w1", "x1", "xb", "", "other"};

/* ---- The twin -------------------------------------------------------------------------------- */

/* The rules of one selector, in order. */
struct part {
    const char *rules[RULES_MAX];
    uint32_t count;
};

struct question {
    const struct command *row, *container; /* the container, of a subcommand */
    struct bytes args[ARGS_MAX];
    uint32_t arg_count;
    const char *keys;
};

static bool is(const char *rule, const char *a, const char *b) {
    return strcmp(rule, a) == 0 || strcmp(rule, b) == 0;
}

static bool in_category(const struct question *question, const char *name) {
    int category = category_find(bytes_of_text(name));
    return category_has(category, question->row) ||
           (question->container != NULL && category_has(category, question->container));
}

static bool names(const struct question *question, const char *name) {
    return strcmp(name, question->row->name) == 0 ||
           (question->container != NULL && strcmp(name, question->container->name) == 0);
}

static bool twin_permits_command(const struct part *part, const struct question *question) {
    bool permits = false;
    for (uint32_t i = 0; i < part->count; i++) {
        const char *rule = part->rules[i], *name = rule + 1;
        bool is_plus = rule[0] == '+';
        if (is(rule, "+@all", "allcommands")) permits = true;
        if (is(rule, "-@all", "nocommands")) permits = false;
        if (!is_plus && rule[0] != '-') continue;
        if (name[0] == '@' ? strcmp(name, "@all") != 0 && in_category(question, name + 1)
                           : names(question, name))
            permits = is_plus;
    }
    if (permits || strcmp(question->row->name, "select") != 0) return permits;
    /* By first argument: unless a later rule was about SELECT, or everything. */
    bool by_argument = false;
    for (uint32_t i = 0; i < part->count; i++) {
        const char *rule = part->rules[i];
        if (strncmp(rule, "+select|", 8) == 0) {
            by_argument = by_argument || bytes_is(question->args[1], rule + 8);
        } else if (strstr(rule, "commands") != NULL || strcmp(rule + 1, "@all") == 0 ||
                   strcmp(rule + 1, "select") == 0 ||
                   (rule[1] == '@' && in_category(question, rule + 2))) {
            by_argument = false;
        }
    }
    return by_argument;
}

/* Patterns here are a star at one end at the most. */
static bool twin_matches(const char *pattern, struct bytes key) {
    size_t size = strlen(pattern);
    if (size != 0 && pattern[0] == '*')
        return key.size >= size - 1 &&
               memcmp(key.data + key.size - (size - 1), pattern + 1, size - 1) == 0;
    if (size != 0 && pattern[size - 1] == '*')
        return key.size >= size - 1 && memcmp(key.data, pattern, size - 1) == 0;
    return bytes_equal(bytes_of_text(pattern), key);
}

static const char *pattern_of(const char *rule) {
    return strchr(rule, '~') + 1;
}

/* The letters of all rules for the same pattern add up: %R~a* and %W~a* are ~a*. */
static uint32_t access_in(const char *rule) {
    if (rule[0] == '~') return ACL_READ_WRITE;
    uint32_t access = 0;
    for (const char *c = rule + 1; *c != '~'; c++) {
        access |= *c == 'R' ? ACL_READ : ACL_WRITE;
    }
    return access;
}

static bool twin_permits_key(const struct part *part, struct bytes key, char use) {
    uint32_t needed = use == 'R'   ? ACL_READ
                      : use == 'W' ? ACL_WRITE
                      : use == 'B' ? ACL_READ_WRITE
                                   : 0;
    bool permits_all = false;
    uint32_t first = 0;
    for (uint32_t i = 0; i < part->count; i++) {
        if (is(part->rules[i], "~*", "allkeys")) {
            permits_all = true;
            first = i + 1;
        }
        if (strcmp(part->rules[i], "resetkeys") == 0) {
            permits_all = false;
            first = i + 1;
        }
    }
    if (permits_all) return true;
    for (uint32_t i = first; i < part->count; i++) {
        if (strchr(part->rules[i], '~') == NULL || !twin_matches(pattern_of(part->rules[i]), key))
            continue;
        uint32_t access = 0;
        for (uint32_t j = first; j < part->count; j++) {
            bool is_same = strchr(part->rules[j], '~') != NULL &&
                           strcmp(pattern_of(part->rules[i]), pattern_of(part->rules[j])) == 0;
            if (is_same) access |= access_in(part->rules[j]);
        }
        if ((access & needed) == needed) return true;
    }
    return false;
}

static bool twin_permits(const struct part *part, const struct question *question) {
    if (!twin_permits_command(part, question)) return false;
    for (const char *use = question->keys; *use != 0; use += 2) {
        if (!twin_permits_key(part, question->args[use[0] - '0'], use[1])) return false;
    }
    return true;
}

/* ---- Rounds ---------------------------------------------------------------------------------- */

struct model {
    struct random random;
    struct command_table *commands;
    struct users users;
    struct part parts[PARTS_MAX]; /* the first is the root */
    uint32_t part_count;
};

static const char *draw_rule(struct model *model) {
    return rules[random_below(&model->random, sizeof rules / sizeof *rules)];
}

/* A rule that is refused, as patterns are after all keys, is left out of both. */
static void draw_root(struct model *model, struct user *user) {
    struct part *root = &model->parts[0];
    for (uint64_t i = random_below(&model->random, RULES_MAX); i-- > 0;) {
        const char *rule = draw_rule(model);
        if (user_apply(user, bytes_of_text(rule), model->commands) == NULL)
            root->rules[root->count++] = rule;
    }
}

static void draw_selector(struct model *model, struct user *user) {
    struct part part = {.count = 0};
    char text[512] = "(";
    for (uint64_t i = random_below(&model->random, RULES_MAX / 2); i-- > 0;) {
        part.rules[part.count++] = draw_rule(model);
        strcat(text, part.rules[part.count - 1]);
        strcat(text, " ");
    }
    strcat(text, ")");
    if (user_apply(user, bytes_of_text(text), model->commands) == NULL)
        model->parts[model->part_count++] = part;
}

static struct user *draw_user(struct model *model) {
    struct user *user = user_create(BYTES("drawn"), false);
    assert_non_null(user);
    memset(model->parts, 0, sizeof model->parts);
    model->part_count = 1;
    draw_root(model, user);
    for (uint64_t i = random_below(&model->random, PARTS_MAX); i-- > 0;) {
        draw_selector(model, user);
    }
    assert_false(user->has_failed);
    return user;
}

static void draw_question(struct model *model, struct question *question) {
    size_t index = random_below(&model->random, sizeof questions / sizeof *questions);
    const char *at = questions[index].line;
    *question = (struct question){.keys = questions[index].keys};
    while (*at != 0) {
        size_t size = strcspn(at, " ");
        struct bytes word = bytes_of(at, size);
        if (bytes_equal(word, BYTES("KEY")))
            word = bytes_of_text(keys[random_below(&model->random, sizeof keys / sizeof *keys)]);
        question->args[question->arg_count++] = word;
        at += size + (at[size] == ' ');
    }
}

static struct command_found find_row(struct model *model, struct question *question) {
    struct command_found found = command_table_find_full(model->commands, question->args[0]);
    assert_non_null(found.row);
    question->row = found.row;
    const char *bar = memchr(question->args[0].data, '|', question->args[0].size);
    if (bar != NULL) {
        struct bytes container =
            bytes_of(question->args[0].data, (size_t)(bar - question->args[0].data));
        question->container = command_table_find(model->commands, container).row;
    }
    return found;
}

static bool ask(struct model *model, const struct user *user, struct question *question) {
    struct command_found found = find_row(model, question);
    struct selector_question asked = {
        .row = found.row, .id = found.id, .args = question->args, .arg_count = question->arg_count};
    uint32_t denied;
    return users_ask(&model->users, user, asked, &denied) == SELECTOR_PERMITS;
}

static bool twin_ask(const struct model *model, const struct question *question) {
    for (uint32_t i = 0; i < model->part_count; i++) {
        if (twin_permits(&model->parts[i], question)) return true;
    }
    return false;
}

/* As a file would have it. */
static struct user *read_back(struct model *model, const struct user *user) {
    struct text text = {0};
    user_write(user, &text);
    assert_false(text.has_failed);
    struct bytes words[256];
    size_t count = 0;
    for (size_t at = 0; at < text.size;) {
        const char *space = memchr(text.data + at, ' ', text.size - at);
        size_t size = space != NULL ? (size_t)(space - text.data) - at : text.size - at;
        words[count++] = bytes_of(text.data + at, size);
        at += size + 1;
    }
    struct user *again = user_create(BYTES("again"), false);
    struct user_error error;
    if (!user_apply_all(again, words, count, model->commands, &error))
        fail_msg("%.*s: %s: %s", (int)text.size, text.data, error.rule, error.reason);
    text_release(&text);
    return again;
}

static void check_round(struct model *model) {
    struct user *user = draw_user(model), *again = read_back(model, user);
    assert_true(user_equal(user, again));
    for (int i = 0; i < QUESTIONS; i++) {
        struct question question;
        draw_question(model, &question);
        bool permits = ask(model, user, &question);
        bool twin = twin_ask(model, &question);
        if (permits != twin || ask(model, again, &question) != twin) {
            struct text text = {0};
            user_write(user, &text);
            fail_msg("%s with %s: the twin says %d, %.*s", question.row->name, question.keys, twin,
                     (int)text.size, text.data);
        }
        if (user->may_all) assert_true(twin);
    }
    user_release(user);
    user_release(again);
}

static void users_may_what_their_rules_say(void **state) {
    struct model *model = *state;
    for (int round = 0; round < ROUNDS; round++) {
        check_round(model);
    }
}

static int setup(void **state) {
    static struct model model;
    model_seed(&model.random, "access");
    model.commands = command_table_create();
    assert_non_null(model.commands);
    *state = &model;
    return users_init(&model.users, model.commands) != STATUS_OK;
}

static int teardown(void **state) {
    struct model *model = *state;
    users_release(&model->users);
    command_table_destroy(model->commands);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(users_may_what_their_rules_say, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
