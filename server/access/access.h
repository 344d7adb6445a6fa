/* Who a client is, and what it may do: between the table of users and the clients of a worker.
 *
 * A client holds its user and two judgements that follow from it, which dispatch looks at (client.h):
 * `is_trusted` (it has logged in, or needn't) and `may_all` (trusted, and its user may do everything). So for
 * such a client access costs nothing beside the test for a password that was there before: one byte. All others
 * are asked about command by command. How changes reach clients: users.h, the rules of threads.
 *
 * Threads: a client's own worker, unless it says otherwise. */
#pragma once

#include "server/access/users.h"
#include "server/config.h"

struct call;
struct client;
struct server;
struct worker;

/* At start: the users as requirepass, the `user` lines and the aclfile say. On failure `error`
 * (CONFIG_ERROR_MAX) says what is wrong, and there is nothing to release. */
must_use enum status access_open(struct users *users, const struct command_table *commands,
                                 struct config *config, char *error);
/* Tell every error of the renames, the `user` lines and the aclfile (config_tells). */
void access_check(struct config *config);

/* A new connection, or one like it: the default user's. */
void access_enter(struct client *client);
/* The client becomes this user's, whose hold it takes over. */
void access_login(struct client *client, struct user *user);
/* Before the client is freed. */
void access_leave(struct client *client);

/* Judge the worker's clients anew; those whose user is gone are closed, `current` (may be NULL) when it has its
 * reply. */
void access_refresh(struct worker *worker, struct client *current);
/* The same when users have changed. Two loads and a comparison when they haven't. */
void access_keep_up(struct worker *worker);
/* After a change by this command: it holds for what comes next, here and everywhere. */
void access_spread(struct call *call);
/* The same after a change that no command made. Any thread. */
void access_wake_workers(struct server *server);

/* May this client, not one that may all, run the command? If not, that is replied and noted. */
bool access_permits(struct call *call, uint32_t id);
/* AUTH or HELLO came with a wrong name or password. */
void access_note_failed_login(struct call *call, struct bytes user);
