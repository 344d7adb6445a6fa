#include "server/access/access.h"

#include <stdio.h>

#include "server/access/users_file.h"
#include "server/call.h"
#include "server/client.h"
#include "server/log.h"
#include "server/renames.h"
#include "server/server.h"
#include "server/worker.h"

/* ---- At start -------------------------------------------------------------------------------- */

static enum status load(struct users *users, struct config *config, char *error) {
    if (config->user_lines.count != 0 && config->aclfile[0] != 0) {
        config_line_error(
            &config->user_lines.items[0],
            "users are defined here, and an aclfile is given, too. This setup is very likely to "
            "lead to configuration errors and security holes: please define either an ACL file or "
            "declare users directly in the configuration, but not both",
            error, CONFIG_ERROR_MAX);
        if (!config_tells(config, error)) return STATUS_REFUSED;
    }
    enum status status = STATUS_OK;
    if (config->user_lines.count != 0) status = users_load_lines(users, config, error);
    if (config->aclfile[0] != 0 && status == STATUS_OK)
        status = users_load_file(users, config, error);
    return status;
}

static enum status open_users(struct users *users, const struct command_table *commands,
                              struct config *config, char *error) {
    snprintf(error, CONFIG_ERROR_MAX, "no memory for users");
    if (users_init(users, commands) != STATUS_OK) return STATUS_NO_MEMORY;
    atomic_store_explicit(&users->channels_at_first,
                          config_number(&config->acl_pubsub_default) == CHANNELS_ALL,
                          memory_order_relaxed);
    struct bytes password = bytes_of_text(config->requirepass);
    enum status status =
        password.size != 0 ? users_set_default_password(users, password) : STATUS_OK;
    if (status == STATUS_OK) status = load(users, config, error);
    if (status != STATUS_OK) users_release(users);
    return status;
}

enum status access_open(struct users *users, const struct command_table *commands,
                        struct config *config, char *error) {
    enum status status = open_users(users, commands, config, error);
    config_lines_forget(&config->user_lines); /* they have passwords */
    return status;
}

void access_check(struct config *config) {
    struct command_table *commands = command_table_create(), *renamed = command_table_create();
    struct users users;
    enum status status = STATUS_NO_MEMORY;
    char error[CONFIG_ERROR_MAX] = "out of memory";
    if (commands != NULL && renamed != NULL) {
        status = renames_apply(renamed, config, error);
        if (status == STATUS_OK) status = open_users(&users, commands, config, error);
        if (status == STATUS_OK) users_release(&users);
    }
    if (status != STATUS_OK) config_tells(config, error);
    if (commands != NULL) command_table_destroy(commands);
    if (renamed != NULL) command_table_destroy(renamed);
}

/* ---- A client's user ------------------------------------------------------------------------- */

static void judge(struct client *client) {
    client->is_trusted = client->is_authenticated || user_is_open(client->user);
    client->may_all = client->is_trusted && client->user->may_all;
}

/* Takes over the hold. Others look at the user's name under the registry's lock. */
static void set_user(struct client *client, struct user *user) {
    struct user *before = client->user;
    pthread_mutex_lock(&client->worker->registry);
    client->user = user;
    pthread_mutex_unlock(&client->worker->registry);
    user_release(before);
}

void access_enter(struct client *client) {
    set_user(client, users_hold_default(&client->worker->server->users));
    client->is_authenticated = user_is_open(client->user);
    judge(client);
}

void access_login(struct client *client, struct user *user) {
    set_user(client, user);
    client->is_authenticated = true;
    judge(client);
}

void access_leave(struct client *client) {
    user_release(client->user);
    client->user = NULL;
}

/* ---- Changes --------------------------------------------------------------------------------- */

/* The user that a client is to be judged by now; those of one who is gone become the default's strangers until
 * they are closed. */
static void renew_locked(const struct users *users, struct client *client) {
    const struct user *old = client->user;
    struct user *now = users_find_locked(users, bytes_of_text(old->name));
    client->is_gone = now == NULL || now->identity != old->identity;
    if (client->is_gone) {
        now = users_find_locked(users, BYTES("default"));
        client->is_authenticated = false;
        atomic_store_explicit(&client->is_killed, true, memory_order_relaxed);
    }
    if (now != old) set_user(client, user_hold(now));
    judge(client);
}

void access_refresh(struct worker *worker, struct client *current) {
    struct users *users = &worker->server->users;
    pthread_mutex_lock(&users->lock);
    worker->users_version = users_version(users);
    for (struct client *client = worker->clients; client != NULL; client = client->next) {
        renew_locked(users, client);
    }
    pthread_mutex_unlock(&users->lock);
    for (struct client *client = worker->clients, *next; client != NULL; client = next) {
        next = client->next;
        if (!client->is_gone) continue;
        if (client == current) {
            client->is_finishing = true;
        } else {
            worker_close_client(worker, client);
        }
    }
}

void access_keep_up(struct worker *worker) {
    if (__builtin_expect(users_version(&worker->server->users) == worker->users_version, 1)) return;
    access_refresh(worker, NULL);
}

void access_wake_workers(struct server *server) {
    for (uint32_t i = 0; i < server->worker_count; i++) {
        mailbox_wake(&server->workers[i].mailbox);
    }
}

void access_spread(struct call *call) {
    access_refresh(call->worker, call->client);
    access_wake_workers(call->server);
}

/* ---- Denials --------------------------------------------------------------------------------- */

static void note(struct call *call, enum acl_log_reason reason, struct bytes object,
                 struct bytes user) {
    char line[CLIENT_LINE_MAX];
    atomic_store_explicit(&call->client->last_command, call->command, memory_order_relaxed);
    pthread_mutex_lock(&call->worker->registry);
    size_t size = client_describe(call->client, call->now_ms, line);
    pthread_mutex_unlock(&call->worker->registry);
    if (size != 0 && line[size - 1] == '\n') size--;
    struct acl_denial denial = {reason, object, user, bytes_of(line, size)};
    acl_log_add(&call->server->acl_log, &denial, call->now_ms,
                (uint64_t)config_number(&call->server->config->acllog_max_len));
}

bool access_permits(struct call *call, uint32_t id) {
    const struct user *user = call->client->user;
    struct selector_question question = {
        .row = call->command, .id = id, .args = call->args, .arg_count = call->arg_count};
    uint32_t denied = 0;
    switch (users_ask(&call->server->users, user, question, &denied)) {
    case SELECTOR_PERMITS:
        return true;
    case SELECTOR_DENIES_COMMAND:
        reply_error_format(call->reply, "NOPERM User %s has no permissions to run the '%s' command",
                           user->name, call->command->name);
        note(call, ACL_LOG_COMMAND, bytes_of_text(call->command->name), bytes_of_text(user->name));
        return false;
    case SELECTOR_DENIES_KEY:
        reply_error(call->reply, "NOPERM No permissions to access a key");
        note(call, ACL_LOG_KEY, call->args[denied], bytes_of_text(user->name));
        return false;
    }
    return false;
}

void access_note_failed_login(struct call *call, struct bytes user) {
    note(call, ACL_LOG_AUTH, call->args[0], user);
}
