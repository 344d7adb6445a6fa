/* From a parsed request to its reply: look up, check, lock, run, account. The only place that locks shards
 * for commands. */
#pragma once

#include "worker.h"

/* When a request is parsed: find its row, route and hash its first key, and ask for the bucket's cache line. */
void dispatch_prepare(struct worker *worker, struct request *request);
/* A little later: ask for the entry's. */
void dispatch_prefetch(struct worker *worker, const struct request *request);
/* Run it: the reply is appended to the client's output. False when it could not run now (clients are
 * paused): try again later. */
bool dispatch_run(struct worker *worker, const struct request *request);
