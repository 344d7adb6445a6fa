#include "bench/ask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { INFO_MAX = 16 * 1024, LINE_MAX_BYTES = 512 };

static bool fail(struct ask *ask, const char *why) {
    if (!ask->has_failed) fprintf(stderr, "sherd-bench: %s\n", why);
    ask->has_failed = true;
    return false;
}

bool ask_open(struct ask *ask, const struct target *target) {
    *ask = (struct ask){.fd = target_connect(target)};
    ask->has_failed = ask->fd < 0;
    return !ask->has_failed;
}

void ask_close(struct ask *ask) {
    if (ask->fd >= 0) close(ask->fd);
    ask->fd = -1;
}

bool ask_send(struct ask *ask, const char *bytes, size_t size) {
    while (size > 0 && !ask->has_failed) {
        ssize_t sent = write(ask->fd, bytes, size);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) return fail(ask, strerror(errno));
        bytes += sent;
        size -= (size_t)sent;
    }
    return !ask->has_failed;
}

static bool receive(struct ask *ask) {
    ask->begin = ask->end = 0;
    ssize_t received;
    do {
        received = read(ask->fd, ask->buffer, sizeof(ask->buffer));
    } while (received < 0 && errno == EINTR);
    if (received < 0) return fail(ask, strerror(errno));
    if (received == 0) return fail(ask, "the server closed a connection");
    ask->end = (size_t)received;
    return true;
}

static bool take_byte(struct ask *ask, char *byte) {
    if (ask->begin == ask->end && !receive(ask)) return false;
    *byte = ask->buffer[ask->begin++];
    return true;
}

/* A line without its end; what is too long is cut. */
static bool take_line(struct ask *ask, char line[LINE_MAX_BYTES]) {
    size_t size = 0;
    for (char byte; take_byte(ask, &byte);) {
        if (byte == '\n') {
            line[size] = 0;
            return true;
        }
        if (byte != '\r' && size < LINE_MAX_BYTES - 1) line[size++] = byte;
    }
    return false;
}

/* A string of `size` bytes and its line end. */
static bool take_text(struct ask *ask, long long size, char *text, size_t text_max) {
    char byte;
    size_t kept = 0;
    for (long long i = 0; i < size + 2; i++) {
        if (!take_byte(ask, &byte)) return false;
        if (text != NULL && i < size && kept < text_max - 1) text[kept++] = byte;
    }
    if (text != NULL) text[kept] = 0;
    return true;
}

bool ask_take(struct ask *ask, long long *number, char *text, size_t text_max) {
    char line[LINE_MAX_BYTES];
    if (ask->has_failed || !take_line(ask, line)) return false;
    *number = line[0] == '+' ? 0 : strtoll(line + 1, NULL, 10);
    switch (line[0]) {
    case '+':
    case ':':
    case '*':
        return true;
    case '$':
        return *number < 0 || take_text(ask, *number, text, text_max);
    default:
        return fail(ask, line);
    }
}

bool ask_command(struct ask *ask, const char *command, long long *number, char *text,
                 size_t text_max) {
    return ask_send(ask, command, strlen(command)) && ask_send(ask, "\r\n", 2) &&
           ask_take(ask, number, text, text_max);
}

double ask_info(struct ask *ask, const char *section, const char *field) {
    static const double NONE = -1;
    char command[64], name[64], *text = malloc(INFO_MAX);
    if (text == NULL) return NONE;
    snprintf(command, sizeof(command), "INFO %s", section);
    snprintf(name, sizeof(name), "\n%s:", field);
    long long size;
    double value = NONE;
    if (ask_command(ask, command, &size, text, INFO_MAX)) {
        const char *at = strstr(text, name);
        if (at != NULL) value = strtod(at + strlen(name), NULL);
    }
    free(text);
    return value;
}
