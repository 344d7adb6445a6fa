#include "options.h"

#include <limits.h>
#include <math.h>
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

/* "1,2,8" */
static bool read_list(struct option_list *list, const char *text, double minimum, bool is_whole) {
    list->count = 0;
    for (;;) {
        char *end;
        double value = strtod(text, &end);
        if (end == text || !(value >= minimum) || list->count == OPTION_LIST_MAX) return false;
        if (is_whole && value != floor(value)) return false;
        list->values[list->count++] = value;
        if (*end == 0) return true;
        if (*end != ',') return false;
        text = end + 1;
    }
}

static bool read_number(long long *number, const char *text, long long minimum) {
    char *end;
    *number = strtoll(text, &end, 10);
    return end != text && *end == 0 && *number >= minimum;
}

static bool read_fraction(double *number, const char *text) {
    char *end;
    *number = strtod(text, &end);
    return end != text && *end == 0;
}

static bool read_value(const struct option_row *row, char *text) {
    switch (row->kind) {
    case OPTION_TEXT:
        *(const char **)row->value = text;
        return true;
    case OPTION_NUMBER:
        return read_number(row->value, text, LLONG_MIN);
    case OPTION_COUNT:
        return read_number(row->value, text, 1);
    case OPTION_FRACTION:
        return read_fraction(row->value, text);
    case OPTION_LIST:
        return read_list(row->value, text, 0, false);
    case OPTION_COUNTS:
        return read_list(row->value, text, 1, true);
    case OPTION_SWITCH:
        break;
    }
    return false;
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

double options_max(const struct option_list *list) {
    double max = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (list->values[i] > max) max = list->values[i];
    }
    return max;
}
