#include "tests/support/program.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/* All that is left to be read, as text. */
static char *read_all(FILE *from) {
    char block[4096], *text = NULL;
    size_t text_size, size;
    FILE *to = open_memstream(&text, &text_size);
    assert_non_null(to);
    while ((size = fread(block, 1, sizeof block, from)) > 0) {
        assert_int_equal(fwrite(block, 1, size, to), size);
    }
    assert_int_equal(fclose(to), 0);
    return text;
}

char *program_run(const char *line, int *exit_status) {
    FILE *pipe = popen(line, "re");
    assert_non_null(pipe);
    char *output = read_all(pipe);
    int status = pclose(pipe);
    *exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return output;
}

void program_expect(const char *line, int exit_status, const char *text) {
    int found;
    char *output = program_run(line, &found);
    if (found != exit_status || strstr(output, text) == NULL) {
        fail_msg("%s\nexpected exit status %d and: %s\ngot %d: %s", line, exit_status, text, found,
                 output);
    }
    free(output);
}
