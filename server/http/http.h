/* The HTTP port of monitoring: for Prometheus, for whoever asks whether we live, for people.
 *
 *      /              the console: console.h; it asks for /console.json each second
 *      /metrics       what INFO tells, in Prometheus's text format
 *      /healthz       200 while the process serves
 *      /readyz        200 when clients are served; 503 while it loads or stops
 *
 * One thread of its own answers one request after the other, so whoever asks too much slows nobody but those who ask. */
#pragma once

#include "server/server.h"
#include "shards/base/status.h"

enum { HTTP_ERROR_MAX = 512 };

struct http;

/* Listen as the configuration says and serve; `*http` is NULL when it says not to (metrics-port 0). The workers run
 * already, and are released after http_stop only. On failure `error` (HTTP_ERROR_MAX bytes) says why. */
must_use enum status http_start(struct server *server, struct http **http, char *error);
/* Would it listen? */
must_use enum status http_check(const struct config *config, char *error);
/* The socket that it listens on; -1: none. NULL is allowed, here and below. */
int http_listener(const struct http *http);
/* Ends its thread; nobody is answered any more. */
void http_stop(struct http *http);
