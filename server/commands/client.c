/* CLIENT: what is known of the connections, and what can be done to them.
 *
 * A client of another worker is looked at under that worker's registry lock, and touched only by a letter to its
 * worker. So CLIENT KILL is answered before the other worker has closed the connection; meanwhile the client is
 * marked, and neither listed nor killed again. */
#include <string.h>

#include "net/address.h"
#include "server/access/users.h"
#include "server/call.h"
#include "server/client.h"
#include "server/commands/names.h"
#include "server/commands/report.h"
#include "server/gate.h"
#include "server/server.h"
#include "server/worker.h"
#include "shards/base/number.h"

/* ---- One's own connection -------------------------------------------------------------------- */

static void client_id(struct call *call) {
    reply_integer(call->reply, (int64_t)call->client->id);
}

static void client_get_name(struct call *call) {
    /* Only this thread changes its clients' texts: it reads them without the lock. */
    if (call->client->name != NULL) {
        reply_bulk_text(call->reply, call->client->name);
    } else {
        reply_null(call->reply);
    }
}

static void set_text(struct call *call, char **field, struct bytes text) {
    enum status status = client_set_text(call->client, field, text);
    if (status == STATUS_OK) {
        reply_simple(call->reply, "OK");
    } else {
        call_failed(call, status);
    }
}

static void client_set_name(struct call *call) {
    if (!name_is_plain(call->args[2])) {
        reply_error(call->reply, name_refused);
        return;
    }
    set_text(call, &call->client->name, call->args[2]);
}

static void client_set_info(struct call *call) {
    struct client *client = call->client;
    struct bytes option = call->args[2];
    bool is_name = bytes_is(option, "LIB-NAME");
    if (!is_name && !bytes_is(option, "LIB-VER")) {
        reply_error_format(call->reply, "ERR Unrecognized option '%.*s'", call_shown(option),
                           option.data);
        return;
    }
    if (!name_is_plain(call->args[3])) {
        reply_error_format(call->reply,
                           "ERR %.*s cannot contain spaces, newlines or special characters.",
                           call_shown(option), option.data);
        return;
    }
    set_text(call, is_name ? &client->library : &client->library_version, call->args[3]);
}

/* ON or OFF as argument 2; otherwise a syntax error is replied. */
static bool read_switch(struct call *call, bool *value) {
    *value = call_is(call, 2, "ON");
    if (*value || call_is(call, 2, "OFF")) return true;
    call_syntax_error(call);
    return false;
}

static void client_no_evict(struct call *call) {
    bool value;
    if (!read_switch(call, &value)) return;
    atomic_store_explicit(&call->client->no_evict, value, memory_order_relaxed);
    reply_simple(call->reply, "OK");
}

static void client_no_touch(struct call *call) {
    bool value;
    if (!read_switch(call, &value)) return;
    call->client->no_touch = value;
    reply_simple(call->reply, "OK");
}

/* What becomes of the replies is dispatch's part; only the answer to ON is heard whatever was chosen before. */
static void client_reply(struct call *call) {
    struct client *client = call->client;
    if (call_is(call, 2, "ON")) {
        client->reply_mode = CLIENT_REPLY_ON;
        client->reply.buffer = &client->connection.output;
        reply_simple(call->reply, "OK");
    } else if (call_is(call, 2, "OFF")) {
        client->reply_mode = CLIENT_REPLY_OFF;
    } else if (!call_is(call, 2, "SKIP")) {
        call_syntax_error(call);
    } else if (client->reply_mode != CLIENT_REPLY_OFF) {
        client->reply_mode = CLIENT_REPLY_SKIP_NEXT;
    }
}

/* ---- Choosing among all ---------------------------------------------------------------------- */

/* What a client must be to be chosen; what was not asked for is empty, NULL or zero. */
struct choice {
    struct bytes peer, self; /* addresses */
    struct bytes user;       /* its name */
    const struct bytes *ids; /* arguments: any of these */
    uint32_t id_count;
    int64_t age_s;            /* connected for so long at least */
    bool is_empty;            /* nobody: a type of client that there isn't yet */
    const struct client *but; /* not this one */
};

static bool has_address(const struct client *client, size_t (*address_of)(int fd, char *text),
                        struct bytes wanted) {
    if (wanted.data == NULL) return true;
    char text[ADDRESS_TEXT_MAX];
    size_t size = address_of(client->connection.fd, text);
    return bytes_equal(bytes_of(text, size), wanted);
}

static bool has_id(const struct client *client, const struct choice *choice) {
    if (choice->ids == NULL) return true;
    for (uint32_t i = 0; i < choice->id_count; i++) {
        uint64_t id;
        if (number_read_unsigned(choice->ids[i], &id) && id == client->id) return true;
    }
    return false;
}

static bool is_chosen(const struct client *client, const struct choice *choice, int64_t now_ms) {
    return !choice->is_empty && client != choice->but && has_id(client, choice) &&
           (choice->age_s == 0 || (now_ms - client->created_ms) / 1000 >= choice->age_s) &&
           (choice->user.data == NULL ||
            bytes_equal(bytes_of_text(client->user->name), choice->user)) &&
           has_address(client, address_of_peer, choice->peer) &&
           has_address(client, address_of_self, choice->self) &&
           !atomic_load_explicit(&client->is_killed, memory_order_relaxed);
}

/* All that there are so far are normal ones. */
static bool read_type(struct call *call, uint32_t index, struct choice *choice) {
    static const char *const others[] = {"replica", "slave", "master", "pubsub"};
    if (call_is(call, index, "normal")) return true;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (!call_is(call, index, others[i])) continue;
        choice->is_empty = true;
        return true;
    }
    reply_error_format(call->reply, "ERR Unknown client type '%.*s'", call_shown(call->args[index]),
                       call->args[index].data);
    return false;
}

/* ---- Looking --------------------------------------------------------------------------------- */

static void describe(const struct client *client, int64_t now_ms, struct text *text) {
    char *out = text_reserve(text, CLIENT_LINE_MAX);
    if (out != NULL) text->size += client_describe(client, now_ms, out);
}

static void client_info(struct call *call) {
    struct text text = {0};
    pthread_mutex_lock(&call->worker->registry);
    describe(call->client, call->now_ms, &text);
    pthread_mutex_unlock(&call->worker->registry);
    report_reply(call, &text);
}

static bool read_list_options(struct call *call, struct choice *choice) {
    if (call->arg_count == 2) return true;
    if (call->arg_count == 4 && call_is(call, 2, "TYPE")) return read_type(call, 3, choice);
    if (call->arg_count < 4 || !call_is(call, 2, "ID")) {
        call_syntax_error(call);
        return false;
    }
    choice->ids = &call->args[3];
    choice->id_count = call->arg_count - 3;
    for (uint32_t i = 0; i < choice->id_count; i++) {
        int64_t number;
        if (number_read(choice->ids[i], &number)) continue;
        reply_error(call->reply, "ERR Invalid client ID");
        return false;
    }
    return true;
}

static void client_list(struct call *call) {
    struct choice choice = {0};
    if (!read_list_options(call, &choice)) return;
    struct text text = {0};
    for (uint32_t i = 0; i < call->server->worker_count; i++) {
        struct worker *worker = &call->server->workers[i];
        pthread_mutex_lock(&worker->registry);
        for (const struct client *client = worker->clients; client != NULL; client = client->next) {
            if (is_chosen(client, &choice, call->now_ms)) describe(client, call->now_ms, &text);
        }
        pthread_mutex_unlock(&worker->registry);
    }
    report_reply(call, &text);
}

/* ---- Killing --------------------------------------------------------------------------------- */

/* Our own clients: closed here and now, but the caller, who hears the answer first. */
static uint32_t kill_own(struct call *call, const struct choice *choice) {
    uint32_t killed = 0;
    for (struct client *client = call->worker->clients, *next; client != NULL; client = next) {
        next = client->next;
        if (!is_chosen(client, choice, call->now_ms)) continue;
        atomic_store_explicit(&client->is_killed, true, memory_order_relaxed);
        killed++;
        if (client == call->client) {
            client->is_finishing = true;
        } else {
            worker_close_client(call->worker, client);
        }
    }
    return killed;
}

/* Those of another worker: it gets a letter. Posting takes no lock (it may write to an eventfd), so it may be done
 * under the registry's; a full mailbox leaves them alive, and not counted. */
static uint32_t kill_others(struct call *call, struct worker *worker, const struct choice *choice) {
    uint32_t killed = 0;
    pthread_mutex_lock(&worker->registry);
    for (struct client *client = worker->clients; client != NULL; client = client->next) {
        if (!is_chosen(client, choice, call->now_ms)) continue;
        if (!worker_condemn_locked(worker, client)) break;
        atomic_store_explicit(&client->is_killed, true, memory_order_relaxed);
        killed++;
    }
    pthread_mutex_unlock(&worker->registry);
    return killed;
}

static uint32_t kill_chosen(struct call *call, const struct choice *choice) {
    uint32_t killed = 0;
    for (uint32_t i = 0; i < call->server->worker_count; i++) {
        struct worker *worker = &call->server->workers[i];
        killed +=
            worker == call->worker ? kill_own(call, choice) : kill_others(call, worker, choice);
    }
    return killed;
}

/* A number of at least 1, or `error` is replied. */
static bool read_positive(struct call *call, uint32_t index, const char *not_number,
                          const char *not_positive, int64_t *number) {
    bool is_number = number_read(call->args[index], number);
    if (is_number && *number > 0) return true;
    reply_error(call->reply, is_number ? not_positive : not_number);
    return false;
}

static bool read_user(struct call *call, uint32_t index, struct choice *choice) {
    struct user *user = users_hold(&call->server->users, call->args[index]);
    choice->user = call->args[index];
    user_release(user);
    if (user != NULL) return true;
    reply_error_format(call->reply, "ERR No such user '%.*s'", call_shown(call->args[index]),
                       call->args[index].data);
    return false;
}

static bool read_skip(struct call *call, uint32_t index, struct choice *choice) {
    bool skips = call_is(call, index, "YES");
    choice->but = skips ? call->client : NULL;
    if (skips || call_is(call, index, "NO")) return true;
    call_syntax_error(call);
    return false;
}

static bool read_kill_option(struct call *call, uint32_t index, struct choice *choice) {
    uint32_t value = index + 1;
    if (value == call->arg_count) {
        call_syntax_error(call);
        return false;
    }
    if (call_is(call, index, "ID")) {
        int64_t id;
        static const char error[] = "ERR client-id should be greater than 0";
        choice->ids = &call->args[value];
        choice->id_count = 1;
        return read_positive(call, value, error, error, &id);
    }
    if (call_is(call, index, "MAXAGE")) {
        return read_positive(call, value, "ERR maxage is not an integer or out of range",
                             "ERR maxage should be greater than 0", &choice->age_s);
    }
    if (call_is(call, index, "TYPE")) return read_type(call, value, choice);
    if (call_is(call, index, "USER")) return read_user(call, value, choice);
    if (call_is(call, index, "SKIPME")) return read_skip(call, value, choice);
    if (call_is(call, index, "ADDR")) {
        choice->peer = call->args[value];
        return true;
    }
    if (call_is(call, index, "LADDR")) {
        choice->self = call->args[value];
        return true;
    }
    call_syntax_error(call);
    return false;
}

static void client_kill(struct call *call) {
    if (call->arg_count == 3) { /* the old form: an address, perhaps one's own */
        struct choice choice = {.peer = call->args[2]};
        if (kill_chosen(call, &choice) != 0) {
            reply_simple(call->reply, "OK");
        } else {
            reply_error(call->reply, "ERR No such client");
        }
        return;
    }
    struct choice choice = {.but = call->client};
    for (uint32_t i = 2; i < call->arg_count; i += 2) {
        if (!read_kill_option(call, i, &choice)) return;
    }
    reply_integer(call->reply, kill_chosen(call, &choice));
}

/* ---- Unblocking ------------------------------------------------------------------------------ */

static bool is_waiting(const struct client *client, uint64_t id) {
    return client->id == id &&
           atomic_load_explicit(&client->waiting_bytes, memory_order_relaxed) != 0;
}

/* By a letter, be it to our own worker: a client goes on between batches only. */
static bool unblock(struct worker *worker, uint64_t id, bool with_error) {
    bool is_found = false;
    pthread_mutex_lock(&worker->registry);
    for (const struct client *client = worker->clients; client != NULL && !is_found;
         client = client->next) {
        is_found = is_waiting(client, id);
    }
    pthread_mutex_unlock(&worker->registry);
    return is_found && worker_unblock(worker, id, with_error);
}

static void client_unblock(struct call *call) {
    bool with_error = call->arg_count == 4 && call_is(call, 3, "ERROR");
    if (call->arg_count > 4 ||
        (call->arg_count == 4 && !with_error && !call_is(call, 3, "TIMEOUT"))) {
        reply_error(call->reply, "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
        return;
    }
    int64_t id;
    if (!call_integer(call, 2, &id)) return;
    bool is_unblocked = false;
    for (uint32_t i = 0; i < call->server->worker_count && !is_unblocked; i++) {
        is_unblocked = unblock(&call->server->workers[i], (uint64_t)id, with_error);
    }
    reply_integer(call->reply, is_unblocked);
}

/* ---- Pausing --------------------------------------------------------------------------------- */

/* A pause that holds already is only ever made longer, and stricter. */
static void client_pause(struct call *call) {
    bool writes_only = call->arg_count > 3 && call_is(call, 3, "WRITE");
    if (call->arg_count > 4 || (call->arg_count == 4 && !writes_only && !call_is(call, 3, "ALL"))) {
        reply_error(call->reply, "ERR CLIENT PAUSE mode must be WRITE or ALL");
        return;
    }
    int64_t timeout_ms;
    if (!number_read(call->args[2], &timeout_ms)) {
        reply_error(call->reply, "ERR timeout is not an integer or out of range");
        return;
    }
    if (timeout_ms < 0 || timeout_ms > INT64_MAX - call->now_ms) {
        reply_error(call->reply,
                    timeout_ms < 0 ? "ERR timeout is negative" : "ERR timeout is out of range");
        return;
    }
    struct server *server = call->server;
    int64_t until_ms = atomic_load_explicit(&server->pause_until_ms, memory_order_relaxed);
    if (until_ms > call->now_ms) {
        writes_only =
            writes_only && atomic_load_explicit(&server->pause_writes_only, memory_order_relaxed);
    }
    if (until_ms < call->now_ms + timeout_ms) until_ms = call->now_ms + timeout_ms;
    atomic_store_explicit(&server->pause_writes_only, writes_only, memory_order_relaxed);
    atomic_store_explicit(&server->pause_until_ms, until_ms, memory_order_relaxed);
    gate_close(server, GATE_PAUSE);
    reply_simple(call->reply, "OK");
}

static void client_unpause(struct call *call) {
    server_unpause(call->server);
    reply_simple(call->reply, "OK");
}

static void client_help(struct call *call) {
    static const char *const lines[] = {
        "GETNAME",
        "    Return the name of the current connection.",
        "ID",
        "    Return the ID of the current connection.",
        "INFO",
        "    Return information about the current client connection.",
        "KILL <ip:port>",
        "    Kill connection made from <ip:port>.",
        "KILL <option> <value> [<option> <value> [...]]",
        "    Kill connections. Options are:",
        "    * ADDR (<ip:port>|<unixsocket>:0)",
        "      Kill connections made from the specified address",
        "    * LADDR (<ip:port>|<unixsocket>:0)",
        "      Kill connections made to specified local address",
        "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
        "      Kill connections by type.",
        "    * USER <username>",
        "      Kill connections authenticated by <username>.",
        "    * SKIPME (YES|NO)",
        "      Skip killing current connection (default: yes).",
        "    * ID <client-id>",
        "      Kill connections by client id.",
        "    * MAXAGE <maxage>",
        "      Kill connections older than the specified age.",
        "LIST [options ...]",
        "    Return information about client connections. Options:",
        "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
        "      Return clients of specified type.",
        "    * ID <client-id> [<client-id> ...]",
        "      Return the clients with these ids.",
        "UNBLOCK <clientid> [TIMEOUT|ERROR]",
        "    Unblock the specified blocked client.",
        "UNPAUSE",
        "    Stop the current client pause, resuming traffic.",
        "PAUSE <timeout> [WRITE|ALL]",
        "    Suspend all, or just write, clients for <timeout> milliseconds.",
        "REPLY (ON|OFF|SKIP)",
        "    Control the replies sent to the current connection.",
        "SETNAME <name>",
        "    Assign the name <name> to the current connection.",
        "SETINFO <option> <value>",
        "    Set client meta attr. Options are:",
        "    * LIB-NAME: the client lib name.",
        "    * LIB-VER: the client lib version.",
        "NO-EVICT (ON|OFF)",
        "    Protect current client connection from eviction.",
        "NO-TOUCH (ON|OFF)",
        "    Will not touch LRU/LFU stats when this mode is on.",
        NULL,
    };
    call_reply_help(call, lines);
}

/* ---- Rows ------------------------------------------------------------------------------------ */

enum {
    ALWAYS = COMMAND_LOADING | COMMAND_STALE,
    OWN = ALWAYS | COMMAND_NO_SCRIPT,
    OTHERS = OWN | COMMAND_ADMIN,
};

static const struct command client_rows[] = {
    {.name = "client|getname",
     .run = client_get_name,
     .arity = 2,
     .flags = OWN,
     .group = GROUP_CONNECTION,
     .since = "2.6.9",
     .complexity = "O(1)",
     .summary = "Returns the name of the connection.",
     .syntax = ""},
    {.name = "client|help",
     .run = client_help,
     .arity = 2,
     .flags = ALWAYS,
     .group = GROUP_CONNECTION,
     .since = "5.0.0",
     .complexity = "O(1)",
     .summary = "Explains CLIENT.",
     .syntax = ""},
    {.name = "client|id",
     .run = client_id,
     .arity = 2,
     .flags = OWN,
     .group = GROUP_CONNECTION,
     .since = "5.0.0",
     .complexity = "O(1)",
     .summary = "Returns the number of the connection.",
     .syntax = ""},
    {.name = "client|info",
     .run = client_info,
     .arity = 2,
     .flags = OWN,
     .group = GROUP_CONNECTION,
     .since = "6.2.0",
     .complexity = "O(1)",
     .summary = "Describes the connection.",
     .syntax = ""},
    {.name = "client|kill",
     .run = client_kill,
     .arity = -3,
     .flags = OTHERS,
     .group = GROUP_CONNECTION,
     .since = "2.4.0",
     .complexity = "O(n) in the connections",
     .summary = "Closes connections.",
     .syntax = "<filter: ip:port | <new-format: ID client-id | "
               "TYPE <NORMAL | MASTER | SLAVE | REPLICA | PUBSUB> | USER username | "
               "ADDR ip:port | LADDR ip:port | SKIPME <skipme: YES | NO> | MAXAGE maxage> [...]>"},
    {.name = "client|list",
     .run = client_list,
     .arity = -2,
     .flags = OTHERS,
     .group = GROUP_CONNECTION,
     .since = "2.4.0",
     .complexity = "O(n) in the connections",
     .summary = "Describes all connections, or some.",
     .syntax = "[TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID <id: client-id [client-id ...]>]"},
    {.name = "client|no-evict",
     .run = client_no_evict,
     .arity = 3,
     .flags = OTHERS,
     .group = GROUP_CONNECTION,
     .since = "7.0.0",
     .complexity = "O(1)",
     .summary = "Marks the connection as one to keep when memory is short.",
     .syntax = "<enabled: ON | OFF>"},
    {.name = "client|no-touch",
     .run = client_no_touch,
     .arity = 3,
     .flags = OWN,
     .group = GROUP_CONNECTION,
     .since = "7.2.0",
     .complexity = "O(1)",
     .summary = "Lets the connection's commands leave the keys' access times alone.",
     .syntax = "<enabled: ON | OFF>"},
    {.name = "client|pause",
     .run = client_pause,
     .arity = -3,
     .flags = OTHERS,
     .group = GROUP_CONNECTION,
     .since = "2.9.50",
     .complexity = "O(1)",
     .summary = "Holds up all commands, or those that write, for a time.",
     .syntax = "timeout [mode: WRITE | ALL]"},
    {.name = "client|reply",
     .run = client_reply,
     .arity = 3,
     .flags = OWN,
     .group = GROUP_CONNECTION,
     .since = "3.2.0",
     .complexity = "O(1)",
     .summary = "Chooses whether commands are answered.",
     .syntax = "<ON | OFF | SKIP>"},
    {.name = "client|setinfo",
     .run = client_set_info,
     .arity = 4,
     .flags = OWN,
     .group = GROUP_CONNECTION,
     .since = "7.2.0",
     .complexity = "O(1)",
     .summary = "Tells which library the client uses.",
     .syntax = "<LIB-NAME libname | LIB-VER libver>"},
    {.name = "client|setname",
     .run = client_set_name,
     .arity = 3,
     .flags = OWN,
     .group = GROUP_CONNECTION,
     .since = "2.6.9",
     .complexity = "O(1)",
     .summary = "Names the connection.",
     .syntax = "connection-name"},
    {.name = "client|unblock",
     .run = client_unblock,
     .arity = -3,
     .flags = OTHERS,
     .group = GROUP_CONNECTION,
     .since = "5.0.0",
     .complexity = "O(n) in the connections",
     .summary = "Ends the wait of another connection.",
     .syntax = "client-id [TIMEOUT | ERROR]"},
    {.name = "client|unpause",
     .run = client_unpause,
     .arity = 2,
     .flags = OTHERS | COMMAND_UNPAUSED,
     .group = GROUP_CONNECTION,
     .since = "6.2.0",
     .complexity = "O(n) in the paused connections",
     .summary = "Ends CLIENT PAUSE.",
     .syntax = ""},
};

static const struct command rows[] = {
    {.name = "client",
     .arity = -2,
     .group = GROUP_CONNECTION,
     .since = "2.4.0",
     .complexity = "by subcommand",
     .summary = "Looks at connections and acts on them.",
     .syntax = "",
     .subcommands = client_rows,
     .subcommand_count = sizeof(client_rows) / sizeof(client_rows[0])},
};

const struct command_group_rows commands_client = {rows, sizeof(rows) / sizeof(rows[0])};
