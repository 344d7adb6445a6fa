/* One command in the act of running: what its body is handed, and the few things that bodies do all the time.
 *
 * On the worker's stack for the time of one command. The shards of the row's keys are locked (for reading
 * or for writing, as the row says) before the body runs and until it returns; a body that takes locks
 * itself is marked COMMAND_NOT_KEYED. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "command.h"
#include "net/resp_reply.h"
#include "shards/place.h"
#include "shards/shards.h"

struct server;
struct worker;
struct client;

struct call {
    struct server *server;
    struct worker *worker;
    struct client *client;
    const struct command *command;
    const struct bytes *args; /* args[0] is the name as the client wrote it */
    uint32_t arg_count;
    uint32_t database; /* the client's, when the command began */
    struct reply *reply;
    int64_t now_ms;       /* Unix time; the same for the whole turn */
    struct key first_key; /* of a keyed command: hashed when the request was read */
    struct shard *first_shard;
    uint64_t begun_ticks; /* when it began, once it is timed; 0: it isn't so far (timing.h) */
    bool is_refused;      /* at the memory limit: it wasn't run */
};

/* The entry of the key in argument `index` for reading; NULL when absent. Counts a read and a hit or a miss. */
struct entry *call_read(struct call *call, uint32_t index);
/* What it counts, for a body that looks more than once: `entry` is what was found under the first key, or NULL. */
void call_note_read(struct call *call, struct entry *entry);
/* The place of the key in argument `index`, for writing; `place.entry` is NULL when absent. Counts a write, and a use. */
struct place call_write(struct call *call, uint32_t index);
/* The first key's place, for writing by the one whom leases_fill has let fill it; likewise. */
struct place call_fill(struct call *call);
/* The first key's place, whose value is replied as well: counts a read, and a hit or a miss. */
void call_count_read(struct call *call, const struct place *place);
/* Either, in another database (COPY, MOVE): the key's shard is the same. */
struct place call_write_in(struct call *call, uint32_t index, uint32_t database);

/* Memory for the time of this command; NULL only when memory is refused (an error is replied then). */
must_use void *call_scratch(struct call *call, size_t size);
/* Dispatch, after each command: what call_scratch gave is gone. */
void call_scratch_reset(struct worker *worker);
/* An integer argument; on failure replies the usual error and returns false. */
bool call_integer(struct call *call, uint32_t index, int64_t *number);
/* The same for the index of a database, which must be one that there is. */
bool call_database(struct call *call, uint32_t index, uint32_t *database);
/* True when argument `index` is `word` in any case. */
static inline bool call_is(const struct call *call, uint32_t index, const char *word) {
    return bytes_is(call->args[index], word);
}
enum { CALL_SHOWN_MAX = 128 };
/* How much of an argument an error shows, for "%.*s": its beginning. As an int, a size of 2^31 would
 * be negative, and that is no limit to printf. */
static inline int call_shown(struct bytes argument) {
    return argument.size < CALL_SHOWN_MAX ? (int)argument.size : CALL_SHOWN_MAX;
}
/* The common errors. */
void call_syntax_error(struct call *call);
void call_wrong_type(struct call *call);
/* Replies what `status` means to a client ("ERR value is not an integer or out of range", "OOM ..."). */
void call_failed(struct call *call, enum status status);
/* A stored string as a bulk reply; large ones by reference. Lock: read. */
void call_reply_value(struct call *call, const struct entry *entry);
/* "HELP" of a container: a line each; `lines` ends with NULL. */
void call_reply_help(struct call *call, const char *const *lines);
/* The error of a container whose argument 1 is none of its subcommands. */
void call_unknown_subcommand(struct call *call);
