/* The connection itself: greeting, password, database, farewell. */
#include "server/access/access.h"
#include "server/call.h"
#include "server/client.h"
#include "server/commands/names.h"
#include "server/config.h"
#include "server/monitor.h"
#include "server/server.h"
#include "shards/base/number.h"

static void ping(struct call *call) {
    if (call->arg_count > 2) {
        reply_error(call->reply, "ERR wrong number of arguments for 'ping' command");
    } else if (call->arg_count == 2) {
        reply_bulk(call->reply, call->args[1]);
    } else {
        reply_simple(call->reply, "PONG");
    }
}

static void echo(struct call *call) {
    reply_bulk(call->reply, call->args[1]);
}

static void select_database(struct call *call) {
    uint32_t database;
    if (!call_database(call, 1, &database)) return;
    atomic_store_explicit(&call->client->database, database, memory_order_relaxed);
    reply_simple(call->reply, "OK");
}

static void quit(struct call *call) {
    reply_simple(call->reply, "OK");
    call->client->is_finishing = true;
}

/* Like a new connection; its reply is heard even where replies were off. */
static void reset(struct call *call) {
    struct client *client = call->client;
    monitor_leave(client);
    client_reset(client);
    enum status status = client_set_text(client, &client->name, BYTES(""));
    (void)status; /* taking a name away needs no memory */
    client->reply.buffer = &client->connection.output;
    reply_simple(call->reply, "RESET");
}

/* ---- The password ---------------------------------------------------------------------------- */

/* Hashed whether or not there is such a user: the time doesn't tell. */
static bool authenticate(struct call *call, struct bytes name, struct bytes given) {
    struct password password;
    if (password_hash(&password, given) != STATUS_OK) {
        call_failed(call, STATUS_NO_MEMORY);
        return false;
    }
    struct user *user = users_hold(&call->server->users, name);
    if (user != NULL && user->is_on &&
        (user->has_no_password || user_has_password(user, &password))) {
        access_login(call->client, user);
        return true;
    }
    user_release(user);
    reply_error(call->reply, "WRONGPASS invalid username-password pair or user is disabled.");
    access_note_failed_login(call, name);
    return false;
}

static bool default_needs_password(struct call *call) {
    struct user *user = users_hold_default(&call->server->users);
    bool needs = !user->has_no_password;
    user_release(user);
    return needs;
}

static void auth(struct call *call) {
    if (call->arg_count > 3) {
        call_syntax_error(call);
        return;
    }
    if (call->arg_count == 2 && !default_needs_password(call)) {
        reply_error(
            call->reply,
            "ERR AUTH <password> called without any password configured for the default user. "
            "Are you sure your configuration is correct?");
        return;
    }
    struct bytes user = call->arg_count == 3 ? call->args[1] : BYTES("default");
    if (authenticate(call, user, call->args[call->arg_count - 1])) reply_simple(call->reply, "OK");
}

/* ---- HELLO ----------------------------------------------------------------------------------- */

struct greeting {
    int64_t protocol;    /* 0: as it is */
    uint32_t user, name; /* indexes of arguments; 0: not given */
};

static bool read_greeting(struct call *call, struct greeting *greeting) {
    if (call->arg_count > 1 && !number_read(call->args[1], &greeting->protocol)) {
        reply_error(call->reply, "ERR Protocol version is not an integer or out of range");
        return false;
    }
    if (call->arg_count > 1 && (greeting->protocol < 2 || greeting->protocol > 3)) {
        reply_error(call->reply, "NOPROTO unsupported protocol version");
        return false;
    }
    for (uint32_t i = 2; i < call->arg_count; i++) {
        uint32_t more = call->arg_count - 1 - i;
        if (call_is(call, i, "AUTH") && more >= 2) {
            greeting->user = i + 1;
            i += 2;
        } else if (call_is(call, i, "SETNAME") && more >= 1) {
            greeting->name = ++i;
            if (name_is_plain(call->args[i])) continue;
            reply_error(call->reply, name_refused);
            return false;
        } else {
            reply_error_format(call->reply, "ERR Syntax error in HELLO option '%.*s'",
                               call_shown(call->args[i]), call->args[i].data);
            return false;
        }
    }
    return true;
}

static void reply_greeting(struct call *call) {
    struct reply *reply = call->reply;
    reply_map(reply, 7);
    reply_bulk_text(reply, "server");
    reply_bulk_text(reply, "redis"); /* clients look at it to choose a dialect */
    reply_bulk_text(reply, "version");
    reply_bulk_text(reply, SERVER_REDIS_VERSION);
    reply_bulk_text(reply, "proto");
    reply_integer(reply, reply->protocol);
    reply_bulk_text(reply, "id");
    reply_integer(reply, (int64_t)call->client->id);
    reply_bulk_text(reply, "mode");
    reply_bulk_text(reply, "standalone");
    reply_bulk_text(reply, "role");
    reply_bulk_text(reply, "master");
    reply_bulk_text(reply, "modules");
    reply_array(reply, 0);
}

static void hello(struct call *call) {
    struct client *client = call->client;
    struct greeting greeting = {0};
    if (!read_greeting(call, &greeting)) return;
    if (greeting.user != 0 &&
        !authenticate(call, call->args[greeting.user], call->args[greeting.user + 1]))
        return;
    if (!client->is_trusted) {
        reply_error(call->reply, "NOAUTH HELLO must be called with the client already "
                                 "authenticated, otherwise the HELLO <proto> AUTH "
                                 "<user> <pass> option can be used to authenticate the client and "
                                 "select the RESP protocol version at "
                                 "the same time");
        return;
    }
    if (greeting.name != 0) {
        enum status status = client_set_text(client, &client->name, call->args[greeting.name]);
        if (status != STATUS_OK) {
            call_failed(call, status);
            return;
        }
    }
    if (greeting.protocol != 0) {
        call->reply->protocol = (uint8_t)greeting.protocol;
        atomic_store_explicit(&client->protocol, (uint8_t)greeting.protocol, memory_order_relaxed);
    }
    reply_greeting(call);
}

/* ---- Rows ------------------------------------------------------------------------------------ */

enum {
    ALWAYS = COMMAND_LOADING | COMMAND_STALE,
    BEFORE_AUTH = ALWAYS | COMMAND_FAST | COMMAND_NO_SCRIPT | COMMAND_NO_AUTH | COMMAND_ALLOW_BUSY,
};

static const struct command rows[] = {
    {.name = "auth",
     .run = auth,
     .arity = -2,
     .flags = BEFORE_AUTH,
     .group = GROUP_CONNECTION,
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Authenticates the connection.",
     .syntax = "[username] password"},
    {.name = "echo",
     .run = echo,
     .arity = 2,
     .flags = ALWAYS | COMMAND_FAST,
     .group = GROUP_CONNECTION,
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Returns what it is given.",
     .syntax = "message"},
    {.name = "hello",
     .run = hello,
     .arity = -1,
     .flags = BEFORE_AUTH,
     .group = GROUP_CONNECTION,
     .since = "6.0.0",
     .complexity = "O(1)",
     .summary =
         "Greets the server: chooses a protocol, and can authenticate and name the connection.",
     .syntax = "[arguments: protover [AUTH <username password>] [SETNAME clientname]]"},
    {.name = "ping",
     .run = ping,
     .arity = -1,
     .flags = COMMAND_FAST,
     .group = GROUP_CONNECTION,
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Answers, to show that the server is there.",
     .syntax = "[message]"},
    {.name = "quit",
     .run = quit,
     .arity = -1,
     .flags = BEFORE_AUTH,
     .group = GROUP_CONNECTION,
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Closes the connection.",
     .syntax = ""},
    {.name = "reset",
     .run = reset,
     .arity = 1,
     .flags = BEFORE_AUTH,
     .group = GROUP_CONNECTION,
     .since = "6.2.0",
     .complexity = "O(1)",
     .summary = "Makes the connection like a new one.",
     .syntax = ""},
    {.name = "select",
     .run = select_database,
     .arity = 2,
     .flags = ALWAYS | COMMAND_FAST,
     .group = GROUP_CONNECTION,
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Chooses the database of the connection.",
     .syntax = "index"},
};

const struct command_group_rows commands_connection = {rows, sizeof(rows) / sizeof(rows[0])};
