/* What the main thread does while the server runs: it waits for signals, and keeps systemd's watchdog quiet.
 *
 *      TERM, INT   the end               HUP     the log file is opened anew
 *      USR2        the end, our own: who sent it has prepared it
 *
 * Signals are blocked in every thread and taken here, so no code of ours runs inside a signal handler. */
#pragma once

#include <signal.h>
#include <stdbool.h>

struct server;

/* Block them, for this thread and those it makes; `signals` is then for signals_await. */
void signals_block(sigset_t *signals);
/* Wait for one that ends us, and return it. `is_supervised`: systemd is told of what happens here. */
int signals_await(struct server *server, const sigset_t *signals, bool is_supervised);
