/* `sherd --check`: what a start would fail on, found without one. It looks with the eyes of a start: each part tells in
 * its own words why it could not begin (log_check, listener_check_tcp, ...), here are only the order and the options.
 *
 * Nothing is left behind: no file is made or opened for writing, no socket listens. Nothing is disturbed either, so a
 * server's own configuration may be checked while it runs: addresses and sockets in use are fine. What only the disk or
 * another process can say is left to the start: whether a snapshot can be read, a port is free. */
#pragma once

#include "server/config.h"

/* Tell every error (config_tells) of what a configuration that was loaded names. Main thread; the working directory is
 * `dir` from then on. */
void rehearsal_run(struct config *config);
