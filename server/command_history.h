/* What became of the commands since they came: their history, and which of them are out of use. COMMAND DOCS tells it,
 * so that a client knows what older servers lack. */
#pragma once

#include <stddef.h>

#include "command.h"
#include "shards/base/bytes.h"

struct command_change {
    const char *command;    /* its full name: "client|kill" */
    const char *version;    /* since when */
    const char *text;       /* what came with it; arguments stand in backquotes */
    const char *deprecated; /* the argument that should no longer be used since then, or NULL */
};

/* A command's changes, oldest first. */
struct command_history {
    const struct command_change *changes;
    size_t count;
};

/* What COMMAND DOCS calls `doc_flags`. */
struct command_mark {
    const char *command;
    const char *word;  /* "deprecated": should no longer be used; "syscmd": not for applications */
    const char *since; /* of those that are deprecated, otherwise NULL */
    const char *replaced_by; /* likewise */
};

struct command_history command_history_of(const struct command *row);
/* Of all commands, a command's together. */
struct command_history command_history_of_all(void);
/* NULL for most. */
const struct command_mark *command_mark_of(const struct command *row);
/* The version that brought the argument, or that deprecated it: the first change that says so, or NULL. Its `name` is
 * its token, or what COMMAND DOCS calls it if it has none. */
const char *command_history_since(struct command_history history, struct bytes name);
const char *command_history_deprecated(struct command_history history, struct bytes name);
