/* What the build makes out of the tables: it must be true, and be read by those it is for. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/cli.h"
#include "server/completion.h"
#include "server/config_value.h"
#include "server/manual.h"
#include "tests/support/program.h"

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

static void assert_no_wider_than(const char *text, size_t columns) {
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1) {
        if (strcspn(line, "\n") > columns) fail_msg("%.*s", (int)strcspn(line, "\n"), line);
    }
}

/* ---- sherd.conf ------------------------------------------------------------------------------ */

static void assert_says_the_defaults(char *text) {
    struct config *defaults = config_create(), *loaded = config_create();
    assert_non_null(defaults);
    assert_non_null(loaded);
    char error[CONFIG_ERROR_MAX];
    if (config_load_text(loaded, "sample", text, strlen(text), error) != STATUS_OK)
        fail_msg("%s", error);
    for (size_t i = 0; i < config_option_count; i++) {
        char expected[CONFIG_TEXT_MAX], found[CONFIG_TEXT_MAX];
        config_value_write(&config_options[i], defaults, expected);
        config_value_write(&config_options[i], loaded, found);
        assert_string_equal(found, expected);
    }
    config_destroy(loaded);
    config_destroy(defaults);
}

/* Take the '#' from before each name; returns how many there were. */
static size_t uncomment(char *text) {
    size_t count = 0;
    char *to = text;
    bool is_line_start = true;
    for (const char *from = text; *from != '\0'; from++) {
        bool is_option = is_line_start && from[0] == '#' && isalpha((unsigned char)from[1]);
        is_line_start = *from == '\n';
        count += is_option;
        if (!is_option) *to++ = *from;
    }
    *to = '\0';
    return count;
}

static void the_sample_changes_no_default_commented_out_or_not(void **state) {
    (void)state;
    char *text = printed_by(manual_print_sample);
    assert_no_wider_than(text, 100);
    char *copy = strdup(text);
    assert_non_null(copy);
    assert_says_the_defaults(copy);
    free(copy);
    assert_int_equal(uncomment(text), config_option_count);
    assert_says_the_defaults(text);
    free(text);
}

/* ---- Manual pages ---------------------------------------------------------------------------- */

static bool has_program(const char *name) {
    char command[128];
    snprintf(command, sizeof command, "command -v %s >/dev/null", name);
    return system(command) == 0;
}

/* The output of a command whose standard input is `input`; its exit status must be 0. */
static char *filtered(const char *command, const char *input) {
    char path[] = "/tmp/sherd-manual-XXXXXX", line[256];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, input, strlen(input)), (ssize_t)strlen(input));
    close(fd);
    snprintf(line, sizeof line, "%s <%s 2>&1", command, path);
    int status;
    char *output = program_run(line, &status);
    unlink(path);
    if (status != 0) fail_msg("%s: %s", command, output);
    return output;
}

static void the_manual_tells_of_every_option_and_groff_has_no_complaint(void **state) {
    (void)state;
    static void (*const pages[])(FILE * out) = {manual_print, manual_print_config};
    bool has_groff = has_program("groff");
    for (size_t page = 0; page < 2; page++) {
        char *text = printed_by(pages[page]);
        for (size_t i = 0; i < config_option_count; i++) {
            char name[128] = "\\fB", *to = name + 3;
            if (page == 0) to += sprintf(to, "\\-\\-");
            for (const char *c = config_options[i].name; *c != '\0'; c++) {
                to += sprintf(to, "%s%c", *c == '-' ? "\\" : "", *c);
            }
            sprintf(to, "\\fR");
            if (strstr(text, name) == NULL) fail_msg("page %zu lacks %s", page, name);
        }
        if (has_groff) {
            char *warnings = filtered("groff -man -Tutf8 -ww -z", text);
            assert_string_equal(warnings, "");
            free(warnings);
            char *read = filtered("groff -man -Tascii -P-c -P-b -P-u", text);
            assert_non_null(strstr(read, "allkeys-adaptive"));
            free(read);
        }
        free(text);
    }
    if (!has_groff) print_message("groff is not installed: its opinion was not asked\n");
}

/* ---- Completion ------------------------------------------------------------------------------ */

/* What bash offers for the last of the words "sherd ...". */
static char *completed(const char *words) {
    char *script = printed_by(completion_print), line[512];
    snprintf(line, sizeof line,
             "bash -c 'source /dev/stdin; COMP_WORDS=(sherd %s); "
             "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _sherd; echo \"${COMPREPLY[*]}\"'",
             words);
    char *output = filtered(line, script);
    free(script);
    return output;
}

static void bash_completes_options_modes_and_values(void **state) {
    (void)state;
    static const struct {
        const char *words, *completion;
    } examples[] = {
        {"--maxmemory-p", "--maxmemory-policy\n"},
        {"--maxmemory-policy allkeys-a", "allkeys-adaptive\n"},
        {"x.conf --protected-mode \"\"", "yes no\n"},
        {"--pi", "--pidfile --ping\n"},
        {"--ping --ti", "--timeout-ms\n"},
        {"--print config", "config config-man\n"},
        {"/etc/hostnam", "/etc/hostname\n"},
    };
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        char *output = completed(examples[i].words);
        assert_string_equal(output, examples[i].completion);
        free(output);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sample_changes_no_default_commented_out_or_not),
        cmocka_unit_test(the_manual_tells_of_every_option_and_groff_has_no_complaint),
        cmocka_unit_test(bash_completes_options_modes_and_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
