/* A list of texts, each with a number: a user's patterns and rules.
 *
 * When memory is refused it says so in `has_failed` and takes nothing more, so that who fills it needs no error
 * path. One thread while it changes; start with {0}. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "shards/base/bytes.h"

struct string {
    struct bytes text; /* heap */
    uint32_t number;
};

struct strings {
    struct string *items; /* heap */
    uint32_t count, capacity;
    bool has_failed;
};

void strings_release(struct strings *strings);
/* Appends a copy of `text`. */
void strings_add(struct strings *strings, struct bytes text, uint32_t number);
/* NULL. */
struct string *strings_find(const struct strings *strings, struct bytes text);
/* Keeps the order of the others. */
void strings_remove(struct strings *strings, uint32_t index);
/* `to` is empty. */
void strings_copy(struct strings *to, const struct strings *from);
bool strings_equal(const struct strings *a, const struct strings *b);
