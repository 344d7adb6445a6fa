#include "server/cli.h"

#include <limits.h>
#include <string.h>

enum { HELP_COLUMN = 42 }; /* where the second column begins */

/* ---- Reading --------------------------------------------------------------------------------- */

static bool is_one_of(const char *argument, const char *word, const char *letter) {
    return strcmp(argument, word) == 0 || strcmp(argument, letter) == 0;
}

void cli_parse(struct cli *cli, int argc, char *const *argv) {
    *cli = (struct cli){.action = CLI_SERVE};
    int first = 1, end = argc;
    if (first < end && is_one_of(argv[first], "--help", "-h")) {
        cli->action = CLI_HELP;
        return;
    }
    if (first < end && is_one_of(argv[first], "--version", "-v")) {
        cli->action = CLI_VERSION;
        return;
    }
    if (first < end && strcmp(argv[first], "--check-config") == 0) {
        cli->action = CLI_CHECK;
        first++;
    }
    if (first < end && strcmp(argv[first], "-") == 0) {
        cli->reads_stdin = true;
        first++;
    } else if (first < end && argv[first][0] != '-') {
        cli->config_file = argv[first++];
    }
    if (first < end && strcmp(argv[end - 1], "-") == 0) {
        cli->reads_stdin = true;
        end--;
    }
    cli->flag_count = end - first;
    cli->flags = argv + first;
}

enum status cli_configure(const struct cli *cli, struct config *config, char *error) {
    enum status status = STATUS_OK;
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

static int print_choices(FILE *out, const char *const *choices) {
    int width = 0;
    for (int i = 0; choices[i] != NULL; i++) {
        width += fprintf(out, "%s%s", i > 0 ? "|" : "", choices[i]);
    }
    return width;
}

/* What may stand behind the option's name; returns its width. */
static int print_values(FILE *out, const struct config_option *option) {
    static const char *const placeholders[] = {
        [CONFIG_BOOLEAN] = "yes|no",        [CONFIG_INTEGER] = "NUMBER",
        [CONFIG_MEMORY] = "BYTES",          [CONFIG_OCTAL] = "OCTAL",
        [CONFIG_STRING] = "TEXT",           [CONFIG_WORDS] = "WORD...",
        [CONFIG_PERCENTILES] = "NUMBER...", [CONFIG_BUFFER_LIMITS] = "CLASS HARD SOFT SECONDS...",
        [CONFIG_MEMORY_SHARE] = "BYTES|N%", [CONFIG_MEMORY_PART] = "BYTES|N%",
        [CONFIG_FILE_NAME] = "NAME",        [CONFIG_SAVE_POINTS] = "SECONDS CHANGES...",
    };
    if (option->only_initial != NULL) {
        return fprintf(out, "%s", option->initial[0] != '\0' ? option->initial : "\"\"");
    }
    if (option->kind == CONFIG_ENUM) return print_choices(out, option->choices);
    return fprintf(out, "%s", placeholders[option->kind]);
}

/* " (default 511; connections)"; a range is told where it says more than the type. */
static void print_default(FILE *out, const struct config_option *option) {
    fprintf(out, " (default %s", option->initial[0] != '\0' ? option->initial : "\"\"");
    if (option->unit != NULL) fprintf(out, "; %s", option->unit);
    if (option->kind == CONFIG_INTEGER && option->max < INT_MAX) {
        fprintf(out, "; %lld to %lld", (long long)option->min, (long long)option->max);
    }
    fputc(')', out);
}

static void print_option(FILE *out, const struct config_option *option) {
    int width = fprintf(out, "  --%s ", option->name);
    width += print_values(out, option);
    if (width >= HELP_COLUMN) {
        fputc('\n', out);
        width = 0;
    }
    fprintf(out, "%*s%s", HELP_COLUMN - width, "", option->help);
    if (option->only_initial == NULL) print_default(out, option);
    fputc('\n', out);
}

void cli_print_help(FILE *out) {
    fprintf(out,
            "Usage: sherd [FILE | -] [--OPTION VALUE]...\n"
            "       sherd --check-config [FILE | -] [--OPTION VALUE]...\n"
            "       sherd --version | --help\n"
            "\n"
            "FILE has redis.conf's syntax; - reads it from standard input. Options win over it.\n");
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
                 "'\"\"': none\n");
}
