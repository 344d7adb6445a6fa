/* The command line: what it asks for, and what it can be asked. Prints only where it is told to. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "server/config.h"

enum cli_action {
    CLI_SERVE,
    CLI_CHECK,   /* --check-config: configure as if to serve, and say whether that went well */
    CLI_HELP,    /* --help, -h */
    CLI_VERSION, /* --version, -v */
};

/* Points into argv. */
struct cli {
    enum cli_action action;
    const char *config_file; /* NULL: none */
    bool
        reads_stdin; /* a configuration comes from standard input: "-" as the first or last argument */
    int flag_count;
    char *const *flags;
};

/* sherd [--check-config] [FILE | -] [--option value ...] [-], or one of --help, --version. */
void cli_parse(struct cli *cli, int argc, char *const *argv);

/* Load what the command line names into `config`, each winning over the one before: file, standard input, flags. On
 * STATUS_REFUSED `error` (CONFIG_ERROR_MAX bytes) says what is wrong and where. */
must_use enum status cli_configure(const struct cli *cli, struct config *config, char *error);

void cli_print_version(FILE *out);
/* Every option under its group's heading, with its default, unit and range. */
void cli_print_help(FILE *out);
