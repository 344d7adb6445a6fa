/* One connection that asks and waits for the answer: for what is measured by looking at a server, not by loading it.
 * RESP only. An error or a connection that ends is told on standard error, and every call after it fails, too. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/target.h"

enum { ASK_BUFFER_BYTES = 64 * 1024 };

struct ask {
    int fd;
    bool has_failed;
    size_t begin, end; /* of what was received and not taken yet */
    char buffer[ASK_BUFFER_BYTES];
};

bool ask_open(struct ask *ask, const struct target *target);
void ask_close(struct ask *ask);
/* Send bytes that are requests. */
bool ask_send(struct ask *ask, const char *bytes, size_t size);
/* The next reply: what a number or the size of a string says; a status is 0, no string -1. An array is as many
 * replies more as it says. A string's text, up to
 * `text_max` with its NUL, goes to `text` if that isn't NULL. False for an error. */
bool ask_take(struct ask *ask, long long *number, char *text, size_t text_max);
/* One inline command and its reply; as ask_take. */
bool ask_command(struct ask *ask, const char *command, long long *number, char *text,
                 size_t text_max);
/* A field of `INFO section`, in its own unit; -1 when there is none. */
double ask_info(struct ask *ask, const char *section, const char *field);
