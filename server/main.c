/* argv -> configuration -> server. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "access/access.h"
#include "cli.h"
#include "config.h"
#include "log.h"
#include "server.h"

/* `dir` is where relative paths of the options start; from here on it is told as an absolute one. */
static bool enter_directory(struct config *config) {
    if (chdir(config->dir) != 0 || getcwd(config->dir, sizeof(config->dir)) == NULL) {
        fprintf(stderr, "sherd: can't change to the directory '%s' (option dir): %s\n", config->dir,
                strerror(errno));
        return false;
    }
    return true;
}

static int configure_and_serve(const struct cli *cli) {
    struct config *config = config_create();
    if (config == NULL) {
        fputs("sherd: no memory to start with\n", stderr);
        return EXIT_FAILURE;
    }
    int exit_status = EXIT_FAILURE;
    char error[CONFIG_ERROR_MAX];
    if (cli_configure(cli, config, error) != STATUS_OK) {
        fprintf(stderr, "sherd: %s\n", error);
    } else if (cli->action == CLI_CHECK && access_check(config, error) != STATUS_OK) {
        fprintf(stderr, "sherd: %s\n", error);
    } else if (cli->action == CLI_CHECK) {
        puts("The configuration is valid.");
        exit_status = EXIT_SUCCESS;
    } else if (enter_directory(config) && log_open(config->logfile) == STATUS_OK) {
        log_set_level((enum log_level)config_number(&config->loglevel));
        exit_status = server_run(config);
    }
    config_destroy(config);
    return exit_status;
}

int main(int argc, char **argv) {
    struct cli cli;
    cli_parse(&cli, argc, argv);
    switch (cli.action) {
    case CLI_HELP:
        cli_print_help(stdout);
        return EXIT_SUCCESS;
    case CLI_VERSION:
        cli_print_version(stdout);
        return EXIT_SUCCESS;
    case CLI_SERVE:
    case CLI_CHECK:
        return configure_and_serve(&cli);
    }
    return EXIT_FAILURE;
}
