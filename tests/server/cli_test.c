/* The command line: what it asks for, in which order it wins, and what it prints. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/cli.h"

static char program[] = "sherd", dash[] = "-", file[] = "x.conf", port_flag[] = "--port",
            number[] = "7";
static char help[] = "--help", short_help[] = "-h", version[] = "--version", short_version[] = "-v";
static char check[] = "--check", check_config[] = "--check-config", ping[] = "--ping",
            print_mode[] = "--print", subject[] = "man";

static struct cli parse(int argc, char *const *argv) {
    struct cli cli;
    cli_parse(&cli, argc, argv);
    return cli;
}
#define PARSE(...)                                                                                 \
    parse((int)(sizeof((char *[]){program, __VA_ARGS__}) / sizeof(char *)),                        \
          (char *[]){program, __VA_ARGS__})

static void nothing_means_serve_with_defaults(void **state) {
    (void)state;
    struct cli cli = parse(1, (char *[]){program});
    assert_int_equal(cli.action, CLI_SERVE);
    assert_null(cli.config_file);
    assert_false(cli.reads_stdin);
    assert_int_equal(cli.flag_count, 0);
}

static void the_first_argument_may_ask_for_something_else(void **state) {
    (void)state;
    assert_int_equal(PARSE(help).action, CLI_HELP);
    assert_int_equal(PARSE(short_help).action, CLI_HELP);
    assert_int_equal(PARSE(version).action, CLI_VERSION);
    assert_int_equal(PARSE(short_version).action, CLI_VERSION);
    assert_int_equal(PARSE(check_config).action, CLI_CHECK);
    assert_int_equal(PARSE(check).action, CLI_CHECK);
    assert_int_equal(PARSE(port_flag, ping).action, CLI_SERVE);
    struct cli cli = PARSE(ping, port_flag, number);
    assert_int_equal(cli.action, CLI_PING);
    assert_int_equal(cli.flag_count, 2);
    assert_string_equal(cli.flags[0], "--port");
    cli = PARSE(print_mode, subject);
    assert_int_equal(cli.action, CLI_PRINT);
    assert_null(cli.config_file);
    assert_string_equal(cli.flags[0], "man");
}

static void a_file_standard_input_and_flags_are_told_apart(void **state) {
    (void)state;
    char *argv[] = {program, file, port_flag, number, dash};
    struct cli cli = parse(5, argv);
    assert_string_equal(cli.config_file, "x.conf");
    assert_true(cli.reads_stdin);
    assert_int_equal(cli.flag_count, 2);
    assert_string_equal(cli.flags[0], "--port");
    char *checked[] = {program, check_config, file};
    cli = parse(3, checked);
    assert_int_equal(cli.action, CLI_CHECK);
    assert_string_equal(cli.config_file, "x.conf");
    assert_int_equal(cli.flag_count, 0);
    char *piped[] = {program, dash};
    cli = parse(2, piped);
    assert_true(cli.reads_stdin);
    assert_int_equal(cli.flag_count, 0);
}

static void flags_win_over_a_file(void **state) {
    (void)state;
    char path[] = "/tmp/sherd-cli-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "port 1\nhz 20\n", 13), 13);
    close(fd);
    char *argv[] = {program, path, port_flag, number};
    struct cli cli = parse(4, argv);
    struct config *config = config_create();
    assert_non_null(config);
    char error[CONFIG_ERROR_MAX];
    assert_int_equal(cli_configure(&cli, config, error), STATUS_OK);
    assert_int_equal(config_number(&config->port), 7);
    assert_int_equal(config_number(&config->hz), 20);
    assert_string_equal(config->file, path);
    config_destroy(config);
    unlink(path);
}

static void assert_refused(const struct cli *cli, const char *expected) {
    struct config *config = config_create();
    assert_non_null(config);
    char error[CONFIG_ERROR_MAX];
    assert_int_equal(cli_configure(cli, config, error), STATUS_REFUSED);
    assert_string_equal(error, expected);
    config_destroy(config);
}

static void what_goes_first_is_told_where_it_comes_later(void **state) {
    (void)state;
    struct cli cli = PARSE(port_flag, number, check);
    assert_refused(&cli, "--check: it goes before a file and all options: sherd --check ...");
    cli = PARSE(port_flag, number, check_config);
    assert_refused(
        &cli, "--check-config: it goes before a file and all options: sherd --check-config ...");
}

static void what_may_go_first_is_suggested(void **state) {
    (void)state;
    static const struct {
        char flag[16];
        const char *suggestion;
    } cases[] = {
        {"--chekc", "check"}, {"--pnig", "ping"},      {"--prnit", "print"},
        {"--hlep", "help"},   {"--vesion", "version"}, {"--take-over", "takeover"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char flag[16], expected[128];
        strcpy(flag, cases[i].flag);
        struct cli cli = PARSE(flag);
        snprintf(expected, sizeof expected, "%s: unknown option '%s' (did you mean '%s'?)", flag,
                 flag + 2, cases[i].suggestion);
        assert_refused(&cli, expected);
    }
}

static void a_file_that_is_not_there_is_an_error(void **state) {
    (void)state;
    char path[] = "/nowhere/sherd.conf";
    char *argv[] = {program, path};
    struct cli cli = parse(2, argv);
    struct config *config = config_create();
    assert_non_null(config);
    char error[CONFIG_ERROR_MAX];
    assert_int_equal(cli_configure(&cli, config, error), STATUS_REFUSED);
    assert_string_equal(
        error, "/nowhere/sherd.conf: cannot read the configuration: No such file or directory");
    config_destroy(config);
}

/* What `print` writes; the caller frees it. */
static char *printed_by(void (*print)(FILE *out)) {
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    print(out);
    assert_int_equal(fclose(out), 0);
    return text;
}

/* Every run of spaces and line ends becomes one space. */
static char *unwrapped(const char *text) {
    char *flat = malloc(strlen(text) + 1), *to = flat;
    assert_non_null(flat);
    for (; *text != '\0'; text++) {
        bool is_space = *text == ' ' || *text == '\n';
        if (!is_space) {
            *to++ = *text;
        } else if (to > flat && to[-1] != ' ') {
            *to++ = ' ';
        }
    }
    *to = '\0';
    return flat;
}

static void no_line_of_help_is_wide(void **state) {
    (void)state;
    char *text = printed_by(cli_print_help);
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1) {
        if (strcspn(line, "\n") > CLI_HELP_COLUMNS)
            fail_msg("%.*s", (int)strcspn(line, "\n"), line);
    }
    free(text);
}

static void help_tells_of_every_option_and_group(void **state) {
    (void)state;
    char *text = printed_by(cli_print_help), *flat = unwrapped(text);
    for (size_t i = 0; i < cli_mode_count; i++) {
        assert_non_null(strstr(flat, cli_modes[i].name));
        assert_non_null(strstr(flat, cli_modes[i].help));
    }
    for (size_t i = 0; i < config_option_count; i++) {
        char expected[96];
        snprintf(expected, sizeof expected, "\n  --%s ", config_options[i].name);
        assert_non_null(strstr(text, expected));
        snprintf(expected, sizeof expected, "\n%s\n", config_options[i].group);
        assert_non_null(strstr(text, expected));
        assert_non_null(strstr(flat, config_options[i].help));
    }
    assert_non_null(strstr(flat, "(default 511; connections)"));
    free(flat);
    free(text);
}

static void the_version_is_one_line(void **state) {
    (void)state;
    char *text = printed_by(cli_print_version);
    assert_int_equal(
        strncmp(text, "sherd v=" SHERD_VERSION " ", strlen("sherd v=" SHERD_VERSION " ")), 0);
    assert_string_equal(strchr(text, '\n'), "\n");
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_means_serve_with_defaults),
        cmocka_unit_test(the_first_argument_may_ask_for_something_else),
        cmocka_unit_test(a_file_standard_input_and_flags_are_told_apart),
        cmocka_unit_test(flags_win_over_a_file),
        cmocka_unit_test(what_goes_first_is_told_where_it_comes_later),
        cmocka_unit_test(what_may_go_first_is_suggested),
        cmocka_unit_test(a_file_that_is_not_there_is_an_error),
        cmocka_unit_test(help_tells_of_every_option_and_group),
        cmocka_unit_test(no_line_of_help_is_wide),
        cmocka_unit_test(the_version_is_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
