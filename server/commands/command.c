/* COMMAND: the rows, told to clients. */
#include <string.h>

#include "server/call.h"
#include "server/command_facts.h"
#include "server/command_history.h"
#include "server/server.h"
#include "server/syntax.h"
#include "shards/base/match.h"

static void reply_words_as_set(struct reply *reply, const struct facts *facts) {
    reply_set(reply, facts->count);
    for (uint32_t i = 0; i < facts->count; i++) {
        reply_simple(reply, facts->words[i]);
    }
}

/* ---- INFO ------------------------------------------------------------------------------------ */

/* The keys from argument `first` on: `last` counts from there, or from the end. */
static void reply_key_spec(struct reply *reply, const struct command *row, int first, int last) {
    struct facts use = command_key_use(row, (uint32_t)first);
    reply_map(reply, 3);
    reply_bulk_text(reply, "flags");
    reply_words_as_set(reply, &use);
    reply_bulk_text(reply, "begin_search");
    reply_map(reply, 2);
    reply_bulk_text(reply, "type");
    reply_bulk_text(reply, "index");
    reply_bulk_text(reply, "spec");
    reply_map(reply, 1);
    reply_bulk_text(reply, "index");
    reply_integer(reply, first);
    reply_bulk_text(reply, "find_keys");
    reply_map(reply, 2);
    reply_bulk_text(reply, "type");
    reply_bulk_text(reply, "range");
    reply_bulk_text(reply, "spec");
    reply_map(reply, 3);
    reply_bulk_text(reply, "lastkey");
    reply_integer(reply, last);
    reply_bulk_text(reply, "keystep");
    reply_integer(reply, row->keys.step);
    reply_bulk_text(reply, "limit");
    reply_integer(reply, 0);
}

static void reply_key_specs(struct reply *reply, const struct command *row) {
    struct command_keys keys = row->keys;
    if (keys.first == 0) {
        reply_set(reply, 0);
    } else if (command_keys_differ(row)) {
        reply_set(reply, 2);
        reply_key_spec(reply, row, keys.first, 0);
        reply_key_spec(reply, row, keys.last, 0);
    } else {
        reply_set(reply, 1);
        reply_key_spec(reply, row, keys.first, keys.last < 0 ? keys.last : keys.last - keys.first);
    }
}

static void reply_info(struct reply *reply, const struct command *row) {
    if (row == NULL) {
        reply_null(reply);
        return;
    }
    struct facts flags = command_flag_words(row), categories = command_categories(row);
    reply_array(reply, 10);
    reply_bulk_text(reply, row->name);
    reply_integer(reply, row->arity);
    reply_words_as_set(reply, &flags);
    reply_integer(reply, row->keys.first);
    reply_integer(reply, row->keys.last);
    reply_integer(reply, row->keys.step);
    reply_words_as_set(reply, &categories);
    reply_set(reply, 0); /* tips, which are for clients of a cluster */
    reply_key_specs(reply, row);
    reply_set(reply, row->subcommand_count);
    for (size_t i = 0; i < row->subcommand_count; i++) {
        reply_info(reply, &row->subcommands[i]);
    }
}

static void info_of_all(struct call *call) {
    const struct command_table *commands = call->server->commands;
    uint32_t count = command_table_count(commands);
    reply_array(call->reply, count);
    for (uint32_t id = 0; id < count; id++) {
        reply_info(call->reply, command_table_row(commands, id));
    }
}

static void command_info(struct call *call) {
    if (call->arg_count == 2) {
        info_of_all(call);
        return;
    }
    reply_array(call->reply, call->arg_count - 2);
    for (uint32_t i = 2; i < call->arg_count; i++) {
        reply_info(call->reply, command_table_find_full(call->server->commands, call->args[i]).row);
    }
}

/* Without a subcommand: INFO of all. It has a body, so an unknown subcommand comes here too. */
static void command(struct call *call) {
    if (call->arg_count == 1) {
        info_of_all(call);
    } else {
        call_unknown_subcommand(call);
    }
}

/* ---- DOCS ------------------------------------------------------------------------------------ */

/* What the arguments of a row are told from. */
struct docs {
    struct reply *reply;
    struct syntax syntax;
    struct command_history history;
    bool has_keys;
    uint32_t key_spec, key_spec_last; /* of the next key in the text; of the last */
};

static uint32_t count_behind(const struct syntax *syntax, uint8_t node) {
    uint32_t count = 0;
    for (; node != SYNTAX_NONE; node = syntax->nodes[node].next) {
        count++;
    }
    return count;
}

static void reply_arguments(struct docs *docs, uint8_t first, const char *since);

static void reply_text(struct reply *reply, const char *name, const char *text) {
    reply_bulk_text(reply, name);
    reply_bulk_text(reply, text);
}

static void reply_key_spec_index(struct docs *docs) {
    reply_bulk_text(docs->reply, "key_spec_index");
    reply_integer(docs->reply, docs->key_spec);
    if (docs->key_spec < docs->key_spec_last) docs->key_spec++;
}

static void reply_argument_flags(struct reply *reply, const struct syntax_node *node) {
    reply_bulk_text(reply, "flags");
    reply_set(reply, (uint64_t)node->is_optional + node->is_multiple);
    if (node->is_optional) reply_simple(reply, "optional");
    if (node->is_multiple) reply_simple(reply, "multiple");
}

/* `group_since`: what it is a part of is there since then, NULL for always. */
static void reply_argument(struct docs *docs, const struct syntax_node *node,
                           const char *group_since) {
    struct reply *reply = docs->reply;
    bool has_inside = node->first != SYNTAX_NONE, has_token = node->token.size != 0;
    bool has_flags = node->is_optional || node->is_multiple;
    bool is_key = node->kind == SYNTAX_KEY && docs->has_keys;
    enum syntax_kind kind = node->kind == SYNTAX_KEY && !is_key ? SYNTAX_STRING : node->kind;
    char text[SYNTAX_NAME_MAX];
    struct bytes name = syntax_name(&docs->syntax, node, text);
    struct bytes word = has_token ? node->token : name;
    const char *since = command_history_since(docs->history, word),
               *deprecated = command_history_deprecated(docs->history, word);
    bool is_newer = since != NULL && (group_since == NULL || strcmp(since, group_since) != 0);
    reply_map(reply, 3 + is_key + has_token + is_newer + (deprecated != NULL) + has_flags);
    reply_bulk_text(reply, "name");
    reply_bulk(reply, name);
    reply_bulk_text(reply, "type");
    reply_bulk_text(reply, syntax_kind_name(kind));
    if (!has_inside) {
        reply_bulk_text(reply, "display_text");
        reply_bulk(reply, name);
    }
    if (is_key) reply_key_spec_index(docs);
    if (has_token) {
        reply_bulk_text(reply, "token");
        reply_bulk(reply, node->token);
    }
    if (is_newer) reply_text(reply, "since", since);
    if (deprecated != NULL) reply_text(reply, "deprecated_since", deprecated);
    if (has_flags) reply_argument_flags(reply, node);
    if (has_inside) {
        reply_bulk_text(reply, "arguments");
        reply_arguments(docs, node->first, since);
    }
}

static void reply_arguments(struct docs *docs, uint8_t first, const char *since) {
    reply_array(docs->reply, count_behind(&docs->syntax, first));
    for (uint8_t node = first; node != SYNTAX_NONE; node = docs->syntax.nodes[node].next) {
        reply_argument(docs, &docs->syntax.nodes[node], since);
    }
}

static uint32_t count_of_mark(const struct command_mark *mark) {
    if (mark == NULL) return 0;
    return 1 + (mark->since != NULL) + (mark->replaced_by != NULL);
}

static void reply_mark(struct reply *reply, const struct command_mark *mark) {
    if (mark == NULL) return;
    reply_bulk_text(reply, "doc_flags");
    reply_set(reply, 1);
    reply_simple(reply, mark->word);
    if (mark->since != NULL) reply_text(reply, "deprecated_since", mark->since);
    if (mark->replaced_by != NULL) reply_text(reply, "replaced_by", mark->replaced_by);
}

static void reply_history(struct reply *reply, struct command_history history) {
    if (history.count == 0) return;
    reply_bulk_text(reply, "history");
    reply_set(reply, history.count);
    for (size_t i = 0; i < history.count; i++) {
        reply_array(reply, 2);
        reply_bulk_text(reply, history.changes[i].version);
        reply_bulk_text(reply, history.changes[i].text);
    }
}

static void reply_docs(struct reply *reply, const struct command *row) {
    static const char *const groups[] = {
        [GROUP_STRING] = "string",
        [GROUP_GENERIC] = "generic",
        [GROUP_CONNECTION] = "connection",
        [GROUP_SERVER] = "server",
    };
    const struct command_mark *mark = command_mark_of(row);
    struct docs docs = {.reply = reply,
                        .history = command_history_of(row),
                        .has_keys = row->keys.first != 0,
                        .key_spec_last = command_keys_differ(row)};
    bool has_arguments =
        syntax_parse(&docs.syntax, row->syntax) && docs.syntax.nodes[0].first != SYNTAX_NONE;
    reply_bulk_text(reply, row->name);
    reply_map(reply, 4 + count_of_mark(mark) + (docs.history.count != 0) + has_arguments +
                         (row->subcommand_count != 0));
    reply_text(reply, "summary", row->summary);
    reply_text(reply, "since", row->since);
    reply_text(reply, "group", groups[row->group]);
    reply_text(reply, "complexity", row->complexity);
    reply_mark(reply, mark);
    reply_history(reply, docs.history);
    if (has_arguments) {
        reply_bulk_text(reply, "arguments");
        reply_arguments(&docs, docs.syntax.nodes[0].first, NULL);
    }
    if (row->subcommand_count == 0) return;
    reply_bulk_text(reply, "subcommands");
    reply_map(reply, row->subcommand_count);
    for (size_t i = 0; i < row->subcommand_count; i++) {
        reply_docs(reply, &row->subcommands[i]);
    }
}

static void command_docs(struct call *call) {
    const struct command_table *commands = call->server->commands;
    if (call->arg_count == 2) {
        reply_map(call->reply, command_table_count(commands));
        for (uint32_t id = 0; id < command_table_count(commands); id++) {
            reply_docs(call->reply, command_table_row(commands, id));
        }
        return;
    }
    uint64_t count = 0;
    for (uint32_t i = 2; i < call->arg_count; i++) {
        count += command_table_find_full(commands, call->args[i]).row != NULL;
    }
    reply_map(call->reply, count);
    for (uint32_t i = 2; i < call->arg_count; i++) {
        const struct command *row = command_table_find_full(commands, call->args[i]).row;
        if (row != NULL) reply_docs(call->reply, row);
    }
}

/* ---- COUNT, LIST ----------------------------------------------------------------------------- */

static void command_count(struct call *call) {
    reply_integer(call->reply, command_table_count(call->server->commands));
}

static bool passes_all(const struct command *row, struct bytes value) {
    (void)row, (void)value;
    return true;
}
static bool passes_module(const struct command *row, struct bytes value) {
    (void)row, (void)value; /* there are no modules */
    return false;
}
static bool passes_category(const struct command *row, struct bytes value) {
    struct facts categories = command_categories(row);
    for (uint32_t i = 0; i < categories.count; i++) {
        if (bytes_is(value, categories.words[i] + 1)) return true;
    }
    return false;
}
static bool passes_pattern(const struct command *row, struct bytes value) {
    return match_glob_folded(value, bytes_of_text(row->name));
}

typedef bool (*filter)(const struct command *row, struct bytes value);

static filter read_filter(const struct call *call) {
    static const struct {
        const char *word;
        filter passes;
    } filters[] = {
        {"MODULE", passes_module}, {"ACLCAT", passes_category}, {"PATTERN", passes_pattern}};
    if (call->arg_count == 2) return passes_all;
    if (call->arg_count != 5 || !call_is(call, 2, "FILTERBY")) return NULL;
    for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
        if (call_is(call, 3, filters[i].word)) return filters[i].passes;
    }
    return NULL;
}

static void command_list(struct call *call) {
    const struct command_table *commands = call->server->commands;
    filter passes = read_filter(call);
    if (passes == NULL) {
        call_syntax_error(call);
        return;
    }
    struct bytes value = call->arg_count == 5 ? call->args[4] : BYTES("");
    uint64_t count = 0;
    for (uint32_t id = 0; id < command_table_count_all(commands); id++) {
        count += passes(command_table_row(commands, id), value);
    }
    reply_array(call->reply, count);
    for (uint32_t id = 0; id < command_table_count_all(commands); id++) {
        const struct command *row = command_table_row(commands, id);
        if (passes(row, value)) reply_bulk_text(call->reply, row->name);
    }
}

/* ---- GETKEYS --------------------------------------------------------------------------------- */

/* The command that the arguments from the third on are: `args` and `count` become its own. An error is replied when
 * it has no keys. */
static const struct command *read_command(struct call *call, const struct bytes **args,
                                          uint32_t *count) {
    *args = &call->args[2];
    *count = call->arg_count - 2;
    struct command_found found = command_table_find(call->server->commands, (*args)[0]);
    const struct command *row = found.row;
    if (row != NULL && row->subcommand_count != 0 && *count > 1) {
        row = command_table_find_sub(call->server->commands, found, (*args)[1]).row;
    }
    if (row == NULL) {
        reply_error(call->reply, "ERR Invalid command specified");
        return NULL;
    }
    if (row->keys.first == 0) {
        reply_error(call->reply, "ERR The command has no key arguments");
        return NULL;
    }
    bool fits = row->arity >= 0 ? *count == (uint32_t)row->arity : *count >= (uint32_t)-row->arity;
    if (fits) return row;
    reply_error(call->reply, "ERR Invalid number of arguments specified for command");
    return NULL;
}

static void reply_keys(struct call *call, bool with_flags) {
    const struct bytes *args;
    uint32_t count;
    const struct command *row = read_command(call, &args, &count);
    if (row == NULL) return;
    uint32_t first = (uint32_t)row->keys.first, step = (uint32_t)row->keys.step,
             last = command_last_key(row, count);
    reply_array(call->reply, (last - first) / step + 1);
    for (uint32_t i = first; i <= last; i += step) {
        if (with_flags) reply_array(call->reply, 2);
        reply_bulk(call->reply, args[i]);
        if (!with_flags) continue;
        struct facts use = command_key_use_in(row, i, args, count);
        reply_words_as_set(call->reply, &use);
    }
}

static void command_get_keys(struct call *call) {
    reply_keys(call, false);
}
static void command_get_keys_and_flags(struct call *call) {
    reply_keys(call, true);
}

static void command_help(struct call *call) {
    static const char *const lines[] = {
        "(no subcommand)",
        "    Return details about all Redis commands.",
        "COUNT",
        "    Return the total number of commands in this Redis server.",
        "LIST",
        "    Return a list of all commands in this Redis server.",
        "INFO [<command-name> ...]",
        "    Return details about multiple Redis commands.",
        "    If no command names are given, documentation details for all",
        "    commands are returned.",
        "DOCS [<command-name> ...]",
        "    Return documentation details about multiple Redis commands.",
        "    If no command names are given, documentation details for all",
        "    commands are returned.",
        "GETKEYS <full-command>",
        "    Return the keys from a full Redis command.",
        "GETKEYSANDFLAGS <full-command>",
        "    Return the keys and the access flags from a full Redis command.",
        NULL,
    };
    call_reply_help(call, lines);
}

/* ---- Rows ------------------------------------------------------------------------------------ */

enum { ALWAYS = COMMAND_LOADING | COMMAND_STALE | COMMAND_CATEGORY_CONNECTION };

static const struct command command_rows[] = {
    {.name = "command|count",
     .run = command_count,
     .arity = 2,
     .flags = ALWAYS,
     .group = GROUP_SERVER,
     .since = "2.8.13",
     .complexity = "O(1)",
     .summary = "Counts the commands.",
     .syntax = ""},
    {.name = "command|docs",
     .run = command_docs,
     .arity = -2,
     .flags = ALWAYS,
     .group = GROUP_SERVER,
     .since = "7.0.0",
     .complexity = "O(n) in the commands",
     .summary = "Returns the documentation of commands.",
     .syntax = "[command-name [command-name ...]]"},
    {.name = "command|getkeys",
     .run = command_get_keys,
     .arity = -3,
     .flags = ALWAYS,
     .group = GROUP_SERVER,
     .since = "2.8.13",
     .complexity = "O(n) in the arguments",
     .summary = "Returns which arguments of a command are keys.",
     .syntax = "command [arg [arg ...]]"},
    {.name = "command|getkeysandflags",
     .run = command_get_keys_and_flags,
     .arity = -3,
     .flags = ALWAYS,
     .group = GROUP_SERVER,
     .since = "7.0.0",
     .complexity = "O(n) in the arguments",
     .summary = "Returns which arguments of a command are keys, and what it does with them.",
     .syntax = "command [arg [arg ...]]"},
    {.name = "command|help",
     .run = command_help,
     .arity = 2,
     .flags = ALWAYS,
     .group = GROUP_SERVER,
     .since = "5.0.0",
     .complexity = "O(1)",
     .summary = "Explains COMMAND.",
     .syntax = ""},
    {.name = "command|info",
     .run = command_info,
     .arity = -2,
     .flags = ALWAYS,
     .group = GROUP_SERVER,
     .since = "2.8.13",
     .complexity = "O(n) in the commands",
     .summary = "Returns what clients must know to use commands.",
     .syntax = "[command-name [command-name ...]]"},
    {.name = "command|list",
     .run = command_list,
     .arity = -2,
     .flags = ALWAYS,
     .group = GROUP_SERVER,
     .since = "7.0.0",
     .complexity = "O(n) in the commands",
     .summary = "Returns the names of all commands, or of some.",
     .syntax = "[FILTERBY <filterby: MODULE module-name | ACLCAT category | PATTERN pattern>]"},
};

static const struct command rows[] = {
    {.name = "command",
     .run = command,
     .arity = -1,
     .flags = ALWAYS,
     .group = GROUP_SERVER,
     .since = "2.8.13",
     .complexity = "O(n) in the commands",
     .summary = "Describes all commands.",
     .syntax = "",
     .subcommands = command_rows,
     .subcommand_count = sizeof(command_rows) / sizeof(command_rows[0])},
};

const struct command_group_rows commands_command = {rows, sizeof(rows) / sizeof(rows[0])};
