/* A line is in the file once it was logged, whole, whatever becomes of the process. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/log.h"
#include "tests/support/crowd.h"
#include "tests/support/disk_room.h"

struct fixture {
    char path[32];
    char *text; /* what the file holds */
};

static int set_up(void **state) {
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    if (fixture == NULL) return -1;
    strcpy(fixture->path, "/tmp/sherd-log-XXXXXX");
    int file = mkstemp(fixture->path);
    if (file < 0) return -1;
    close(file);
    *state = fixture;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    log_set_level(LOG_NOTICE);
    assert_int_equal(log_open(""), STATUS_OK);
    unlink(fixture->path);
    free(fixture->text);
    free(fixture);
    return 0;
}

static const char *read_log(struct fixture *fixture) {
    FILE *file = fopen(fixture->path, "r");
    assert_non_null(file);
    size_t capacity = 0;
    free(fixture->text);
    fixture->text = NULL;
    if (getdelim(&fixture->text, &capacity, '\0', file) < 0) fixture->text[0] = 0;
    fclose(file);
    return fixture->text;
}

static size_t count_lines(const char *text, const char *end) {
    size_t count = 0;
    for (const char *c = text; (c = strstr(c, end)) != NULL; c++) {
        count++;
    }
    return count;
}

/* A child that logs, then is killed; `to_stdout`: its standard output is the file. */
static void log_and_be_killed(const char *path, bool to_stdout) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (to_stdout) {
            int file = open(path, O_WRONLY);
            if (dup2(file, STDOUT_FILENO) < 0) _exit(1);
        } else if (log_open(path) != STATUS_OK) {
            _exit(1);
        }
        log_notice("the first line");
        log_warning("the last line");
        raise(SIGKILL);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    assert_true(WIFSIGNALED(status));
}

static void a_killed_process_leaves_its_last_line(void **state) {
    struct fixture *fixture = *state;
    log_and_be_killed(fixture->path, false);
    assert_non_null(strstr(read_log(fixture), " * the first line\n"));
    assert_non_null(strstr(fixture->text, " # the last line\n"));
}

static void a_redirected_output_has_it_too(void **state) {
    struct fixture *fixture = *state;
    log_and_be_killed(fixture->path, true);
    assert_non_null(strstr(read_log(fixture), " * the first line\n"));
    assert_non_null(strstr(fixture->text, " # the last line\n"));
}

static void what_is_below_the_level_is_dropped(void **state) {
    struct fixture *fixture = *state;
    assert_int_equal(log_open(fixture->path), STATUS_OK);
    log_verbose("quiet");
    log_set_level(LOG_VERBOSE);
    log_debug("quiet");
    log_verbose("heard");
    log_set_level(LOG_NOTHING);
    log_warning("quiet");
    assert_int_equal(count_lines(read_log(fixture), "\n"), 1);
    assert_non_null(strstr(fixture->text, " - heard\n"));
}

static void a_long_message_is_cut_and_still_a_line(void **state) {
    struct fixture *fixture = *state;
    assert_int_equal(log_open(fixture->path), STATUS_OK);
    char text[LOG_LINE_MAX * 2];
    memset(text, 'x', sizeof(text));
    log_notice("%.*s", (int)sizeof(text), text);
    log_notice("next");
    assert_int_equal(count_lines(read_log(fixture), "\n"), 2);
    assert_in_range(strchr(fixture->text, '\n') - fixture->text, LOG_LINE_MAX - 3,
                    LOG_LINE_MAX - 1);
}

static void a_file_that_can_not_be_opened_leaves_the_sink(void **state) {
    struct fixture *fixture = *state;
    assert_int_equal(log_open(fixture->path), STATUS_OK);
    assert_int_equal(log_open("/nonexistent/folder/log"), STATUS_REFUSED);
    log_notice("still here");
    assert_non_null(
        strstr(read_log(fixture),
               "/nonexistent/folder/log (option logfile): No such file or directory; "));
    assert_non_null(strstr(fixture->text, " * still here\n"));
}

static void a_line_of_json_is_one_object(void **state) {
    struct fixture *fixture = *state;
    assert_int_equal(log_open(fixture->path), STATUS_OK);
    log_set_form(LOG_FORM_JSON);
    log_warning("a \"quoted\" path: C:\\x\ttab, \xc3\xa9 and \xff");
    char text[LOG_LINE_MAX * 2];
    memset(text, '"', sizeof(text));
    log_notice("%.*s", (int)sizeof(text), text);
    log_set_form(LOG_FORM_REDIS);
    const char *lines = read_log(fixture);
    int year, end = 0;
    char after[16];
    assert_int_equal(sscanf(lines, "{\"time\":\"%4d-%*2d-%*2dT%*2d:%*2d:%*2d.%*3d%1[Z]\",%n", &year,
                            after, &end),
                     2);
    assert_true(year >= 2025);
    char expected[256];
    snprintf(expected, sizeof(expected),
             "\"level\":\"warning\",\"pid\":%d,\"message\":\"a \\\"quoted\\\" path: "
             "C:\\\\x\\u0009tab, \xc3\xa9 and \xef\xbf\xbd\"}\n",
             (int)getpid());
    assert_int_equal(strncmp(lines + end, expected, strlen(expected)), 0);
    const char *second = strchr(lines, '\n') + 1;
    size_t size = strlen(second);
    assert_in_range(size, LOG_LINE_MAX - 4, LOG_LINE_MAX);
    assert_string_equal(second + size - 5, "\\\"\"}\n");
}

static void a_file_that_was_moved_away_is_left_when_it_is_opened_anew(void **state) {
    struct fixture *fixture = *state;
    char moved[64];
    snprintf(moved, sizeof(moved), "%s.1", fixture->path);
    assert_int_equal(log_open(fixture->path), STATUS_OK);
    log_notice("first");
    assert_int_equal(rename(fixture->path, moved), 0);
    log_notice("second");
    assert_int_equal(log_open(fixture->path), STATUS_OK);
    log_notice("third");
    assert_int_equal(count_lines(read_log(fixture), "\n"), 1);
    assert_non_null(strstr(fixture->text, " * third\n"));
    unlink(moved);
}

static void what_floods_is_held_back_and_told(void **state) {
    struct fixture *fixture = *state;
    assert_int_equal(log_open(fixture->path), STATUS_OK);
    for (int i = 0; i < 1000; i++) {
        log_warning_limited("Closing client %d: a flood", i);
    }
    while (strstr(read_log(fixture), " more like this") == NULL) {
        usleep(1000);
        log_tell_held_back();
    }
    /* Each that was logged is there, and the others are counted; a slow machine may need seconds for all. */
    size_t logged = count_lines(fixture->text, ": a flood\n"), held_back = 0;
    for (const char *told = fixture->text; (told = strstr(told, "Closing client ...: ")) != NULL;) {
        told += strlen("Closing client ...: ");
        held_back += strtoul(told, NULL, 10);
    }
    assert_int_equal(logged + held_back, 1000);
    assert_true(held_back > 0);
}

enum { CROWD = 4, EACH = 500 };

static bool log_many(void *context, size_t index) {
    (void)context;
    for (int i = 0; i < EACH; i++) {
        log_notice("<%zu says a few words, as everybody does, %d>", index, i);
    }
    return true;
}

static void lines_of_several_threads_never_mix(void **state) {
    struct fixture *fixture = *state;
    assert_int_equal(log_open(fixture->path), STATUS_OK);
    assert_true(crowd_run(CROWD, log_many, NULL));
    read_log(fixture);
    assert_int_equal(count_lines(fixture->text, "\n"), CROWD * EACH);
    assert_int_equal(count_lines(fixture->text, ">\n"), CROWD * EACH);
    assert_int_equal(count_lines(fixture->text, " * <"), CROWD * EACH);
}

/* 70 bytes: a line and the beginning of the next. */
static void lines_that_a_full_disk_has_no_room_for_are_told(void **state) {
    struct fixture *fixture = *state;
    assert_int_equal(log_open(fixture->path), STATUS_OK);
    disk_room_limit(70);
    log_notice("first");
    for (int i = 0; i < 3; i++) {
        log_notice("there is no room for this");
    }
    disk_room_unlimit();
    log_notice("second");
    log_notice("third");
    const char *text = read_log(fixture);
    assert_int_equal(count_lines(text, "\n"), 5);
    assert_non_null(strstr(
        text, " # 3 lines could not be written to this log and are lost; was the disk full?\n"));
    assert_non_null(strstr(text, " * second\n"));
    assert_non_null(strstr(text, " * third\n"));
}

int main(void) {
#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        LOG_TEST(a_killed_process_leaves_its_last_line),
        LOG_TEST(a_redirected_output_has_it_too),
        LOG_TEST(what_is_below_the_level_is_dropped),
        LOG_TEST(a_long_message_is_cut_and_still_a_line),
        LOG_TEST(a_file_that_can_not_be_opened_leaves_the_sink),
        LOG_TEST(lines_of_several_threads_never_mix),
        LOG_TEST(a_line_of_json_is_one_object),
        LOG_TEST(a_file_that_was_moved_away_is_left_when_it_is_opened_anew),
        LOG_TEST(what_floods_is_held_back_and_told),
        LOG_TEST(lines_that_a_full_disk_has_no_room_for_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
