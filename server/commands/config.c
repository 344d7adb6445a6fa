/* CONFIG: thin over config.h, which makes the errors too. */
#include "server/config.h"

#include "server/call.h"
#include "server/metrics.h"
#include "server/server.h"

static void reply_option(void *context, struct bytes name, struct bytes value) {
    struct call *call = context;
    reply_bulk(call->reply, name);
    reply_bulk(call->reply, value);
}

static void config_command_get(struct call *call) {
    struct config *config = call->server->config;
    const struct bytes *patterns = &call->args[2];
    size_t count = call->arg_count - 2;
    reply_map(call->reply, config_get(config, patterns, count, NULL, NULL));
    config_get(config, patterns, count, reply_option, call);
}

static void config_command_set(struct call *call) {
    char error[CONFIG_ERROR_MAX];
    if (call->arg_count % 2 != 0) {
        reply_error(call->reply, "ERR wrong number of arguments for 'config|set' command");
    } else if (config_set(call->server->config, &call->args[2], call->arg_count - 2, error) !=
               STATUS_OK) {
        reply_error(call->reply, error);
    } else {
        reply_simple(call->reply, "OK");
    }
}

static void config_command_reset_statistics(struct call *call) {
    metrics_reset(call->server, call->now_ms);
    reply_simple(call->reply, "OK");
}

static void config_command_rewrite(struct call *call) {
    char error[CONFIG_ERROR_MAX];
    if (config_rewrite(call->server->config, error) != STATUS_OK) {
        reply_error(call->reply, error);
    } else {
        reply_simple(call->reply, "OK");
    }
}

static void config_command_help(struct call *call) {
    static const char *const lines[] = {
        "GET <pattern>",
        "    Return parameters matching the glob-like <pattern> and their values.",
        "SET <directive> <value>",
        "    Set the configuration <directive> to <value>.",
        "RESETSTAT",
        "    Reset statistics reported by the INFO command.",
        "REWRITE",
        "    Rewrite the configuration file.",
        NULL,
    };
    call_reply_help(call, lines);
}

/* ---- Rows ------------------------------------------------------------------------------------ */

enum {
    ALWAYS = COMMAND_LOADING | COMMAND_STALE,
    OPERATOR = ALWAYS | COMMAND_ADMIN | COMMAND_NO_SCRIPT
};

static const struct command config_rows[] = {
    {.name = "config|get",
     .run = config_command_get,
     .arity = -3,
     .flags = OPERATOR,
     .group = GROUP_SERVER,
     .since = "2.0.0",
     .complexity = "O(n) in the options",
     .summary = "Returns the options whose names match a pattern.",
     .syntax = "parameter [parameter ...]"},
    {.name = "config|help",
     .run = config_command_help,
     .arity = 2,
     .flags = ALWAYS,
     .group = GROUP_SERVER,
     .since = "5.0.0",
     .complexity = "O(1)",
     .summary = "Explains CONFIG.",
     .syntax = ""},
    {.name = "config|resetstat",
     .run = config_command_reset_statistics,
     .arity = 2,
     .flags = OPERATOR,
     .group = GROUP_SERVER,
     .since = "2.0.0",
     .complexity = "O(shards + commands) a worker",
     .summary = "Sets the statistics of INFO to zero.",
     .syntax = ""},
    {.name = "config|rewrite",
     .run = config_command_rewrite,
     .arity = 2,
     .flags = OPERATOR,
     .group = GROUP_SERVER,
     .since = "2.8.0",
     .complexity = "O(n) in the file",
     .summary = "Writes the options back to the configuration file.",
     .syntax = ""},
    {.name = "config|set",
     .run = config_command_set,
     .arity = -4,
     .flags = OPERATOR,
     .group = GROUP_SERVER,
     .since = "2.0.0",
     .complexity = "O(n) in the given options",
     .summary = "Sets options, all or none of them.",
     .syntax = "parameter value [parameter value ...]"},
};

static const struct command rows[] = {
    {.name = "config",
     .arity = -2,
     .group = GROUP_SERVER,
     .since = "2.0.0",
     .complexity = "by subcommand",
     .summary = "Reads and changes the configuration.",
     .syntax = "",
     .subcommands = config_rows,
     .subcommand_count = sizeof(config_rows) / sizeof(config_rows[0])},
};

const struct command_group_rows commands_config = {rows, sizeof(rows) / sizeof(rows[0])};
