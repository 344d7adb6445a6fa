/* A server in the test's own process that runs nothing: what is to be told of it is put in by the test. */
#pragma once

#include "server/server.h"

enum { IDLE_WORKERS = 2, IDLE_SHARDS = 4, IDLE_DATABASES = 2 };

struct server *idle_server_create(void);
void idle_server_destroy(struct server *server);

/* The same as a cmocka test's setup and teardown: the server is its state. */
int idle_server_set_up(void **state);
int idle_server_tear_down(void **state);
