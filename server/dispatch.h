/* From a parsed request to its reply: look up, check, lock, run, account. The only place that locks shards
 * for commands. */
#pragma once

#include "worker.h"

struct call;

/* When a request is parsed: find its row, see whether it is sound, route and hash its first key. */
void dispatch_prepare(struct worker *worker, struct request *request);
/* When the batch is whole: ask for the memory of its first keys. */
void dispatch_prefetch(const struct request *requests, uint32_t count);
/* Run it: the reply is appended to the client's output. False when it could not run now (clients are
 * paused): try again later. */
bool dispatch_run(struct worker *worker, const struct request *request);
/* Run a writing command of one key once more, after it has waited (blocking.h): it was counted already. */
void dispatch_again(struct call *call);
