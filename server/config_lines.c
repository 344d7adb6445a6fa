#include "server/config_lines.h"

#include <stdio.h>
#include <string.h>

#include "shards/base/memory.h"

static char *text_of(const struct config_line *line) {
    return (char *)(uintptr_t)line->text.data;
}

void config_lines_forget(struct config_lines *lines) {
    for (size_t i = 0; i < lines->count; i++) {
        explicit_bzero(text_of(&lines->items[i]), lines->items[i].text.size);
        lines->items[i].text.size = 0;
    }
}

void config_lines_release(struct config_lines *lines) {
    config_lines_forget(lines);
    for (size_t i = 0; i < lines->count; i++) {
        memory_free(text_of(&lines->items[i]));
        memory_free(lines->items[i].place);
    }
    memory_free(lines->items);
    *lines = (struct config_lines){.name = lines->name};
}

/* With a NUL behind it; NULL. */
static char *copy_of(struct bytes text) {
    char *copy = memory_allocate_zeroed(text.size + 1);
    if (copy != NULL && text.size != 0) memcpy(copy, text.data, text.size);
    return copy;
}

enum status config_lines_add(struct config_lines *lines, const char *place, int number,
                             struct bytes text) {
    struct config_line *grown =
        memory_resize(lines->items, (lines->count + 1) * sizeof(*lines->items));
    if (grown == NULL) return STATUS_NO_MEMORY;
    lines->items = grown;
    char *place_copy = copy_of(bytes_of_text(place)), *text_copy = copy_of(text);
    if (place_copy == NULL || text_copy == NULL) {
        memory_free(place_copy);
        memory_free(text_copy);
        return STATUS_NO_MEMORY;
    }
    grown[lines->count++] =
        (struct config_line){place_copy, number, bytes_of(text_copy, text.size)};
    return STATUS_OK;
}

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

bool config_line_begins(struct bytes line, const char *word, struct bytes *rest) {
    size_t start = 0, size = strlen(word);
    while (start < line.size && is_space(line.data[start])) {
        start++;
    }
    if (line.size - start < size || !bytes_is(bytes_of(line.data + start, size), word))
        return false;
    size_t end = start + size;
    if (end < line.size && !is_space(line.data[end])) return false;
    *rest = bytes_of(line.data + end, line.size - end);
    return true;
}

void config_line_error(const struct config_line *line, const char *reason, char *error,
                       size_t size) {
    if (line->number > 0) {
        snprintf(error, size, "%s:%d: %s", line->place, line->number, reason);
    } else {
        snprintf(error, size, "%s: %s", line->place, reason);
    }
}
