/* Telling systemd how it stands with us: the datagrams of sd_notify(3), for a unit of Type=notify.
 *
 * Written here because the protocol is one line to one socket, and libsystemd would be a dependency of
 * every container. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "config.h"

/* Does `supervised` ask for it, or find it ("auto")? Warns when it asks and nobody listens ($NOTIFY_SOCKET
 * is unset). */
bool supervisor_is_wanted(const struct config *config);
/* How long systemd's watchdog waits for a sign of life; 0: it doesn't watch us. */
int64_t supervisor_watchdog_ms(void);
/* Send a state: "READY=1", "STOPPING=1". Failing to is logged, and changes nothing else. */
void supervisor_notify(const char *state);
