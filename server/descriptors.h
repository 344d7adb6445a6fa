/* The system's limit on open descriptors (RLIMIT_NOFILE), of which every client takes one. */
#pragma once

#include <stdint.h>

#include "shards/base/status.h"

enum { DESCRIPTORS_RESERVED = 64 /* for everything but clients: listeners, rings, files */ };

/* Raise the limit, if need be, so that so many clients can be. STATUS_REFUSED: the system doesn't allow it; nothing is
 * changed, and `clients_max` says how many it allows. The process is one: callers keep each other apart. */
must_use enum status descriptors_raise(int64_t clients, int64_t *clients_max);
