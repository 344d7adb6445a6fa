#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct option_row *find(const char *name, const struct option_row *rows,
                                     size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(name, rows[i].name) == 0) return &rows[i];
    }
    return NULL;
}

static bool read_value(const struct option_row *row, char *text) {
    char *end = text;
    if (row->kind == OPTION_TEXT) {
        *(const char **)row->value = text;
        return true;
    }
    if (row->kind == OPTION_NUMBER) *(long long *)row->value = strtoll(text, &end, 10);
    if (row->kind == OPTION_FRACTION) *(double *)row->value = strtod(text, &end);
    return end != text && *end == 0;
}

bool options_read(int argc, char **argv, const struct option_row *rows, size_t count) {
    for (int i = 0; i < argc; i++) {
        const struct option_row *row = find(argv[i], rows, count);
        if (row == NULL) {
            fprintf(stderr, "sherd-bench: unknown option '%s'; see sherd-bench --help\n", argv[i]);
            return false;
        }
        if (row->kind == OPTION_SWITCH) {
            *(bool *)row->value = true;
            continue;
        }
        if (i + 1 == argc || !read_value(row, argv[++i])) {
            fprintf(stderr, "sherd-bench: option '%s' needs a value that fits\n", row->name);
            return false;
        }
    }
    return true;
}
