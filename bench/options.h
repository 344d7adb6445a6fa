/* --name value, for the subcommands: a row an option. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum option_kind { OPTION_TEXT, OPTION_NUMBER, OPTION_FRACTION, OPTION_SWITCH };

struct option_row {
    const char *name; /* "--port" */
    enum option_kind kind;
    void *value; /* const char **, long long *, double *, bool * */
};

/* False, with a message on standard error, when an option is unknown or its value isn't what it should be. */
bool options_read(int argc, char **argv, const struct option_row *rows, size_t count);
