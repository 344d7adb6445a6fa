/* Reading keys at start, once: a file, before READY, while clients are answered -LOADING; or what a predecessor
 * hands over, while it serves them.
 *
 * It lasts as long as GATE_LOADING is closed. Numbers are atomic and relaxed, for INFO. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shards/base/status.h"

struct server;

enum { LOADER_BLOCK_BYTES = 256 * 1024 };

struct loader {
    _Atomic int64_t started_ms;
    _Atomic uint64_t total_bytes, loaded_bytes;
    _Atomic uint64_t keys, expired;
};

/* Before clients come, and before anything is saved: if there is something to load, close the gate. */
void loader_prepare(struct server *server, bool takes_over);
/* Load it, with as many threads as there are processors, and open the gate. It is read in blocks of
 * `block_bytes`: LOADER_BLOCK_BYTES, or in tests as few as the head of a file has. A failure is in the log, and
 * the store then holds part of the file: it must not be served. STATUS_REFUSED: a signal to stop came first.
 * Main thread. */
must_use enum status loader_run(struct server *server, size_t block_bytes);
/* The same of what comes from `fd`, a pipe: its end must be behind the last byte, or what came is not loaded. The caller
 * opens the gate, when it has said that all is ours. */
must_use enum status loader_take(struct server *server, int fd);
