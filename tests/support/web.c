#include "tests/support/web.h"

#include <stdarg.h>
#include <stdbool.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/wire.h"

bool web_is_built_in(void) {
    return system(SHERD_BINARY " --port 0 --metrics-port 1 --metrics-bind 192.0.2.1 2>&1"
                               " | grep -q 'built without'") != 0;
}

static char *read_all(int fd, size_t *size) {
    char *text;
    FILE *out = open_memstream(&text, size);
    assert_non_null(out);
    char part[4096];
    ssize_t got;
    while ((got = read(fd, part, sizeof part)) > 0) {
        fwrite(part, 1, (size_t)got, out);
    }
    assert_int_equal(got, 0); /* not the time limit */
    assert_int_equal(fclose(out), 0);
    return text;
}

struct web_answer web_ask(int port, const char *request) {
    struct wire *wire = wire_try_connect("127.0.0.1", port);
    assert_non_null(wire);
    wire_send_text(wire, request);
    wire_send_text(wire, "Connection: close\r\n\r\n");
    size_t size;
    struct web_answer answer = {.head = read_all(wire_fd(wire), &size)};
    wire_close(wire);
    char *end = strstr(answer.head, "\r\n\r\n");
    if (end == NULL || sscanf(answer.head, "HTTP/1.1 %d ", &answer.status) != 1)
        fail_msg("this is no answer: %s", answer.head);
    end[2] = '\0';
    size_t head_size = (size_t)(end + 4 - answer.head);
    answer.body_size = size - head_size;
    answer.body = malloc(answer.body_size + 1);
    assert_non_null(answer.body);
    memcpy(answer.body, answer.head + head_size, answer.body_size + 1);
    return answer;
}

struct web_answer web_get(int port, const char *path) {
    char request[256];
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\n", path);
    return web_ask(port, request);
}

void web_answer_release(struct web_answer *answer) {
    free(answer->head);
    free(answer->body);
}

int web_status(int port, const char *path) {
    struct web_answer answer = web_get(port, path);
    int status = answer.status;
    web_answer_release(&answer);
    return status;
}
