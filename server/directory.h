/* The working directory: the option `dir`, where relative paths of other options start. Main thread. */
#pragma once

#include "server/config.h"

/* Change to it; from here on the option tells it as an absolute path. STATUS_REFUSED: `error` (CONFIG_ERROR_MAX bytes)
 * says why, for instance that snapshots are wanted and could not be written there. */
must_use enum status directory_enter(struct config *config, char *error);
