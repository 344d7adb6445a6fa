/* Who may connect: listening, limits, refusals, and which worker a new client goes to. Worker 0's thread,
 * but admission_leave. */
#pragma once

#include "server.h"

/* Open what the configuration says: before the workers start. Logs each address; on failure `error`
 * (LISTENER_ERROR_MAX) says why. */
must_use enum status admission_open(struct server *server, char *error);
/* Tell every error that this would meet (config_tells), but for addresses in use. */
void admission_check(struct config *config);
/* Accept from the open listeners through worker 0's engine. */
must_use enum status admission_listen(struct server *server, struct engine *engine, char *text);
/* Accept no more: before worker 0 drains, so that nobody comes in while it lets its clients go. */
void admission_unlisten(struct server *server, struct engine *engine);
/* Accept again from those that it was taken from. Worker 0's thread. */
void admission_listen_again(struct server *server);
/* The files of Unix sockets are now another process's to remove, or ours. */
void admission_keep_files(struct server *server, bool keeps_files);
/* Close the listeners (and remove a Unix socket's file). After worker 0 has ended. */
void admission_close(struct server *server);

/* A new socket: the worker with the fewest clients, counted as its client from now on; NULL when it was
 * refused, politely, and closed. */
struct worker *admission_accept(struct server *server, int listener_fd, int fd);
/* Do those who come by this listener speak TLS? */
bool admission_is_tls(const struct server *server, int listener_fd);
/* Descriptors ran out while accepting: answer those who wait, up to 128, with the spare, and rest until
 * admission_retry. */
void admission_refuse_for_want(struct server *server, int listener_fd, int error);
/* Accept again from listeners that rest. Called on the tick. */
void admission_retry(struct server *server);
/* Any thread: a client that was admitted to `worker` is gone. */
void admission_leave(struct server *server, struct worker *worker);
