#include "tests/support/configured.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/config_value.h"

int configured_set_up(void **state) {
    struct configured *fixture = calloc(1, sizeof *fixture);
    if (fixture == NULL) return -1;
    fixture->config = config_create();
    snprintf(fixture->folder, sizeof fixture->folder, "/tmp/sherd-config-XXXXXX");
    if (fixture->config == NULL || mkdtemp(fixture->folder) == NULL) return -1;
    snprintf(fixture->path, sizeof fixture->path, "%s/sherd.conf", fixture->folder);
    *state = fixture;
    return 0;
}

int configured_tear_down(void **state) {
    struct configured *fixture = *state;
    config_destroy(fixture->config);
    unlink(fixture->path);
    int removed = rmdir(fixture->folder); /* fails when a temporary file was left */
    free(fixture);
    return removed;
}

void configured_expect(struct config *config, const char *name, const char *expected) {
    const struct config_option *option = config_option_find(bytes_of_text(name));
    assert_non_null(option);
    char value[CONFIG_TEXT_MAX];
    config_value_write(option, config, value);
    assert_string_equal(value, expected);
}

enum status configured_set(struct configured *fixture, const char *const *arguments) {
    struct bytes pairs[CONFIGURED_ARGUMENTS_MAX];
    size_t count = 0;
    for (; arguments[count] != NULL; count++) {
        assert_true(count < CONFIGURED_ARGUMENTS_MAX);
        pairs[count] = bytes_of_text(arguments[count]);
    }
    return config_set(fixture->config, &(struct config_request){pairs, count, "tests", 1000},
                      fixture->error);
}

void configured_write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

void configured_expect_file(const char *path, const char *expected) {
    char text[4096];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    assert_string_equal(text, expected);
}
