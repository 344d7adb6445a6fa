/* ACL: users, told and changed (server/access/). */
#include <string.h>

#include "server/access/access.h"
#include "server/access/category.h"
#include "server/access/users_file.h"
#include "server/call.h"
#include "server/client.h"
#include "server/log.h"
#include "server/server.h"
#include "server/worker.h"
#include "shards/base/memory.h"
#include "shards/base/number.h"
#include "shards/base/random.h"

enum { GENERATED_BITS = 256, GENERATED_BITS_MAX = 4096, LOG_SHOWN = 10 };

static struct users *users_of(struct call *call) {
    return &call->server->users;
}

/* More arguments than the subcommand has a use for. */
static void reply_wrong_form(struct call *call) {
    reply_error_format(
        call->reply,
        "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try ACL HELP.",
        call_shown(call->args[1]), call->args[1].data);
}

/* ---- Telling --------------------------------------------------------------------------------- */

static void acl_whoami(struct call *call) {
    reply_bulk_text(call->reply, call->client->user->name);
}

/* A text that was written whole. */
static void reply_text(struct call *call, struct text *text) {
    if (text->has_failed) {
        call_failed(call, STATUS_NO_MEMORY);
    } else {
        reply_bulk(call->reply, text_bytes(text));
    }
    text_release(text);
}

static void acl_users(struct call *call) {
    uint32_t count;
    struct user **all = users_hold_all(users_of(call), &count);
    reply_array(call->reply, count);
    for (uint32_t i = 0; i < count; i++) {
        reply_bulk_text(call->reply, all[i]->name);
    }
    users_let_go(all, count);
}

static void acl_list(struct call *call) {
    uint32_t count;
    struct user **all = users_hold_all(users_of(call), &count);
    reply_array(call->reply, count);
    for (uint32_t i = 0; i < count; i++) {
        struct text text = {0};
        text_format(&text, "user %s ", all[i]->name);
        user_write(all[i], &text);
        reply_text(call, &text);
    }
    users_let_go(all, count);
}

static void reply_part(struct call *call, const char *name, const struct selector *selector,
                       void (*write)(const struct selector *, struct text *)) {
    struct text text = {0};
    write(selector, &text);
    reply_bulk_text(call->reply, name);
    reply_text(call, &text);
}

static void reply_selector(struct call *call, const struct selector *selector) {
    reply_part(call, "commands", selector, selector_write_commands);
    reply_part(call, "keys", selector, selector_write_keys);
    reply_part(call, "channels", selector, selector_write_channels);
}

static void reply_user(struct call *call, const struct user *user) {
    struct reply *reply = call->reply;
    reply_map(reply, 6);
    reply_bulk_text(reply, "flags");
    reply_set(reply, 2 + user->has_no_password);
    reply_bulk_text(reply, user->is_on ? "on" : "off");
    if (user->has_no_password) reply_bulk_text(reply, "nopass");
    reply_bulk_text(reply, user->skips_sanitizing ? "skip-sanitize-payload" : "sanitize-payload");
    reply_bulk_text(reply, "passwords");
    reply_array(reply, user->password_count);
    for (uint32_t i = 0; i < user->password_count; i++) {
        char digits[PASSWORD_TEXT_BYTES + 1];
        password_write(&user->passwords[i], digits);
        reply_bulk_text(reply, digits);
    }
    reply_selector(call, &user->root);
    reply_bulk_text(reply, "selectors");
    reply_array(reply, user->selector_count);
    for (uint32_t i = 0; i < user->selector_count; i++) {
        reply_map(reply, 3);
        reply_selector(call, &user->selectors[i]);
    }
}

static void acl_getuser(struct call *call) {
    struct user *user = users_hold(users_of(call), call->args[2]);
    if (user == NULL) {
        reply_null(call->reply);
        return;
    }
    reply_user(call, user);
    user_release(user);
}

/* ---- Categories ------------------------------------------------------------------------------ */

static void reply_category(struct call *call, int category) {
    const struct command_table *commands = call->server->original_commands;
    uint32_t count = command_table_count_all(commands), found = 0;
    for (uint32_t id = 0; id < count; id++) {
        found += category_has(category, command_table_row(commands, id));
    }
    reply_array(call->reply, found);
    for (uint32_t id = 0; id < count; id++) {
        const struct command *row = command_table_row(commands, id);
        if (category_has(category, row)) reply_bulk_text(call->reply, row->name);
    }
}

static void acl_cat(struct call *call) {
    if (call->arg_count > 3) {
        reply_wrong_form(call);
        return;
    }
    if (call->arg_count == 2) {
        reply_array(call->reply, CATEGORY_COUNT);
        for (int i = 0; i < CATEGORY_COUNT; i++) {
            reply_bulk_text(call->reply, category_names[i]);
        }
        return;
    }
    int category = category_find(call->args[2]);
    if (category >= 0) {
        reply_category(call, category);
    } else {
        reply_error_format(call->reply, "ERR Unknown category '%.*s'", call_shown(call->args[2]),
                           call->args[2].data);
    }
}

/* ---- Changing -------------------------------------------------------------------------------- */

static void reply_rule_error(struct call *call, const struct user_error *error) {
    int shown = call_shown(bytes_of(error->rule, error->rule_size));
    if (error->reason == acl_unmatched) {
        reply_error_format(call->reply,
                           "ERR Unmatched parenthesis in acl selector starting at '%.*s'.", shown,
                           error->rule);
    } else {
        reply_error_format(call->reply, "ERR Error in ACL SETUSER modifier '%.*s': %s", shown,
                           error->rule, error->reason);
    }
}

static void acl_setuser(struct call *call) {
    struct bytes name = call->args[2];
    struct user_error error;
    const char *refused = user_name_refused(name);
    if (refused != NULL) {
        reply_error_format(call->reply, "ERR %s", refused);
    } else if (users_change(users_of(call), name, &call->args[3], call->arg_count - 3, &error)) {
        access_spread(call);
        reply_simple(call->reply, "OK");
    } else {
        reply_rule_error(call, &error);
    }
}

static void acl_deluser(struct call *call) {
    int64_t removed = 0;
    for (uint32_t i = 2; i < call->arg_count; i++) {
        if (!bytes_equal(call->args[i], BYTES("default"))) continue;
        reply_error(call->reply, "ERR The 'default' user cannot be removed");
        return;
    }
    for (uint32_t i = 2; i < call->arg_count; i++) {
        removed += users_remove(users_of(call), call->args[i]);
    }
    if (removed != 0) access_spread(call);
    reply_integer(call->reply, removed);
}

static void acl_genpass(struct call *call) {
    int64_t bits = GENERATED_BITS;
    if (call->arg_count > 3) {
        reply_wrong_form(call);
        return;
    }
    if (call->arg_count == 3 && !call_integer(call, 2, &bits)) return;
    if (bits <= 0 || bits > GENERATED_BITS_MAX) {
        reply_error(call->reply, "ERR ACL GENPASS argument must be the number of bits for the "
                                 "output password, a positive number up to 4096");
        return;
    }
    unsigned char bytes[GENERATED_BITS_MAX / 8];
    char digits[GENERATED_BITS_MAX / 4];
    size_t size = (size_t)(bits + 3) / 4;
    random_system(bytes, (size + 1) / 2);
    for (size_t i = 0; i < size; i++) {
        digits[i] = "0123456789abcdef"[i % 2 == 0 ? bytes[i / 2] >> 4 : bytes[i / 2] & 15];
    }
    reply_bulk(call->reply, bytes_of(digits, size));
    explicit_bzero(bytes, sizeof(bytes));
    explicit_bzero(digits, sizeof(digits));
}

/* ---- The file -------------------------------------------------------------------------------- */

static const char *file_of(struct call *call) {
    const char *path = call->server->config->aclfile;
    if (path[0] != 0) return path;
    reply_error(call->reply,
                "ERR This Redis instance is not configured to use an ACL file. You may want to "
                "specify users via the ACL SETUSER command and then issue a CONFIG REWRITE "
                "(assuming you have a Redis configuration file set) in order to store users in the "
                "Redis configuration.");
    return NULL;
}

static void acl_load(struct call *call) {
    char error[CONFIG_ERROR_MAX];
    if (file_of(call) == NULL) return;
    if (users_load_file(users_of(call), call->server->config, error) == STATUS_OK) {
        access_spread(call);
        reply_simple(call->reply, "OK");
        return;
    }
    log_warning_limited("ACL LOAD: %s", error);
    reply_error_format(call->reply,
                       "ERR %s. WARNING: ACL errors detected, no change to the previously active "
                       "ACL rules was performed",
                       error);
}

static void acl_save(struct call *call) {
    const char *path = file_of(call);
    char error[CONFIG_ERROR_MAX];
    if (path == NULL) return;
    if (users_save_file(users_of(call), path, error) == STATUS_OK) {
        reply_simple(call->reply, "OK");
        return;
    }
    log_warning_limited("ACL SAVE: %s", error);
    reply_error_format(
        call->reply,
        "ERR There was an error trying to save the ACLs. Please check the server logs "
        "for more information: %s",
        error);
}

/* ---- DRYRUN ---------------------------------------------------------------------------------- */

/* The command that the arguments from the fourth on are; NULL when its error is replied. */
static struct command_found find_tried(struct call *call) {
    const struct command_table *commands = call->server->commands;
    struct command_found found = command_table_find(commands, call->args[3]);
    if (found.row != NULL && found.row->subcommand_count != 0 && call->arg_count > 4) {
        struct command_found sub = command_table_find_sub(commands, found, call->args[4]);
        if (sub.row != NULL || found.row->run == NULL) found = sub;
    }
    if (found.row == NULL) {
        reply_error_format(call->reply, "ERR Command '%.*s' not found", call_shown(call->args[3]),
                           call->args[3].data);
        return found;
    }
    uint32_t count = call->arg_count - 3;
    int arity = found.row->arity;
    if (arity >= 0 ? count == (uint32_t)arity : count >= (uint32_t)-arity) return found;
    reply_error_format(call->reply, "ERR wrong number of arguments for '%s' command",
                       found.row->name);
    return (struct command_found){NULL, 0};
}

static void try_command(struct call *call, const struct user *user) {
    struct command_found found = find_tried(call);
    if (found.row == NULL) return;
    struct selector_question question = {
        .row = found.row, .id = found.id, .args = &call->args[3], .arg_count = call->arg_count - 3};
    uint32_t denied = 0;
    enum selector_answer answer = SELECTOR_PERMITS;
    if (!(found.row->flags & COMMAND_NO_AUTH))
        answer = users_ask(users_of(call), user, question, &denied);
    switch (answer) {
    case SELECTOR_PERMITS:
        reply_simple(call->reply, "OK");
        return;
    case SELECTOR_DENIES_COMMAND:
        reply_bulk_format(call->reply, "User %s has no permissions to run the '%s' command",
                          user->name, found.row->name);
        return;
    case SELECTOR_DENIES_KEY:
        reply_bulk_format(call->reply, "User %s has no permissions to access the '%.*s' key",
                          user->name, call_shown(question.args[denied]),
                          question.args[denied].data);
        return;
    }
}

static void acl_dryrun(struct call *call) {
    struct user *user = users_hold(users_of(call), call->args[2]);
    if (user == NULL) {
        reply_error_format(call->reply, "ERR User '%.*s' not found", call_shown(call->args[2]),
                           call->args[2].data);
        return;
    }
    try_command(call, user);
    user_release(user);
}

/* ---- LOG ------------------------------------------------------------------------------------- */

static void reply_log_entry(struct call *call, const struct acl_log_entry *entry) {
    struct reply *reply = call->reply;
    reply_map(reply, 10);
    reply_field(reply, "count", entry->count);
    reply_bulk_text(reply, "reason");
    reply_bulk_text(reply, acl_log_reason_name(entry->reason));
    reply_bulk_text(reply, "context");
    reply_bulk_text(reply, "toplevel"); /* there are no transactions and scripts yet */
    reply_bulk_text(reply, "object");
    reply_bulk(reply, bytes_of(entry->object, entry->object_size));
    reply_bulk_text(reply, "username");
    reply_bulk(reply, bytes_of(entry->user, entry->user_size));
    reply_bulk_text(reply, "age-seconds");
    reply_double(reply, (double)(call->now_ms - entry->updated_ms) / 1000);
    reply_bulk_text(reply, "client-info");
    reply_bulk(reply, bytes_of(entry->client, entry->client_size));
    reply_field(reply, "entry-id", entry->id);
    reply_field(reply, "timestamp-created", (uint64_t)entry->created_ms);
    reply_field(reply, "timestamp-last-updated", (uint64_t)entry->updated_ms);
}

static void acl_log(struct call *call) {
    struct acl_log *log = &call->server->acl_log;
    int64_t count = LOG_SHOWN;
    if (call->arg_count > 3) {
        reply_wrong_form(call);
        return;
    }
    if (call->arg_count == 3 && call_is(call, 2, "RESET")) {
        acl_log_reset(log);
        reply_simple(call->reply, "OK");
        return;
    }
    if (call->arg_count == 3 && !call_integer(call, 2, &count)) return;
    uint64_t found;
    struct acl_log_entry *list = acl_log_copy(log, count > 0 ? (uint64_t)count : 0, &found);
    reply_array(call->reply, found);
    for (const struct acl_log_entry *entry = list; entry != NULL; entry = entry->next) {
        reply_log_entry(call, entry);
    }
    acl_log_free_list(list);
}

static void acl_help(struct call *call) {
    static const char *const lines[] = {
        "CAT [<category>]",
        "    List all commands that belong to <category>, or all command categories",
        "    when no category is specified.",
        "DELUSER <username> [<username> ...]",
        "    Delete a list of users.",
        "DRYRUN <username> <command> [<arg> ...]",
        "    Returns whether the user can execute the given command without executing the command.",
        "GETUSER <username>",
        "    Get the user's details.",
        "GENPASS [<bits>]",
        "    Generate a secure 256-bit user password. The optional `bits` argument can",
        "    be used to specify a different size.",
        "LIST",
        "    Show users details in config file format.",
        "LOAD",
        "    Reload users from the ACL file.",
        "LOG [<count> | RESET]",
        "    Show the ACL log entries.",
        "SAVE",
        "    Save the current config to the ACL file.",
        "SETUSER <username> <attribute> [<attribute> ...]",
        "    Create or modify a user with the specified attributes.",
        "USERS",
        "    List all the registered usernames.",
        "WHOAMI",
        "    Return the current connection username.",
        NULL,
    };
    call_reply_help(call, lines);
}

/* ---- Rows ------------------------------------------------------------------------------------ */

enum {
    ALWAYS = COMMAND_LOADING | COMMAND_STALE,
    ANYBODY = ALWAYS | COMMAND_NO_SCRIPT,
    OPERATOR = ANYBODY | COMMAND_ADMIN,
};

static const struct command acl_rows[] = {
    {.name = "acl|cat",
     .run = acl_cat,
     .arity = -2,
     .flags = ANYBODY,
     .group = GROUP_SERVER,
     .since = "6.0.0",
     .complexity = "O(n) in the commands",
     .summary = "Names the categories of commands, or the commands of one.",
     .syntax = "[categoryname]"},
    {.name = "acl|deluser",
     .run = acl_deluser,
     .arity = -3,
     .flags = OPERATOR,
     .group = GROUP_SERVER,
     .since = "6.0.0",
     .complexity = "O(n) in the connections",
     .summary = "Removes users, and closes their connections.",
     .syntax = "username [username ...]"},
    {.name = "acl|dryrun",
     .run = acl_dryrun,
     .arity = -4,
     .flags = OPERATOR,
     .group = GROUP_SERVER,
     .since = "7.0.0",
     .complexity = "O(n) in the keys and patterns",
     .summary = "Tells whether a user may run a command, without running it.",
     .syntax = "username command [arg [arg ...]]"},
    {.name = "acl|genpass",
     .run = acl_genpass,
     .arity = -2,
     .flags = ANYBODY,
     .group = GROUP_SERVER,
     .since = "6.0.0",
     .complexity = "O(1)",
     .summary = "Makes a password by chance.",
     .syntax = "[bits]"},
    {.name = "acl|getuser",
     .run = acl_getuser,
     .arity = 3,
     .flags = OPERATOR,
     .group = GROUP_SERVER,
     .since = "6.0.0",
     .complexity = "O(n) in the user's rules",
     .summary = "Tells a user's rules.",
     .syntax = "username"},
    {.name = "acl|help",
     .run = acl_help,
     .arity = 2,
     .flags = ALWAYS,
     .group = GROUP_SERVER,
     .since = "6.0.0",
     .complexity = "O(1)",
     .summary = "Explains ACL.",
     .syntax = ""},
    {.name = "acl|list",
     .run = acl_list,
     .arity = 2,
     .flags = OPERATOR,
     .group = GROUP_SERVER,
     .since = "6.0.0",
     .complexity = "O(n) in the users",
     .summary = "Lists all users as a file would define them.",
     .syntax = ""},
    {.name = "acl|load",
     .run = acl_load,
     .arity = 2,
     .flags = OPERATOR,
     .group = GROUP_SERVER,
     .since = "6.0.0",
     .complexity = "O(n) in the users and connections",
     .summary = "Reads the users from the file anew.",
     .syntax = ""},
    {.name = "acl|log",
     .run = acl_log,
     .arity = -2,
     .flags = OPERATOR,
     .group = GROUP_SERVER,
     .since = "6.0.0",
     .complexity = "O(n) in the entries shown",
     .summary = "Tells what was denied lately.",
     .syntax = "[operation: count | RESET]"},
    {.name = "acl|save",
     .run = acl_save,
     .arity = 2,
     .flags = OPERATOR,
     .group = GROUP_SERVER,
     .since = "6.0.0",
     .complexity = "O(n) in the users",
     .summary = "Writes the users to the file.",
     .syntax = ""},
    {.name = "acl|setuser",
     .run = acl_setuser,
     .arity = -3,
     .flags = OPERATOR,
     .group = GROUP_SERVER,
     .since = "6.0.0",
     .complexity = "O(n) in the rules and connections",
     .summary = "Makes a user, or changes its rules.",
     .syntax = "username [rule [rule ...]]"},
    {.name = "acl|users",
     .run = acl_users,
     .arity = 2,
     .flags = OPERATOR,
     .group = GROUP_SERVER,
     .since = "6.0.0",
     .complexity = "O(n) in the users",
     .summary = "Lists the users' names.",
     .syntax = ""},
    {.name = "acl|whoami",
     .run = acl_whoami,
     .arity = 2,
     .flags = ANYBODY,
     .group = GROUP_SERVER,
     .since = "6.0.0",
     .complexity = "O(1)",
     .summary = "Tells the name of the connection's user.",
     .syntax = ""},
};

static const struct command rows[] = {
    {.name = "acl",
     .arity = -2,
     .group = GROUP_SERVER,
     .since = "6.0.0",
     .complexity = "by subcommand",
     .summary = "Shows and changes users and what they may do.",
     .syntax = "",
     .subcommands = acl_rows,
     .subcommand_count = sizeof(acl_rows) / sizeof(acl_rows[0])},
};

const struct command_group_rows commands_acl = {rows, sizeof(rows) / sizeof(rows[0])};
