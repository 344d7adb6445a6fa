/* MONITOR: clients that are shown every command of all workers as it runs.
 *
 *      worker runs a batch ─▶ its lines, as one text ─┬─▶ the outputs of its own monitors
 *                                                     └─▶ a letter to each worker that has monitors ─▶ their outputs
 *
 * While nobody monitors it costs a relaxed load a batch. Lines of one worker keep their order; between workers their times
 * tell it, nearly. A monitor that doesn't take its lines is closed at its output limit, as any client. What is too long
 * (MONITOR_BATCH_BYTES a batch), or finds a full mailbox or no memory, is left out, and counted. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "text.h"

struct client;
struct request;
struct server;
struct worker;

enum { MONITOR_BATCH_BYTES = 16 * 1024 * 1024 };

/* A worker's part. */
struct monitors {
    struct client *first;   /* its clients that monitor; this thread only */
    _Atomic uint32_t count; /* atomic, relaxed: how many; any thread */
    struct text lines;      /* of this batch; this thread only */
    _Atomic uint64_t lost;  /* atomic, relaxed: lines, or texts of a batch; a statistic */
};

void monitors_release(struct monitors *monitors);

/* The client's own worker. Joining twice, or leaving without having joined, does nothing. */
void monitor_join(struct client *client);
void monitor_leave(struct client *client);

/* Does anybody monitor? Any thread. */
bool monitor_is_wanted(const struct server *server);
/* A request has run: add its line, unless the command is one that isn't shown. */
void monitor_note(struct worker *worker, const struct request *request);
/* The batch is over: hand out its lines. */
void monitor_publish(struct worker *worker);
