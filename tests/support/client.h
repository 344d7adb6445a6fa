/* hiredis, as a client of the servers of support/server.h: loads, pipelines and threads.
 *
 * Calls give up after CLIENT_WAIT_MS. The functions that don't `expect` never fail the test, so they are for
 * any thread: cmocka knows the main thread only. Formats are those of hiredis: %b takes a pointer and a size_t,
 * and there is no %zu. */
#pragma once

#include <hiredis/hiredis.h>
#include <stdbool.h>

#include "tests/support/server.h"

enum { CLIENT_WAIT_MS = 30000 };

/* NULL when there is no connection. */
redisContext *hiredis_open(const struct test_server *server);
redisContext *hiredis_open_unix(const struct test_server *server);

/* The reply to a command is an integer; then it is in `number`. */
bool hiredis_ask_integer(redisContext *context, long long *number, const char *format, ...);
/* The reply to a command is this status ("OK"). */
bool hiredis_ask_status(redisContext *context, const char *status, const char *format, ...);
/* Take the next reply of a pipeline; true when it has this type. */
bool hiredis_take(redisContext *context, int type);
/* The same, whatever its type; true unless it is an error. */
bool hiredis_take_any(redisContext *context);

/* Main thread: fail the test otherwise. */
redisContext *hiredis_expect_open(const struct test_server *server);
void hiredis_expect_integer(redisContext *context, long long expected, const char *format, ...);
void hiredis_expect_status(redisContext *context, const char *status, const char *format, ...);
