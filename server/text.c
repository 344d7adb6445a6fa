#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "shards/base/memory.h"

enum { TEXT_FIRST = 1024 /* bytes of the first allocation */ };

void text_release(struct text *text) {
    memory_free(text->data);
    *text = (struct text){0};
}

char *text_reserve(struct text *text, size_t size) {
    if (text->has_failed) return NULL;
    size_t needed = text->size + size;
    if (needed > text->capacity) {
        size_t capacity = text->capacity * 2 > TEXT_FIRST ? text->capacity * 2 : TEXT_FIRST;
        if (capacity < needed) capacity = needed;
        char *grown = memory_resize(text->data, capacity);
        if (grown == NULL) {
            text->has_failed = true;
            return NULL;
        }
        text->data = grown;
        text->capacity = capacity;
    }
    return text->data + text->size;
}

void text_add(struct text *text, struct bytes bytes) {
    char *out = text_reserve(text, bytes.size);
    if (out == NULL || bytes.size == 0) return;
    memcpy(out, bytes.data, bytes.size);
    text->size += bytes.size;
}

void text_format(struct text *text, const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *out = size >= 0 ? text_reserve(text, (size_t)size + 1) : NULL;
    if (out != NULL) {
        vsnprintf(out, (size_t)size + 1, format, again);
        text->size += (size_t)size;
    }
    va_end(again);
}
