/* Text that grows: what INFO, CLIENT LIST and their like are written into before they are replied.
 *
 * When memory is refused it stops growing and says so; writers need no error path. One thread; release it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "shards/base/bytes.h"

struct text {
    char *data; /* heap; NULL when empty */
    size_t size, capacity;
    bool has_failed;
};

/* Start with {0}. */
void text_release(struct text *text);
/* Room for `size` more bytes: where they go, or NULL. Add what was written to `text->size`. */
char *text_reserve(struct text *text, size_t size);
void text_add(struct text *text, struct bytes bytes);
__attribute__((format(printf, 2, 3))) void text_format(struct text *text, const char *format, ...);
static inline struct bytes text_bytes(const struct text *text) {
    return (struct bytes){text->data, text->size};
}
