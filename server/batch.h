/* Input -> requests -> replies, many at a time: the middle of a worker's turn.
 *
 * batch_receive parses what came into requests and prepares each; batch_run runs all that are ready and
 * settles their clients: what was not run is kept, what was replied is queued for sending. Between the
 * two, received bytes lie where they arrived. Worker's thread only. */
#pragma once

#include "shards/base/bytes.h"
#include "worker.h"

/* Take in what a client sent; runs what is ready whenever the batch is full. */
void batch_receive(struct worker *worker, struct client *client, struct bytes bytes);
/* Parse again what a client holds: it was suspended, and may go on. */
void batch_resume(struct worker *worker, struct client *client);
/* What it sends is received again, if it wasn't: it is to end. */
void batch_receive_again(struct client *client);
/* Something was replied to a client outside of the batch, and it may go on. */
void batch_answered(struct worker *worker, struct client *client);
/* Something was written to a client that did not ask for it just now. It may be closed by this, for its output. */
void batch_told(struct worker *worker, struct client *client);
/* Run every request that is ready, then settle the clients. Must come before the engine's next turn. */
void batch_run(struct worker *worker);
