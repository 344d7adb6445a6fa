/* One request over HTTP, one answer. Main thread: what can't be had fails the running test. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Whether this sherd has an HTTP port: see SHERD_METRICS. */
bool web_is_built_in(void);

struct web_answer {
    int status;
    char *head, *body; /* NUL-terminated; owned */
    size_t body_size;
};

/* Sends `request`, a whole head but for "Connection: close" and the empty line, to a port of 127.0.0.1. */
struct web_answer web_ask(int port, const char *request);
/* GET of a path. */
struct web_answer web_get(int port, const char *path);
void web_answer_release(struct web_answer *answer);
/* The status of GET, and nothing else. */
int web_status(int port, const char *path);
