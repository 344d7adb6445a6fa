/* The memory of all clients (their input that waits, their replies that aren't sent) is held against a limit of its
 * own, maxmemory-clients: no key is evicted for it, and no crowd of slow readers takes the machine. Beyond it those
 * who take most are closed. */
#pragma once

#include <stdbool.h>

struct client;
struct server;
struct worker;

/* Take the limit from the configuration. */
void clients_memory_apply(struct server *server);
/* After a turn: if clients have grown beyond the limit, have a job look for the worst. O(1) when none has grown. */
void clients_memory_turn(struct worker *worker);
/* A client was settled, and holds input. False: that passes the limit by itself, and the client is evicted. O(1). */
bool clients_memory_admit(struct worker *worker, struct client *client);
/* The client's own worker: close it, and tell it why where it can still be told. */
void clients_memory_evict(struct worker *worker, struct client *client);
