/* CONFIG: thin over config.h, which makes the errors too. */
#include "server/config.h"

#include <stdio.h>
#include <string.h>

#include "net/address.h"
#include "server/access/user.h"
#include "server/call.h"
#include "server/config_value.h"
#include "server/limit.h"
#include "server/metrics.h"
#include "server/server.h"

static void reply_option(void *context, struct bytes name, struct bytes value) {
    struct call *call = context;
    reply_bulk(call->reply, name);
    reply_bulk(call->reply, value);
}

static void reply_value(void *context, struct bytes name, struct bytes value) {
    struct call *call = context;
    (void)name;
    reply_bulk(call->reply, value);
}

static void config_command_get(struct call *call) {
    struct config *config = call->server->config;
    const struct bytes *patterns = &call->args[2];
    size_t count = call->arg_count - 2;
    reply_map(call->reply, config_get(config, patterns, count, NULL, NULL));
    config_get(config, patterns, count, reply_option, call);
}

/* Who sets an option, for CONFIG WHY. */
static void describe_client(const struct client *client, char author[CONFIG_PLACE_MAX]) {
    char peer[ADDRESS_TEXT_MAX];
    address_of_peer(client->connection.fd, peer);
    snprintf(author, CONFIG_PLACE_MAX, "%s, user %.64s", peer, client->user->name);
}

static void config_command_set(struct call *call) {
    char error[CONFIG_ERROR_MAX];
    char author[CONFIG_PLACE_MAX];
    struct config_request request = {&call->args[2], call->arg_count - 2, author, call->now_ms};
    describe_client(call->client, author);
    if (call->arg_count % 2 != 0) {
        call_syntax_error(call);
    } else if (config_set(call->server->config, &request, error) != STATUS_OK) {
        reply_error(call->reply, error);
    } else {
        reply_simple(call->reply, "OK");
    }
}

/* ---- WHY ------------------------------------------------------------------------------------- */

static void reply_place(struct reply *reply, const char *place, int line) {
    if (line > 0) {
        reply_bulk_format(reply, "%s:%d", place, line);
    } else {
        reply_bulk_text(reply, place);
    }
}

/* "default", "/etc/sherd.conf:12", "--port", "CONFIG SET by 127.0.0.1:4711, user default". */
static void reply_origin(struct reply *reply, const struct config_origin *origin) {
    reply_bulk_text(reply, "from");
    switch (origin->source) {
    case CONFIG_FROM_DEFAULT:
        reply_bulk_text(reply, "default");
        break;
    case CONFIG_FROM_FILE:
    case CONFIG_FROM_FLAG:
        reply_place(reply, origin->place, origin->line);
        break;
    case CONFIG_FROM_CLIENT:
        reply_bulk_format(reply, "CONFIG SET by %s", origin->place);
        break;
    }
    reply_bulk_text(reply, "at");
    if (origin->source == CONFIG_FROM_CLIENT) {
        reply_integer(reply, origin->time_ms / 1000);
    } else {
        reply_null(reply);
    }
}

/* What was made of a value that leaves something to us; "" of any other. */
static void describe_effect(struct server *server, const char *name, char *out, size_t size) {
    out[0] = 0;
    if (strcmp(name, "workers") == 0) {
        bool is_ours = config_number(&server->config->workers) == 0;
        snprintf(out, size, "%u%s", server->worker_count,
                 is_ours ? ": the CPUs we may use, by the affinity mask and the cgroup's quota"
                         : "");
    } else if (strcmp(name, "shards") == 0) {
        bool is_one = config_number(&server->config->lock_mode) == LOCK_MODE_GLOBAL;
        bool is_ours = config_number(&server->config->shards) == 0;
        snprintf(out, size, "%u%s", server->shards.count,
                 is_one ? ": lock-mode is global"
                 : is_ours
                     ? ": 16 a worker, rounded up to a power of two; fewer of a small maxmemory"
                     : ": rounded up to a power of two");
    } else if (strcmp(name, "maxmemory") == 0) {
        limit_describe(server, out, size);
    } else if (strcmp(name, "maxmemory-samples") == 0) {
        uint32_t samples =
            atomic_load_explicit(&server->shards.eviction.samples, memory_order_relaxed);
        snprintf(out, size, "%u: %d at most", samples, EVICTION_SAMPLES_MAX);
    } else if (strcmp(name, "maxmemory-clients") == 0) {
        snprintf(
            out, size, "%lld bytes; 0: no limit",
            (long long)atomic_load_explicit(&server->clients_memory_max, memory_order_relaxed));
    } else if (strcmp(name, "io") == 0) {
        snprintf(out, size, "%s", server->engine_text);
    }
}

static void reply_unknown(struct reply *reply, struct bytes name) {
    const char *suggestion = config_option_suggest(name);
    reply_error_format(reply, "ERR Unknown option '%.*s'%s%s%s", call_shown(name), name.data,
                       suggestion != NULL ? " (did you mean '" : "",
                       suggestion != NULL ? suggestion : "", suggestion != NULL ? "'?)" : "");
}

/* What users and renames are is ACL LIST's to say, and the file's. */
static void reply_lines(struct call *call, const struct config_lines *lines) {
    struct reply *reply = call->reply;
    bool are_files = lines == &call->server->config->include_lines;
    reply_map(reply, are_files ? 3 : 2);
    reply_bulk_text(reply, "name");
    reply_bulk_text(reply, lines->name);
    reply_bulk_text(reply, "from");
    reply_array(reply, lines->count);
    for (size_t i = 0; i < lines->count; i++) {
        reply_place(reply, lines->items[i].place, lines->items[i].number);
    }
    if (!are_files) return;
    reply_bulk_text(reply, "files");
    reply_array(reply, lines->count);
    for (size_t i = 0; i < lines->count; i++) {
        reply_bulk(reply, lines->items[i].text);
    }
}

static void config_command_why(struct call *call) {
    struct bytes asked = call->args[2];
    const struct config_lines *lines = config_lines_find(call->server->config, asked);
    const struct config_option *option = config_option_find(asked);
    if (lines != NULL) {
        reply_lines(call, lines);
        return;
    }
    if (option == NULL) {
        reply_unknown(call->reply, asked);
        return;
    }
    struct server *server = call->server;
    struct bytes name = bytes_of_text(option->name);
    struct config_origin origin = config_origin(server->config, option);
    char effect[CONFIG_ERROR_MAX];
    describe_effect(server, option->name, effect, sizeof(effect));
    reply_map(call->reply, effect[0] != 0 ? 6 : 5);
    reply_bulk_text(call->reply, "name");
    reply_bulk(call->reply, name);
    reply_bulk_text(call->reply, "value");
    config_get(server->config, &name, 1, reply_value, call);
    reply_origin(call->reply, &origin);
    reply_bulk_text(call->reply, "default");
    reply_bulk_text(call->reply, option->initial);
    if (effect[0] == 0) return;
    reply_bulk_text(call->reply, "effect");
    reply_bulk_text(call->reply, effect);
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
        "WHY <parameter>",
        "    Return where the parameter's value comes from, and what was made of it;",
        "    of `user`, `rename-command` and `include` where such lines are.",
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
     .syntax = "<parameter: parameter> [...]"},
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
    {.name = "config|why",
     .run = config_command_why,
     .arity = 3,
     .flags = OPERATOR,
     .group = GROUP_SERVER,
     .since = "0.1.0",
     .complexity = "O(n) in the options",
     .summary = "Returns where the value of an option comes from.",
     .syntax = "parameter"},
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
