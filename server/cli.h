/* The command line: what it asks for, and what it can be asked. Prints only where it is told to. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "server/config.h"

enum cli_action {
    CLI_SERVE,
    CLI_TAKEOVER, /* to serve in the place of the server that runs */
    CLI_CHECK,    /* configure as if to serve, and tell every error */
    CLI_PING,
    CLI_PRINT,
    CLI_HELP,
    CLI_VERSION,
};

/* What the first argument may ask for instead of serving: a row each. */
struct cli_mode {
    const char *name, *other_name; /* the latter may be NULL */
    const char *arguments;         /* that follow, for people */
    const char *help;
    enum cli_action action;
};
extern const struct cli_mode cli_modes[];
extern const size_t cli_mode_count;

/* Points into argv. */
struct cli {
    enum cli_action action;
    const char *config_file; /* NULL: none; of CLI_SERVE, CLI_TAKEOVER and CLI_CHECK */
    bool
        reads_stdin; /* a configuration comes from standard input: "-" as the first or last argument */
    int flag_count; /* all that follows a mode that configures nothing */
    char *const *flags;
};

/* sherd [MODE] [FILE | -] [--option value ...] [-] */
void cli_parse(struct cli *cli, int argc, char *const *argv);

/* Load what the command line names into `config`, each winning over the one before: file, standard input, flags. On
 * STATUS_REFUSED `error` (CONFIG_ERROR_MAX bytes) says what is wrong and where. */
must_use enum status cli_configure(const struct cli *cli, struct config *config, char *error);

void cli_print_version(FILE *out);
/* Every mode, and every option under its group's heading with its default, unit and range; in CLI_HELP_COLUMNS. */
enum { CLI_HELP_COLUMNS = 100 };
void cli_print_help(FILE *out);
