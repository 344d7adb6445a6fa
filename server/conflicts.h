/* Options that want the same place. Binding would find that, too, but take the server that is about to start for
 * another one. */
#pragma once

#include "config.h"
#include "net/listener.h"
#include "shards/base/status.h"

enum { CONFLICTS_ERROR_MAX = LISTENER_ERROR_MAX };

/* STATUS_REFUSED: `error` (CONFLICTS_ERROR_MAX bytes) says which two, and `*option` is one of them. Names are looked
 * up. Relative paths are those of the working directory. */
must_use enum status conflicts_check(const struct config *config, const char **option, char *error);
