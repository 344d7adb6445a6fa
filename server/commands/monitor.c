/* MONITOR: thin over monitor.h. */
#include "server/monitor.h"

#include "server/call.h"
#include "server/client.h"

/* Who monitors already gets no second OK, as in Redis: it would stand among the lines. */
static void monitor(struct call *call) {
    if (call->client->is_monitor) return;
    reply_simple(call->reply, "OK");
    monitor_join(call->client);
}

/* ---- Rows ------------------------------------------------------------------------------------ */

static const struct command rows[] = {
    {.name = "monitor",
     .run = monitor,
     .arity = 1,
     .flags = COMMAND_LOADING | COMMAND_STALE | COMMAND_ADMIN | COMMAND_NO_SCRIPT,
     .group = GROUP_SERVER,
     .since = "1.0.0",
     .complexity = "O(1), and O(monitors) for each command that runs meanwhile",
     .summary = "Shows every command that runs, until the connection is closed or RESET.",
     .syntax = ""},
};

const struct command_group_rows commands_monitor = {rows, sizeof(rows) / sizeof(rows[0])};
