/* HOTKEYS: which keys are asked for most, lately (server/hotkeys.h).
 *
 * Redis has a command of this name that is a session: START, wait, GET, STOP. Client libraries read the reply
 * of its GET, so that word is not used here for a reply of another form: ours is the command without a
 * subcommand, which Redis refuses. */
#include "server/hotkeys.h"

#include "server/call.h"
#include "server/commands/sampling.h"
#include "server/server.h"

enum { SHOWN_DEFAULT = 10 };

/* [COUNT n] at argument 1. */
static bool read_count(struct call *call, int64_t *count) {
    *count = SHOWN_DEFAULT;
    if (call->arg_count == 1) return true;
    if (call->arg_count != 3) {
        call_syntax_error(call);
        return false;
    }
    return sampling_read_count(call, 1, "COUNT", count);
}

static void reply_hotkey(struct reply *reply, const struct hotkey *key, uint64_t requests) {
    uint64_t own = key->reads + key->writes;
    reply_map(reply, 7);
    reply_bulk_text(reply, "key");
    reply_bulk(reply, hotkey_name(key));
    reply_field(reply, "db", key->database);
    reply_field(reply, "reads", key->reads);
    reply_field(reply, "writes", key->writes);
    reply_field(reply, "bytes", key->bytes);
    reply_bulk_text(reply, "share");
    /* Halving rounds both, each for itself. */
    reply_double(reply, own < requests ? (double)own / (double)requests : 1);
    reply_field(reply, "unseen", (uint64_t)key->unseen);
}

static void show(struct call *call) {
    struct server *server = call->server;
    int64_t wanted;
    if (!read_count(call, &wanted)) return;
    struct hotkeys_report report = {0};
    report.keys = call_scratch(call, server->worker_count * HOTKEYS_MAX * sizeof(*report.keys));
    if (report.keys == NULL) return;
    for (uint32_t i = 0; i < server->worker_count; i++) {
        hotkeys_collect(server->workers[i].sampler.hotkeys, call->now_ms, &report);
    }
    if (report.count == 0 && sampling_is_off(call)) return;
    hotkeys_rank(&report);
    uint32_t shown = wanted < report.count ? (uint32_t)wanted : report.count;
    reply_array(call->reply, shown);
    for (uint32_t i = 0; i < shown; i++) {
        reply_hotkey(call->reply, &report.keys[i], report.requests);
    }
}

static void forget(struct call *call) {
    for (uint32_t i = 0; i < call->server->worker_count; i++) {
        hotkeys_reset(call->server->workers[i].sampler.hotkeys, call->now_ms);
    }
    reply_simple(call->reply, "OK");
}

static void help(struct call *call) {
    static const char *const lines[] = {
        "(no subcommand) [COUNT <count>]",
        "    Return the keys that are read and written most (default: 10), hottest first.",
        "    Of each: reads, writes and bytes, estimated from a sample of the requests,",
        "    its share of all reads and writes, and how many of its own may be unseen.",
        "    All halve every minute.",
        "RESET",
        "    Forget them.",
        NULL,
    };
    call_reply_help(call, lines);
}

/* Any word that is no subcommand comes here. */
static void hotkeys(struct call *call) {
    if (call->arg_count == 1 || call_is(call, 1, "COUNT")) {
        show(call);
    } else {
        call_unknown_subcommand(call);
    }
}

/* ---- Rows ------------------------------------------------------------------------------------ */

enum {
    ALWAYS = COMMAND_LOADING | COMMAND_STALE,
    OPERATOR = ALWAYS | COMMAND_ADMIN | COMMAND_NO_SCRIPT
};

static const struct command hotkeys_rows[] = {
    {.name = "hotkeys|help",
     .run = help,
     .arity = 2,
     .flags = ALWAYS,
     .group = GROUP_SERVER,
     .since = "8.6.0",
     .complexity = "O(1)",
     .summary = "Explains HOTKEYS.",
     .syntax = ""},
    {.name = "hotkeys|reset",
     .run = forget,
     .arity = 2,
     .flags = OPERATOR,
     .group = GROUP_SERVER,
     .since = "8.6.0",
     .complexity = "O(workers)",
     .summary = "Forgets which keys were read and written most.",
     .syntax = ""},
};

static const struct command rows[] = {
    {.name = "hotkeys",
     .run = hotkeys,
     .arity = -1,
     .flags = OPERATOR,
     .group = GROUP_SERVER,
     .since = "8.6.0",
     .complexity = "O(n log n) in the keys that the workers' sketches hold, 255 each",
     .summary = "Returns the keys that are read and written most.",
     .syntax = "[COUNT count]",
     .subcommands = hotkeys_rows,
     .subcommand_count = sizeof(hotkeys_rows) / sizeof(hotkeys_rows[0])},
};

const struct command_group_rows commands_hotkeys = {rows, sizeof(rows) / sizeof(rows[0])};
