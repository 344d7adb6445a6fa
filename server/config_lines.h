/* Lines of the configuration that are no options: they come any number of times, each with words of its own
 * ("user alice on >secret ~*", "rename-command FLUSHALL \"\""). Kept as they are, with their place, for whoever
 * knows what they mean. At start, one thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "shards/base/bytes.h"
#include "shards/base/status.h"

struct config_line {
    char *place;       /* heap: a file's name, or a flag */
    int number;        /* in the file; 0: none */
    struct bytes text; /* heap: what is behind the name, quotes and all */
};

struct config_lines {
    const char *name;          /* that begins them */
    struct config_line *items; /* heap */
    size_t count;
};

/* Their text is overwritten, by both: there may be passwords in it. */
void config_lines_release(struct config_lines *lines);
/* Only where they are is left. */
void config_lines_forget(struct config_lines *lines);
/* Keeps copies. */
must_use enum status config_lines_add(struct config_lines *lines, const char *place, int number,
                                      struct bytes text);
/* Does the line begin with this word, in any case? Then `rest` is what is behind it. */
bool config_line_begins(struct bytes line, const char *word, struct bytes *rest);
/* "place:number: reason", cut to `size` with its NUL. */
void config_line_error(const struct config_line *line, const char *reason, char *error,
                       size_t size);
