/* What a file holds of types that we lack: how many of each, and some of the keys, for the log. Pure; whoever calls
 * keeps threads apart. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    STRANGER_TYPES = 16, /* the reader tells apart fewer; further ones are counted in all only */
    STRANGER_NAMES = 5,
    STRANGER_NAME_MAX = 64, /* bytes shown of each */
};

/* Start with {0}. */
struct strangers {
    uint64_t count;
    struct {
        const char *name; /* stays the caller's */
        uint64_t count;
    } types[STRANGER_TYPES];
    uint32_t type_count, name_count;
    char names[STRANGER_NAMES][STRANGER_NAME_MAX + 1];
};

/* One of this type. Returns where its key's name, STRANGER_NAME_MAX bytes and a NUL, should be written; NULL: it has
 * no key, or enough have been noted. */
char *strangers_note(struct strangers *strangers, const char *type, bool has_key);
/* "list: 2, function library: 1; keys such as 'a', 'b'", cut to `size` bytes. */
void strangers_describe(const struct strangers *strangers, char *out, size_t size);
