/* Large values are freed by the background pool, so that no worker stands still for them. */
#pragma once

#include "shards/database.h"

struct server;

/* For the shards, while the server's jobs are there. */
struct reclaimer reclaim_in_background(struct server *server);
