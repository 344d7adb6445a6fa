/* A connected client: its connection, the input that isn't run yet, and what commands know of it.
 *
 * A client belongs to one worker. Other workers see it only through the worker's registry (CLIENT LIST,
 * CLIENT KILL), whose lock guards the fields marked *registry*; the statistics are atomic.
 *
 * A client's input is parsed where it lies: in the engine's receive buffer (`view`), or, when a request is
 * cut by the end of one, in `held`, where it waits for the rest. An idle client holds neither input nor
 * output. Requests that were parsed but not run (the client paused, its replies not drained) are simply
 * not consumed: `executed` says how far it came, and the rest is parsed again later. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "command.h"
#include "net/connection.h"
#include "net/resp_reply.h"
#include "net/resp_request.h"

struct user;
struct waiting;
struct worker;

enum client_reply_mode {
    CLIENT_REPLY_ON,
    CLIENT_REPLY_OFF,
    CLIENT_REPLY_SKIP_NEXT,
    CLIENT_REPLY_SKIP
};

struct client {
    struct connection connection; /* first: the engine's events name it */
    struct worker *worker;        /* immutable */
    uint64_t id;                  /* immutable */
    int64_t created_ms;           /* immutable */

    /* Input; the worker only. */
    struct resp_parser parser;
    char *view; /* what is being parsed: the engine's buffer or `held` */
    size_t view_size;
    size_t parsed;   /* bytes of the view that are parsed into requests */
    size_t executed; /* bytes of the view whose requests were run */
    char *held;      /* heap; NULL when nothing waits */
    size_t held_size, held_capacity;
    uint32_t batched; /* its requests in the worker's batch */

    /* State; the worker only. */
    struct reply reply;
    const char
        *protocol_error; /* set when its input broke the protocol: replied after what came before */
    char protocol_error_text[RESP_ERROR_MAX];
    uint8_t reply_mode; /* enum client_reply_mode */
    /* Access (access/access.h). */
    bool is_authenticated; /* has logged in, or came when the default user needed no password */
    bool is_trusted;       /* that, or the default user needs none now */
    bool may_all;          /* trusted, and its user may run everything: nothing else is asked */
    bool is_gone;          /* its user is removed: to be closed */
    bool
        is_suspended; /* replies wait to drain, clients are paused, its command waits: parse no further */
    bool is_throttled;  /* ... because of its replies */
    bool is_unread;     /* nothing is received of it: throttled, or much of what it sent waits */
    bool is_finishing;  /* close when the replies are sent; run nothing more */
    int64_t gone_by_ms; /* was dismissed: closed then at the latest; 0: it wasn't */
    bool is_touched;    /* in the worker's list of clients to settle, by: */
    struct client *next_touched;
    bool no_touch;               /* CLIENT NO-TOUCH */
    struct waiting *waiting;     /* its command waits (blocking.h); else NULL */
    struct client *next_monitor; /* the worker's list of those that monitor (monitor.h) */

    /* Seen by other workers. */
    struct client *previous, *next;         /* registry */
    char *name, *library, *library_version; /* registry; heap, NULL when unset */
    struct user *user;                      /* registry; held */
    _Atomic uint32_t database;              /* atomic, relaxed, as are these: */
    _Atomic bool no_evict;
    _Atomic bool is_evicted;   /* its worker was told to let it go, for the memory it takes */
    _Atomic bool is_killed;    /* neither listed nor killed again */
    _Atomic bool is_condemned; /* ... but closed by the letter that is on its way to its worker */
    _Atomic uint64_t waiting_bytes; /* that `waiting` takes; 0: it doesn't wait */
    _Atomic bool is_paused;         /* a gate (gate.h) holds its next command */
    _Atomic bool is_monitor;
    _Atomic uint8_t protocol;  /* as reply.protocol */
    _Atomic int64_t active_ms; /* of the last request, or of replies that it took */
    _Atomic uint64_t command_count;
    _Atomic(const struct command *) last_command;
    _Atomic uint64_t held_bytes, output_bytes; /* when last settled */
    _Atomic uint64_t output_memory;            /* the heap's part of output_bytes, chunks whole */
};

/* Back to the state of a new connection, but for its id (RESET). */
void client_reset(struct client *client);
/* Forget the input that waits. */
void client_drop_held(struct client *client);
/* Its output changed: tell the statistics. */
void client_note_output(struct client *client);
/* Does its command wait, for whatever? Any thread that keeps it from being freed. */
bool client_is_blocked(const struct client *client);
/* The heap bytes that it takes, as it was last settled. Any thread that keeps it from being freed. */
uint64_t client_memory(const struct client *client);
/* Set one of the registry's texts; NULL or empty unsets. STATUS_NO_MEMORY leaves it. */
must_use enum status client_set_text(struct client *client, char **field, struct bytes text);
/* One line as in CLIENT LIST, with its line end, to `out`; returns the length. Lock: the registry of its worker. */
enum { CLIENT_LINE_MAX = 1024 };
size_t client_describe(const struct client *client, int64_t now_ms, char *out);
