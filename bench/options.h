/* --name value, for the subcommands: a row an option. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum option_kind {
    OPTION_TEXT,
    OPTION_NUMBER,
    OPTION_COUNT, /* a number of at least 1 */
    OPTION_FRACTION,
    OPTION_SWITCH,
    OPTION_LIST,   /* numbers of at least 0, joined by commas: "0,0.99" */
    OPTION_COUNTS, /* the same of whole numbers of at least 1: "1,2,8" */
};

enum { OPTION_LIST_MAX = 16 };

/* A subcommand measures each of them. */
struct option_list {
    size_t count;
    double values[OPTION_LIST_MAX];
};

struct option_row {
    const char *name; /* "--port" */
    enum option_kind kind;
    void *
        value; /* const char **, long long *, long long *, double *, bool *, struct option_list * */
};

/* False, with a message on standard error, when an option is unknown or its value isn't what it should be. */
bool options_read(int argc, char **argv, const struct option_row *rows, size_t count);
/* The greatest of a list. */
double options_max(const struct option_list *list);
