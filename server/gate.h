/* What stands between a command and its run besides a password: mostly nothing, and that is one test of a word.
 *
 * Closing and opening: any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct server;
struct call;
struct command;

enum gate {
    GATE_LOADING = 1 << 0,  /* a file is read at start: only what is marked COMMAND_LOADING runs */
    GATE_SAVING = 1 << 1,   /* a snapshot is taken: writers wait when they outrun it */
    GATE_MISCONF = 1 << 2,  /* the last save failed: what would be saved is refused */
    GATE_STOPPING = 1 << 3, /* the last save before the end: writers wait */
    GATE_PAUSE =
        1 << 4, /* CLIENT PAUSE, until its time is over: nothing runs, or nothing that writes */
    GATE_HANDING = 1 << 5, /* keys are handed to a successor: writers wait */
    GATE_FROZEN = 1 << 6,  /* it has them all, and is about to serve: everything waits */
};

void gate_close(struct server *server, enum gate gate);
/* Those who wait go on. */
void gate_open(struct server *server, enum gate gate);
bool gate_is_closed(const struct server *server, enum gate gate);
/* If the pause is over, or was taken back (then `now_ms` may be 0): open its gate, unless another began in this
 * moment. */
void gate_end_pause(struct server *server, int64_t now_ms);
/* Do writing commands wait for us (not for a pause)? */
bool gate_holds_writers(const struct server *server);
/* Must this command wait? Then its client is suspended, as by CLIENT PAUSE. */
bool gate_holds(const struct server *server, const struct command *row, int64_t now_ms);
/* Reply why this command is not run, and return true; or false. */
bool gate_refuses(struct call *call, const struct command *row);
