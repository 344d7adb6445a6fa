/* A line -> words, with the quoting of Redis's `sdssplitargs`: inline commands, and lines of a configuration file.
 *
 * Words are divided by spaces. "double quotes" take \n \r \t \b \a, \xHH and \ before any other byte; 'single
 * quotes' take \' only. A closing quote must end the word. Decoding shortens, so it happens in place: no
 * allocation, linear, pure. */
#pragma once

#include "shards/base/bytes.h"

/* The part of a line that isn't read yet; the caller's. */
struct words {
    char *next, *end;
};

enum words_outcome {
    WORDS_FOUND,
    WORDS_END,
    WORDS_UNBALANCED, /* a quote that isn't closed, or not at the end of its word */
};

/* Take the next word of the line. It points into the line, which it may have overwritten up to there. */
enum words_outcome words_next(struct words *words, struct bytes *word);
