/* Clients whose command waits for something that another client does: how they stop being served, and how they go
 * on.
 *
 * A body that finds that it must wait says so with blocking_wait, and replies nothing. The client is suspended:
 * what it sent behind stays unread. When what it waits for happens, or its time is over, the command is run again,
 * from the beginning, and replies or waits on. Worker's thread only, but for what happens in the shards
 * (blocking.c). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "call.h"
#include "shards/waiters.h"

struct waiting;

/* Body of a command of one key, under its shard's lock for writing: wait in `waiters`, for `wait_ms` at most,
 * counted from the command's first run, and look again at `look_ms` (Unix time) in any case. False: the wait is
 * over, or can't be had (no memory; a client that hears no replies). Then reply without it. */
must_use bool blocking_wait(struct call *call, struct waiters *waiters, int64_t wait_ms,
                            int64_t look_ms);

/* Run again what was woken; what is due at the worker's time. Replies are left to be settled by batch_run. */
void blocking_open_woken(struct worker *worker);
void blocking_open_due(struct worker *worker);
/* End a client's wait, if it waits: without a reply, for it is about to be closed; with an error; as if its
 * time was over. */
void blocking_cancel(struct client *client);
void blocking_refuse(struct client *client, const char *error);
void blocking_hurry(struct client *client);
