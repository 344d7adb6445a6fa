/* What the main thread does while the server runs: it waits for signals.
 *
 *      TERM, INT   the end               HUP     the log file is opened anew
 *      USR1        the end, our own: who sent it has prepared it (server_stop); another's is as TERM
 *      USR2        a successor is started, which takes over (takeover/)
 *      CHLD        one has ended
 *
 * Signals are blocked in every thread and taken here, so no code of ours runs inside a signal handler. */
#pragma once

#include <signal.h>
#include <stdbool.h>

struct server;

/* Block them, for this thread and those it makes; `signals` is then for signals_await. */
void signals_block(sigset_t *signals);
/* Has one come that ends us? Also before signals_await. */
bool signals_want_end(void);
/* Wait for one that ends us, and return it. `is_supervised`: systemd is told of what happens here. */
int signals_await(struct server *server, const sigset_t *signals, bool is_supervised);
