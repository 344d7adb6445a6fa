/* argv -> configuration -> server. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "completion.h"
#include "config.h"
#include "directory.h"
#include "log.h"
#include "manual.h"
#include "net/tls_context.h"
#include "ping.h"
#include "rehearsal.h"
#include "server.h"
#include "takeover/launch.h"

/* False: it says why. */
static bool open_log(const struct config *config) {
    log_set_form((enum log_form)config_number(&config->log_format));
    if (log_open(config->logfile) != STATUS_OK) return false;
    if (config_number(&config->syslog_enabled))
        log_open_system(config->syslog_ident,
                        (enum system_log_facility)config_number(&config->syslog_facility));
    log_set_level((enum log_level)config_number(&config->loglevel));
    return true;
}

static struct config *create_config(void) {
    struct config *config = config_create();
    if (config == NULL) fputs("sherd: no memory to start with\n", stderr);
    return config;
}

/* Every error of the options, and of what they name. */
static int check_configuration(const struct cli *cli) {
    struct config *config = create_config();
    if (config == NULL) return EXIT_FAILURE;
    config->errors = stderr;
    char error[CONFIG_ERROR_MAX];
    if (cli_configure(cli, config, error) != STATUS_OK) config_tells(config, error);
    rehearsal_run(config);
    size_t count = config->error_count;
    config_destroy(config);
    if (count == 0) {
        puts("The configuration is valid.");
        return EXIT_SUCCESS;
    }
    fprintf(stderr, "sherd: %zu error%s in the configuration\n", count, count == 1 ? "" : "s");
    return EXIT_FAILURE;
}

static int configure_and_serve(const struct cli *cli, struct launch *launch) {
    struct config *config = create_config();
    if (config == NULL) return EXIT_FAILURE;
    int exit_status = EXIT_FAILURE;
    tls_count_memory();
    char error[CONFIG_ERROR_MAX];
    if (cli_configure(cli, config, error) != STATUS_OK ||
        directory_enter(config, error) != STATUS_OK) {
        fprintf(stderr, "sherd: %s\n", error);
        launch_explain(launch, error);
    } else if (!open_log(config)) {
        launch_explain(launch, "its log file can't be opened");
    } else {
        launch_explain(launch, NULL);
        exit_status = server_run(config, launch);
    }
    config_destroy(config);
    return exit_status;
}

static int ping_server(const struct cli *cli) {
    struct ping ping;
    char text[PING_TEXT_MAX];
    if (ping_parse(&ping, cli->flag_count, cli->flags, text) != STATUS_OK) {
        fprintf(stderr, "sherd: %s\n", text);
        return EXIT_FAILURE;
    }
    enum status status = ping_send(&ping, text);
    if (status == STATUS_FAILED) {
        fprintf(stderr, "sherd: %s\n", text);
    } else {
        puts(text);
    }
    return status == STATUS_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int print_document(const struct cli *cli) {
    static const struct {
        const char *name;
        void (*print)(FILE *out);
    } documents[] = {
        {"config", manual_print_sample},
        {"man", manual_print},
        {"config-man", manual_print_config},
        {"completion", completion_print},
    };
    for (size_t i = 0; i < sizeof documents / sizeof documents[0]; i++) {
        if (cli->flag_count != 1 || strcmp(cli->flags[0], documents[i].name) != 0) continue;
        documents[i].print(stdout);
        return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    fputs("sherd: --print takes one of config, man, config-man, completion\n", stderr);
    return EXIT_FAILURE;
}

int main(int argc, char **argv) {
    struct cli cli;
    struct launch launch;
    cli_parse(&cli, argc, argv);
    launch_note(&launch, argc, argv);
    launch.reads_stdin = cli.reads_stdin;
    switch (cli.action) {
    case CLI_HELP:
        cli_print_help(stdout);
        return EXIT_SUCCESS;
    case CLI_VERSION:
        cli_print_version(stdout);
        return EXIT_SUCCESS;
    case CLI_PING:
        return ping_server(&cli);
    case CLI_PRINT:
        return print_document(&cli);
    case CLI_CHECK:
        return check_configuration(&cli);
    case CLI_SERVE:
    case CLI_TAKEOVER:
        return configure_and_serve(&cli, &launch);
    }
    return EXIT_FAILURE;
}
