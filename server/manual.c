#include "server/manual.h"

#include <stdlib.h>
#include <string.h>

#include "server/cli.h"
#include "server/config.h"
#include "server/describe.h"
#include "server/ping.h"
#include "server/troff.h"
#include "shards/base/check.h"

enum { SAMPLE_COLUMNS = 100, VALUES_MAX = 512 };

/* ---- Options --------------------------------------------------------------------------------- */

static void write_values(const struct config_option *option, char out[VALUES_MAX]) {
    FILE *file = fmemopen(out, VALUES_MAX, "w");
    check(file != NULL && describe_values(file, option) < VALUES_MAX);
    fclose(file);
}

/* "Help. Default 511; connections." and whether it may change. */
static void write_meaning(const struct config_option *option, char *out, size_t size) {
    char initial[DESCRIBE_TEXT_MAX];
    bool has_default = describe_default(option, initial) > 0;
    snprintf(out, size, "%s%s%s%s.%s", option->help, has_default ? " (" : "", initial,
             has_default ? ")" : "",
             (option->flags & CONFIG_IMMUTABLE) != 0 ? " At start only." : "");
}

/* `each` is called for every option, and `begin` before each group. */
static void for_each_option(FILE *out, void (*begin)(FILE *out, const char *group),
                            void (*each)(FILE *out, const struct config_option *option)) {
    const char *group = "";
    for (const struct config_option *option = config_options;
         option < config_options + config_option_count; option++) {
        if (strcmp(option->group, group) != 0) begin(out, option->group);
        group = option->group;
        each(out, option);
    }
}

/* ---- sherd.conf ------------------------------------------------------------------------------ */

static void begin_sample_group(FILE *out, const char *group) {
    fprintf(out, "\n# ---- %s ", group);
    for (size_t column = strlen(group) + 8; column < SAMPLE_COLUMNS; column++) {
        fputc('-', out);
    }
    fputc('\n', out);
}

static void print_sample_option(FILE *out, const struct config_option *option) {
    char meaning[VALUES_MAX], values[VALUES_MAX];
    write_meaning(option, meaning, sizeof meaning);
    write_values(option, values);
    fputs("\n# ", out);
    describe_wrapped(out, meaning, "# ", 2, SAMPLE_COLUMNS);
    if (option->only_initial == NULL) fprintf(out, "#   %s %s\n", option->name, values);
    fprintf(out, "#%s %s\n", option->name, describe_initial(option));
}

void manual_print_sample(FILE *out) {
    fprintf(
        out,
        "# sherd.conf: every option of sherd %s, commented out, with its default.\n"
        "#\n"
        "# To change one, take away the '#' before its name. A line is a name and its value; one\n"
        "# with spaces in it needs \"quotes\", in which \\n, \\\" and \\x41 are understood. The "
        "syntax\n"
        "# and most names are redis.conf's. Whether the file will do: sherd --check FILE\n"
        "# Many options can be changed later, by CONFIG SET; CONFIG REWRITE keeps such changes "
        "here.\n"
        "#\n"
        "# Lines that may come any number of times:\n"
        "#   include PATH                    read that file here\n"
        "#   user NAME RULE...               a user, as ACL SETUSER takes it\n"
        "#   rename-command COMMAND NAME     another name for a command; \"\": none\n",
        SHERD_VERSION);
    for_each_option(out, begin_sample_group, print_sample_option);
}

/* ---- Manual pages ---------------------------------------------------------------------------- */

static void begin_man_group(FILE *out, const char *group) {
    fprintf(out, ".SS %s\n", group);
}

static void print_man_option(FILE *out, const struct config_option *option) {
    char meaning[VALUES_MAX], values[VALUES_MAX];
    write_meaning(option, meaning, sizeof meaning);
    write_values(option, values);
    troff_term(out, option->name, values, meaning);
}

static void print_man_flag(FILE *out, const struct config_option *option) {
    char name[VALUES_MAX], meaning[VALUES_MAX], values[VALUES_MAX];
    snprintf(name, sizeof name, "--%s", option->name);
    write_meaning(option, meaning, sizeof meaning);
    write_values(option, values);
    troff_term(out, name, values, meaning);
}

static void print_modes(FILE *out) {
    for (const struct cli_mode *mode = cli_modes; mode < cli_modes + cli_mode_count; mode++) {
        char names[VALUES_MAX];
        snprintf(names, sizeof names, "%s%s%s", mode->name, mode->other_name != NULL ? ", " : "",
                 mode->other_name != NULL ? mode->other_name : "");
        troff_term(out, names, mode->arguments, mode->help);
    }
    fputs(".SS Options of \\-\\-ping\n", out);
    for (const struct ping_option *option = ping_options; option < ping_options + ping_option_count;
         option++) {
        char meaning[VALUES_MAX];
        snprintf(meaning, sizeof meaning, "%s%s%s%s.", option->help,
                 option->initial != NULL ? " (default " : "",
                 option->initial != NULL ? option->initial : "",
                 option->initial != NULL ? ")" : "");
        troff_term(out, option->name, option->value != NULL ? option->value : "", meaning);
    }
    troff_paragraph(
        out, "The answer is printed. PONG will do; so will NOAUTH, since who asks for a "
             "password serves, and, unless --ready is given, LOADING and MISCONF: restarting "
             "a server that can't save loses what it has. --ping doesn't speak TLS: ask a "
             "server without a plain port over its Unix socket.");
}

void manual_print(FILE *out) {
    troff_begin(out, "sherd", 1, "an in-memory, sharded key-value server that speaks RESP");
    troff_section(out, "SYNOPSIS");
    fputs(".B sherd\n[\\fIFILE\\fR | \\-] [\\-\\-\\fIOPTION VALUE\\fR]...\n", out);
    for (const struct cli_mode *mode = cli_modes; mode < cli_modes + cli_mode_count; mode++) {
        fputs(".br\n.B sherd ", out);
        troff_text(out, mode->name, strlen(mode->name));
        fputc('\n', out);
        if (mode->arguments[0] == '\0') continue;
        troff_text(out, mode->arguments, strlen(mode->arguments));
        fputc('\n', out);
    }
    troff_section(out, "DESCRIPTION");
    troff_paragraph(out, "sherd keeps keys and values in memory, spread over shards with a lock "
                         "each, and serves them to clients of Redis by a pool of worker threads.");
    troff_paragraph(out,
                    "It stays in the foreground. FILE has the syntax of sherd.conf(5); - reads "
                    "it from standard input; options of the command line win over it.");
    troff_section(out, "INSTEAD OF SERVING");
    print_modes(out);
    troff_section(out, "OPTIONS");
    for_each_option(out, begin_man_group, print_man_flag);
    begin_man_group(out, "Any number of times");
    troff_term(out, "--user", "NAME RULE...", "A user, as ACL SETUSER takes it.");
    troff_term(out, "--rename-command", "COMMAND NAME",
               "Another name for a command; an empty one: none.");
    troff_term(out, "--include", "PATH", "Read that file there.");
    troff_section(out, "SIGNALS");
    troff_term(
        out, "TERM, INT", "",
        "Stop in order: save if there are save points, answer what has arrived, give clients "
        "up to five seconds to take their replies.");
    troff_term(out, "HUP", "", "Open the log file anew, after it was moved away.");
    troff_section(out, "EXIT STATUS");
    troff_paragraph(out, "0 after an orderly end; 1 when the server could not start, a last save "
                         "failed, or a check or a ping found fault.");
    troff_section(out, "SEE ALSO");
    fputs(".BR sherd.conf (5),\n.BR sherd\\-bench (1),\n.BR redis\\-cli (1)\n", out);
}

void manual_print_config(FILE *out) {
    troff_begin(out, "sherd.conf", 5, "configuration of sherd");
    troff_section(out, "DESCRIPTION");
    troff_paragraph(out,
                    "A line is the name of an option and its value, divided by spaces; lines "
                    "that begin with # are comments. A value with spaces in it is put into "
                    "\"quotes\", where \\n, \\\" and \\x41 are understood, or into 'quotes', where "
                    "only \\' is. Later lines win over earlier ones. The syntax is that of "
                    "redis.conf, and so are the names, where Redis has the option.");
    troff_paragraph(out, "sherd --check FILE tells every error in a file, and of what it names: "
                         "whether this user can enter dir and write there, open the log, make pid "
                         "file and sockets, listen on the addresses, load users and certificates; "
                         "and whether maxmemory has room for workers and shards. "
                         "It starts nothing and leaves nothing behind; a server that runs, and has "
                         "the addresses, isn't disturbed. "
                         "CONFIG REWRITE writes what was changed by CONFIG SET back into it, and "
                         "keeps its comments and order.");
    troff_section(out, "EXAMPLE");
    troff_example(out, "# a cache of three quarters of the memory there is\n"
                       "maxmemory 75%\n"
                       "maxmemory-policy allkeys-adaptive\n"
                       "unixsocket /run/sherd/sherd.sock\n"
                       "unixsocketperm 770\n");
    troff_section(out, "OPTIONS");
    for_each_option(out, begin_man_group, print_man_option);
    begin_man_group(out, "Any number of times");
    troff_term(out, "include", "PATH", "Read that file here.");
    troff_term(out, "user", "NAME RULE...", "A user, as ACL SETUSER takes it.");
    troff_term(out, "rename-command", "COMMAND NAME",
               "Another name for a command; an empty one: none.");
    troff_section(out, "SEE ALSO");
    fputs(".BR sherd (1)\n", out);
}
