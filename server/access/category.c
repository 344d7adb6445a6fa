#include "server/access/category.h"

#include <string.h>

#include "server/command_facts.h"

const char *const category_names[CATEGORY_COUNT] = {
    "keyspace", "read",   "write",       "set",       "sortedset",  "list",        "hash",
    "string",   "bitmap", "hyperloglog", "geo",       "stream",     "pubsub",      "admin",
    "fast",     "slow",   "blocking",    "dangerous", "connection", "transaction", "scripting",
};

int category_find(struct bytes name) {
    for (int i = 0; i < CATEGORY_COUNT; i++) {
        if (bytes_is(name, category_names[i])) return i;
    }
    return -1;
}

bool category_has(int category, const struct command *row) {
    struct facts words = command_categories(row);
    for (uint32_t i = 0; i < words.count; i++) {
        if (strcmp(words.words[i] + 1, category_names[category]) == 0) return true;
    }
    return false;
}
