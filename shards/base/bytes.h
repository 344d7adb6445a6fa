/* Byte slices: the one way in which text and binary data travel through sherd.
 *
 * A slice borrows: it owns nothing, may hold any byte (also NUL), and is valid as long as what it points into.
 * An empty slice may have a NULL `data`. Passed by value (two registers). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const char *data;
    size_t size;
};

/* A slice over a string literal, without its terminating NUL. */
#define BYTES(literal) ((struct bytes){"" literal, sizeof(literal) - 1})

static inline struct bytes bytes_of(const void *data, size_t size) {
    return (struct bytes){data, size};
}

static inline struct bytes bytes_of_text(const char *text) {
    return (struct bytes){text, strlen(text)};
}

static inline bool bytes_equal(struct bytes a, struct bytes b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline char byte_lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* Equal but for the case of ASCII letters: how option words ("NX", "nx") are compared. */
static inline bool bytes_equal_folded(struct bytes a, struct bytes b) {
    if (a.size != b.size) return false;
    for (size_t i = 0; i < a.size; i++) {
        if (byte_lower(a.data[i]) != byte_lower(b.data[i])) return false;
    }
    return true;
}

/* The same against a literal or other NUL-terminated word: `bytes_is(argument, "GET")`. */
static inline bool bytes_is(struct bytes a, const char *word) {
    return bytes_equal_folded(a, bytes_of_text(word));
}

/* Shortest first difference decides, then length: the order of `memcmp`. */
static inline int bytes_compare(struct bytes a, struct bytes b) {
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common == 0 ? 0 : memcmp(a.data, b.data, common);
    if (order != 0) return order;
    return a.size < b.size ? -1 : a.size > b.size;
}
