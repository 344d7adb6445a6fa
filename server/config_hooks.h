/* What options do to a running server when CONFIG SET changes them. */
#pragma once

struct server;

/* Once, before other threads run. */
void config_hooks_attach(struct server *server);
