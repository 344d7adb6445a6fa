/* Glob patterns as KEYS, SCAN MATCH and CONFIG GET take them. */
#pragma once

#include <stdbool.h>

#include "bytes.h"

/* `*` any run, `?` one byte, `[abc]`, `[^a]`, `[a-z]`, `\x` the byte x itself; the text must match whole.
 * Redis's answers also where a pattern is odd: see match.c. Bounded: at most pattern x text steps,
 * whatever the pattern (a run of stars doesn't multiply the work). Pure; any thread. */
bool match_glob(struct bytes pattern, struct bytes text);
/* The same, ASCII letters' case ignored. */
bool match_glob_folded(struct bytes pattern, struct bytes text);
