#include "server/cli.h"

#include <assert.h>
#include <string.h>

#include "server/describe.h"

enum { HELP_COLUMN = 42 }; /* where the second column begins */
static const char help_indent[] = "                                          ";
static_assert(sizeof help_indent - 1 == HELP_COLUMN, "so many spaces");

const struct cli_mode cli_modes[] = {
    {"--check", "--check-config", "[FILE | -] [--OPTION VALUE]...",
     "Tell every error of the configuration, and of the files, folders and addresses that it "
     "names, with file, line and reason, and start nothing: exit status 0 when it would do, 1 "
     "otherwise",
     CLI_CHECK},
    {"--takeover", NULL, "[FILE | -] [--OPTION VALUE]...",
     "Serve in the place of the server that listens at takeover-socket: take its sockets and all "
     "its keys, which it then no longer serves. SIGUSR2 has it start its own successor",
     CLI_TAKEOVER},
    {"--ping", NULL, "[--host|--port|--unix|--timeout-ms VALUE]... [--ready]",
     "Ask a running server whether it answers: exit status 0 when it does, 1 otherwise", CLI_PING},
    {"--print", NULL, "config|man|config-man|completion",
     "A commented sherd.conf, the manual pages, completion for bash", CLI_PRINT},
    {"--version", "-v", "", "The version", CLI_VERSION},
    {"--help", "-h", "", "This", CLI_HELP},
};
const size_t cli_mode_count = sizeof cli_modes / sizeof cli_modes[0];

/* ---- Reading --------------------------------------------------------------------------------- */

static const struct cli_mode *find_mode(const char *argument) {
    for (size_t i = 0; i < cli_mode_count; i++) {
        const struct cli_mode *mode = &cli_modes[i];
        if (strcmp(argument, mode->name) == 0) return mode;
        if (mode->other_name != NULL && strcmp(argument, mode->other_name) == 0) return mode;
    }
    return NULL;
}

void cli_parse(struct cli *cli, int argc, char *const *argv) {
    *cli = (struct cli){.action = CLI_SERVE};
    int first = 1, end = argc;
    const struct cli_mode *mode = first < end ? find_mode(argv[first]) : NULL;
    if (mode != NULL) {
        cli->action = mode->action;
        first++;
    }
    bool configures =
        cli->action == CLI_SERVE || cli->action == CLI_TAKEOVER || cli->action == CLI_CHECK;
    if (configures && first < end && strcmp(argv[first], "-") == 0) {
        cli->reads_stdin = true;
        first++;
    } else if (configures && first < end && argv[first][0] != '-') {
        cli->config_file = argv[first++];
    }
    if (configures && first < end && strcmp(argv[end - 1], "-") == 0) {
        cli->reads_stdin = true;
        end--;
    }
    cli->flag_count = end - first;
    cli->flags = argv + first;
}

static void offer(struct suggestion *suggestion, const char *name) {
    bool is_long = name != NULL && strncmp(name, "--", 2) == 0;
    if (is_long) suggestion_offer(suggestion, name + 2);
}

static void offer_modes(struct suggestion *suggestion) {
    for (const struct cli_mode *mode = cli_modes; mode < cli_modes + cli_mode_count; mode++) {
        offer(suggestion, mode->name);
        offer(suggestion, mode->other_name);
    }
}

enum status cli_configure(const struct cli *cli, struct config *config, char *error) {
    enum status status = STATUS_OK;
    config->offer_flags = offer_modes;
    if (cli->config_file != NULL) status = config_load_file(config, cli->config_file, error);
    if (status == STATUS_OK && cli->reads_stdin) status = config_load_file(config, "-", error);
    if (status == STATUS_OK) status = config_load_flags(config, cli->flag_count, cli->flags, error);
    return status;
}

/* ---- Printing -------------------------------------------------------------------------------- */

void cli_print_version(FILE *out) {
#ifdef SHERD_JEMALLOC
    const char *allocator = "jemalloc";
#else
    const char *allocator = "libc";
#endif
    fprintf(out, "sherd v=%s malloc=%s bits=%d\n", SHERD_VERSION, allocator,
            (int)sizeof(void *) * 8);
}

/* What is at the left has `width` columns; `help` goes to the right of it, or below. */
static void print_help_text(FILE *out, int width, const char *help) {
    if (width >= HELP_COLUMN) {
        fputc('\n', out);
        width = 0;
    }
    fprintf(out, "%*s", HELP_COLUMN - width, "");
    describe_wrapped(out, help, help_indent, HELP_COLUMN, CLI_HELP_COLUMNS);
}

static void print_option(FILE *out, const struct config_option *option) {
    int width = fprintf(out, "  --%s ", option->name);
    width += describe_values(out, option);
    char initial[DESCRIBE_TEXT_MAX], help[2 * DESCRIBE_TEXT_MAX];
    if (describe_default(option, initial) > 0) {
        snprintf(help, sizeof help, "%s (%s)", option->help, initial);
    } else {
        snprintf(help, sizeof help, "%s", option->help);
    }
    print_help_text(out, width, help);
}

void cli_print_help(FILE *out) {
    fprintf(out,
            "Usage: sherd [FILE | -] [--OPTION VALUE]...\n"
            "\n"
            "FILE has redis.conf's syntax; - reads it from standard input. Options win over it.\n"
            "\n"
            "Instead of serving\n");
    for (const struct cli_mode *mode = cli_modes; mode < cli_modes + cli_mode_count; mode++) {
        int width = fprintf(out, "  %s%s%s %s", mode->name, mode->other_name != NULL ? ", " : "",
                            mode->other_name != NULL ? mode->other_name : "", mode->arguments);
        print_help_text(out, width, mode->help);
    }
    const char *group = "";
    for (const struct config_option *option = config_options;
         option < config_options + config_option_count; option++) {
        if (strcmp(option->group, group) != 0) fprintf(out, "\n%s\n", option->group);
        group = option->group;
        print_option(out, option);
    }
    fprintf(out, "\nAny number of times\n"
                 "  --user NAME RULE...                     A user, as ACL SETUSER takes it\n"
                 "  --rename-command COMMAND NAME           Another name for a command; "
                 "'\"\"': none\n"
                 "  --include PATH                          Another file, read there\n"
                 "\nIn a file they are lines, without --.\n");
}
