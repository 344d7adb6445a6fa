#include "server/access/strings.h"

#include "shards/base/memory.h"

static void free_text(const struct string *string) {
    memory_free((void *)(uintptr_t)string->text.data);
}

void strings_release(struct strings *strings) {
    for (uint32_t i = 0; i < strings->count; i++) {
        free_text(&strings->items[i]);
    }
    memory_free(strings->items);
    *strings = (struct strings){0};
}

static bool reserve_one(struct strings *strings) {
    if (strings->count < strings->capacity) return true;
    uint32_t capacity = strings->capacity * 2 + 4;
    struct string *items = memory_resize(strings->items, capacity * sizeof(*items));
    if (items == NULL) return false;
    strings->items = items;
    strings->capacity = capacity;
    return true;
}

void strings_add(struct strings *strings, struct bytes text, uint32_t number) {
    char *copy = memory_allocate(text.size);
    if (copy == NULL || !reserve_one(strings)) {
        memory_free(copy);
        strings->has_failed = true;
        return;
    }
    if (text.size != 0) memcpy(copy, text.data, text.size);
    strings->items[strings->count++] = (struct string){bytes_of(copy, text.size), number};
}

struct string *strings_find(const struct strings *strings, struct bytes text) {
    for (uint32_t i = 0; i < strings->count; i++) {
        if (bytes_equal(strings->items[i].text, text)) return &strings->items[i];
    }
    return NULL;
}

void strings_remove(struct strings *strings, uint32_t index) {
    free_text(&strings->items[index]);
    strings->count--;
    memmove(&strings->items[index], &strings->items[index + 1],
            (strings->count - index) * sizeof(*strings->items));
}

void strings_copy(struct strings *to, const struct strings *from) {
    for (uint32_t i = 0; i < from->count; i++) {
        strings_add(to, from->items[i].text, from->items[i].number);
    }
}

bool strings_equal(const struct strings *a, const struct strings *b) {
    if (a->count != b->count) return false;
    for (uint32_t i = 0; i < a->count; i++) {
        if (a->items[i].number != b->items[i].number) return false;
        if (!bytes_equal(a->items[i].text, b->items[i].text)) return false;
    }
    return true;
}
