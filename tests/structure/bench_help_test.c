/* What `sherd-bench X --help` names, against what bench/ reads: every option of X, and every trace that is made up.
 * Found in the source by the shape of its rows, as the bench is a program and not a library. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES_MAX = 512, NAME_BYTES_MAX = 64, FILE_BYTES_MAX = 1024 * 1024 };

/* A file as text, which the caller frees. */
static char *read_text(const char *path) {
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    char *text = malloc(FILE_BYTES_MAX);
    assert_non_null(text);
    size_t size = fread(text, 1, FILE_BYTES_MAX - 1, file);
    text[size] = '\0';
    fclose(file);
    return text;
}

static char *read_source(const char *name) {
    char path[PATH_BYTES_MAX];
    snprintf(path, sizeof path, SHERD_SOURCE_DIR "/bench/%s", name);
    return read_text(path);
}

/* The part of `text` from `begin` to `end`; the caller frees it. */
static char *part_of(const char *text, const char *begin, const char *end) {
    const char *from = strstr(text, begin);
    assert_non_null(from);
    const char *to = strstr(from, end);
    assert_non_null(to);
    return strndup(from, (size_t)(to - from));
}

/* The row of a subcommand in bench/main.c, whose last word is the function that runs it. */
static char *help_of(const char *main_text, const char *subcommand) {
    char begin[NAME_BYTES_MAX + 8], end[NAME_BYTES_MAX + 8];
    snprintf(begin, sizeof begin, "{\"%s\",", subcommand);
    snprintf(end, sizeof end, "%s_run}", subcommand);
    return part_of(main_text, begin, end);
}

/* Every first string of a row `{"name", ...` in `rows` that begins with `prefix` is in `help`, as a word of its own. */
static size_t count_missing(const char *rows, const char *prefix, const char *help) {
    size_t missing = 0;
    for (const char *at = rows; (at = strstr(at, "{\"")) != NULL;) {
        at += 2;
        char name[NAME_BYTES_MAX];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(at, "\""), at);
        if (strncmp(name, prefix, strlen(prefix)) != 0) continue;
        const char *found = help;
        size_t size = strlen(name);
        do {
            found = strstr(found, name);
        } while (found != NULL && strchr(" ,\\\"", found[size]) == NULL && found++);
        if (found != NULL) continue;
        print_error("%s is in no help\n", name);
        missing++;
    }
    return missing;
}

static size_t count_missing_of_file(const char *path, const char *main_text) {
    char *text = read_text(path), subcommand[NAME_BYTES_MAX];
    size_t missing = 0;
    const char *run = strstr(text, "_run(int argc"), *start = run;
    while (run != NULL && start[-1] != ' ') {
        start--;
    }
    if (run != NULL) {
        snprintf(subcommand, sizeof subcommand, "%.*s", (int)(run - start), start);
        char *help = help_of(main_text, subcommand);
        missing = count_missing(text, "--", help);
        free(help);
    }
    free(text);
    return missing;
}

static void every_option_is_in_the_help_of_its_subcommand(void **state) {
    (void)state;
    glob_t files;
    assert_int_equal(glob(SHERD_SOURCE_DIR "/bench/*.c", 0, NULL, &files), 0);
    char *main_text = read_source("main.c");
    size_t missing = 0;
    for (size_t i = 0; i < files.gl_pathc; i++) {
        missing += count_missing_of_file(files.gl_pathv[i], main_text);
    }
    free(main_text);
    globfree(&files);
    assert_int_equal(missing, 0);
}

static void every_trace_is_in_the_help(void **state) {
    (void)state;
    char *main_text = read_source("main.c"), *trace_text = read_source("trace.c");
    char *help = help_of(main_text, "trace");
    char *rows = part_of(trace_text, "made_up[] = {", "};");
    assert_int_equal(count_missing(rows, "", help), 0);
    free(rows);
    free(help);
    free(trace_text);
    free(main_text);
}

static void what_no_help_names_is_found(void **state) {
    (void)state;
    assert_int_equal(count_missing("{\"--keys\", A}, {\"--key\", B}", "--", "--keys N"), 1);
    assert_int_equal(count_missing("{\"--keys\", A}, {\"word\", B}", "--", "--keys N"), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_option_is_in_the_help_of_its_subcommand),
        cmocka_unit_test(every_trace_is_in_the_help),
        cmocka_unit_test(what_no_help_names_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
