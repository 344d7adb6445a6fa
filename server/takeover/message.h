/* What the two processes of a hand-over say to each other: messages of one size, some with a descriptor.
 *
 *      successor ─▶ HELLO                                    who I am
 *      predecessor ─▶ WELCOME, LISTENER …                    what you get; or REFUSED and why
 *      predecessor ─▶ DATA with a pipe       ◀─ LOADED       the store, in RDB's format
 *      predecessor ─▶ YOURS                                  I serve nobody any more, and that was all
 *      successor ─▶ MINE                                     I serve from here on
 *
 * The layout stays as it is in every version to come, so that any two can at least tell each other why they don't
 * go together; what follows from it is versioned by `format`. Both run on one machine: numbers are its own. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { MESSAGE_BYTES = 512, MESSAGE_NUMBERS = 4, MESSAGE_VERSION_MAX = 32, MESSAGE_TEXT_MAX = 432 };
enum { MESSAGE_FORMAT = 1 };

enum message_kind {
    MESSAGE_HELLO = 1, /* `databases` */
    MESSAGE_WELCOME,   /* `listeners`, `changes`, `saved_ms` */
    MESSAGE_REFUSED,   /* text: why */
    MESSAGE_LISTENER,  /* with a listening socket; text: a Unix socket's path */
    MESSAGE_DATA,      /* with the end of a pipe to read from */
    MESSAGE_LOADED,
    MESSAGE_YOURS,
    MESSAGE_MINE,
};

struct message {
    char magic[8];
    uint32_t format, kind;
    union {
        uint64_t numbers[MESSAGE_NUMBERS];
        struct {
            uint64_t databases, listeners;
            uint64_t changes; /* that are in no file yet */
            int64_t saved_ms; /* when a file was last written */
        };
    };
    char version[MESSAGE_VERSION_MAX]; /* of sherd */
    char text[MESSAGE_TEXT_MAX];
};

/* A message of this kind, ready to be sent but for what it says. */
struct message message_of(enum message_kind kind);
/* Send it, with a copy of `passed_fd` if that isn't -1. Never waits: the socket takes all of a hand-over's
 * messages. False: the peer is gone. */
bool message_send(int fd, const struct message *message, int passed_fd);

enum message_outcome {
    MESSAGE_CAME,
    MESSAGE_LATE,    /* it did not come in time */
    MESSAGE_GONE,    /* the peer hung up */
    MESSAGE_STRANGE, /* what came is no message, or of a format that isn't ours */
};
/* Wait for one, `wait_ms` at most. `*passed_fd`: the caller's from now on, or -1; NULL: none is wanted. `message`
 * is all there is of it if its format is strange. */
enum message_outcome message_receive(int fd, int64_t wait_ms, struct message *message,
                                     int *passed_fd);
/* Why there is none, for a log. */
const char *message_outcome_text(enum message_outcome outcome);
