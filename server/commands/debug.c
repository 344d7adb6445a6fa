/* DEBUG: for tests and the curious. Who may use it is `enable-debug-command`'s to say: nobody, everybody, or clients
 * of this host. */
#include <stdio.h>
#include <time.h>

#include "server/call.h"
#include "server/client.h"
#include "server/config.h"
#include "server/peer.h"
#include "server/server.h"
#include "shards/base/number.h"
#include "shards/eviction_score.h"
#include "shards/types/string.h"

static bool is_permitted(struct call *call) {
    int64_t mode = config_number(&call->server->config->enable_debug_command);
    if (mode == DEBUG_COMMAND_YES) return true;
    if (mode == DEBUG_COMMAND_LOCAL && peer_is_local(call->client->connection.fd)) return true;
    reply_error(call->reply, "ERR DEBUG command not allowed. If the enable-debug-command option is "
                             "set to \"local\", you can "
                             "run it from a local connection, otherwise you need to set this "
                             "option in the configuration "
                             "file, and then restart the server.");
    return false;
}

/* Holds up one worker, with no lock held: clients of the others don't notice. */
static void debug_sleep(struct call *call) {
    enum { SLEEP_MAX_S = 3600 };
    if (!is_permitted(call)) return;
    double seconds;
    if (!number_read_double(call->args[2], &seconds) || seconds < 0 || seconds > SLEEP_MAX_S) {
        reply_error(call->reply, "ERR value is not a valid float");
        return;
    }
    struct timespec rest = {.tv_sec = (time_t)seconds};
    rest.tv_nsec = (long)((seconds - (double)rest.tv_sec) * 1e9);
    while (nanosleep(&rest, &rest) != 0) {
    }
    reply_simple(call->reply, "OK");
}

static void debug_set_active_expire(struct call *call) {
    if (!is_permitted(call)) return;
    int64_t is_active;
    if (!call_integer(call, 2, &is_active)) return;
    atomic_store_explicit(&call->server->expiry_is_active, is_active != 0, memory_order_relaxed);
    reply_simple(call->reply, "OK");
}

/* Redis's line, for the tools that read it. Here `serializedlength` is the value's length: nothing serialises it. */
static void debug_object(struct call *call) {
    if (!is_permitted(call)) return;
    const struct entry *entry = call_read(call, 2);
    if (entry == NULL) {
        reply_error(call->reply, "ERR no such key");
        return;
    }
    uint32_t access = atomic_load_explicit(&entry->access, memory_order_relaxed);
    char line[256];
    snprintf(line, sizeof(line),
             "Value at:%p refcount:1 encoding:%s serializedlength:%zu lru:%u lru_seconds_idle:%u",
             (const void *)entry, string_encoding_name(entry), entry_value(entry).size, access >> 8,
             eviction_idle_s(call->now_ms, access));
    reply_simple(call->reply, line);
}

static void debug_shard(struct call *call) {
    if (!is_permitted(call)) return;
    reply_integer(call->reply, router_shard(call->args[2], call->server->shards.count));
}

static void debug_help(struct call *call) {
    static const char *const lines[] = {
        "OBJECT <key>",
        "    Show low level info about `key` and associated value.",
        "SET-ACTIVE-EXPIRE <0|1>",
        "    Setting it to 0 disables expiring keys in background when they are not",
        "    accessed (otherwise the Redis behavior). Setting it to 1 reenables back the",
        "    default.",
        "SHARD <key>",
        "    Return the number of the shard that <key> belongs to.",
        "SLEEP <seconds>",
        "    Stop one worker for <seconds>. Decimals allowed.",
        NULL,
    };
    call_reply_help(call, lines);
}

/* ---- Rows ------------------------------------------------------------------------------------ */

enum { OPERATOR = COMMAND_ADMIN | COMMAND_NO_SCRIPT | COMMAND_LOADING | COMMAND_STALE };

static const struct command debug_rows[] = {
    {.name = "debug|help",
     .run = debug_help,
     .arity = 2,
     .flags = OPERATOR,
     .group = GROUP_SERVER,
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Explains DEBUG.",
     .syntax = ""},
    {.name = "debug|object",
     .run = debug_object,
     .arity = 3,
     .flags = OPERATOR | COMMAND_READ | COMMAND_TOUCHES_NOTHING,
     .keys = ONE_KEY_AT(2),
     .group = GROUP_SERVER,
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Describes how a key and its value are kept.",
     .syntax = "key"},
    {.name = "debug|set-active-expire",
     .run = debug_set_active_expire,
     .arity = 3,
     .flags = OPERATOR,
     .group = GROUP_SERVER,
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Stops or resumes the removal of expired keys in the background.",
     .syntax = "<0 | 1>"},
    {.name = "debug|shard",
     .run = debug_shard,
     .arity = 3,
     .flags = OPERATOR,
     .group = GROUP_SERVER,
     .since = "0.1.0",
     .complexity = "O(n) in the key",
     .summary = "Returns the shard that a key belongs to.",
     .syntax = "key"},
    {.name = "debug|sleep",
     .run = debug_sleep,
     .arity = 3,
     .flags = OPERATOR,
     .group = GROUP_SERVER,
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Stops one worker for a time.",
     .syntax = "seconds"},
};

static const struct command rows[] = {
    {.name = "debug",
     .arity = -2,
     .flags = OPERATOR,
     .group = GROUP_SERVER,
     .since = "1.0.0",
     .complexity = "by subcommand",
     .summary = "Looks inside, for tests.",
     .syntax = "",
     .subcommands = debug_rows,
     .subcommand_count = sizeof(debug_rows) / sizeof(debug_rows[0])},
};

const struct command_group_rows commands_debug = {rows, sizeof(rows) / sizeof(rows[0])};
