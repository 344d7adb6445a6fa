/* SLOWLOG: thin over slowlog.h. */
#include "server/slowlog.h"

#include "server/call.h"
#include "server/server.h"
#include "shards/base/number.h"

enum { SHOWN_DEFAULT = 10 };

static void reply_entry(struct reply *reply, const struct slowlog_entry *entry) {
    reply_array(reply, 6);
    reply_integer(reply, (int64_t)entry->id);
    reply_integer(reply, entry->time_s);
    reply_integer(reply, entry->took_us);
    reply_array(reply, entry->arg_count);
    for (uint32_t i = 0; i < entry->arg_count; i++) {
        reply_bulk(reply, entry->args[i]);
    }
    reply_bulk_text(reply, entry->client);
    reply_bulk_text(reply, entry->name);
}

/* [count] at argument 2; -1: all. */
static bool read_count(struct call *call, uint64_t *count) {
    int64_t wanted = SHOWN_DEFAULT;
    if (call->arg_count > 3) {
        reply_error_format(call->reply,
                           "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try "
                           "SLOWLOG HELP.",
                           call_shown(call->args[1]), call->args[1].data);
        return false;
    }
    if (call->arg_count == 3 && (!number_read(call->args[2], &wanted) || wanted < -1)) {
        reply_error(call->reply, "ERR count should be greater than or equal to -1");
        return false;
    }
    *count = wanted == -1 ? UINT64_MAX : (uint64_t)wanted;
    return true;
}

static void slowlog_get(struct call *call) {
    uint64_t count, found;
    if (!read_count(call, &count)) return;
    struct slowlog_entry *list = slowlog_copy(&call->server->slowlog, count, &found);
    reply_array(call->reply, found);
    for (const struct slowlog_entry *entry = list; entry != NULL; entry = entry->next) {
        reply_entry(call->reply, entry);
    }
    slowlog_free_list(list);
}

static void slowlog_len(struct call *call) {
    reply_integer(call->reply, (int64_t)slowlog_length(&call->server->slowlog));
}

static void slowlog_forget(struct call *call) {
    slowlog_reset(&call->server->slowlog);
    reply_simple(call->reply, "OK");
}

static void slowlog_help(struct call *call) {
    static const char *const lines[] = {
        "GET [<count>]",
        "    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
        "    Entries are made of:",
        "    id, timestamp, time in microseconds, arguments array, client IP and port,",
        "    client name",
        "LEN",
        "    Return the length of the slowlog.",
        "RESET",
        "    Reset the slowlog.",
        NULL,
    };
    call_reply_help(call, lines);
}

/* ---- Rows ------------------------------------------------------------------------------------ */

enum { ALWAYS = COMMAND_LOADING | COMMAND_STALE, OPERATOR = ALWAYS | COMMAND_ADMIN };

static const struct command slowlog_rows[] = {
    {.name = "slowlog|get",
     .run = slowlog_get,
     .arity = -2,
     .flags = OPERATOR,
     .group = GROUP_SERVER,
     .since = "2.2.12",
     .complexity = "O(n) in the entries returned",
     .summary = "Returns the latest commands that were slow.",
     .syntax = "[count]"},
    {.name = "slowlog|help",
     .run = slowlog_help,
     .arity = 2,
     .flags = ALWAYS,
     .group = GROUP_SERVER,
     .since = "6.2.0",
     .complexity = "O(1)",
     .summary = "Explains SLOWLOG.",
     .syntax = ""},
    {.name = "slowlog|len",
     .run = slowlog_len,
     .arity = 2,
     .flags = OPERATOR,
     .group = GROUP_SERVER,
     .since = "2.2.12",
     .complexity = "O(1)",
     .summary = "Returns how many slow commands are remembered.",
     .syntax = ""},
    {.name = "slowlog|reset",
     .run = slowlog_forget,
     .arity = 2,
     .flags = OPERATOR,
     .group = GROUP_SERVER,
     .since = "2.2.12",
     .complexity = "O(n) in the entries",
     .summary = "Forgets the slow commands.",
     .syntax = ""},
};

static const struct command rows[] = {
    {.name = "slowlog",
     .arity = -2,
     .group = GROUP_SERVER,
     .since = "2.2.12",
     .complexity = "by subcommand",
     .summary = "Tells which commands were slow lately.",
     .syntax = "",
     .subcommands = slowlog_rows,
     .subcommand_count = sizeof(slowlog_rows) / sizeof(slowlog_rows[0])},
};

const struct command_group_rows commands_slowlog = {rows, sizeof(rows) / sizeof(rows[0])};
