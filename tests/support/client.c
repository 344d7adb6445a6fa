#include "tests/support/client.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <sys/time.h>

static const struct timeval wait_limit = {.tv_sec = CLIENT_WAIT_MS / 1000};

static redisContext *finish_open(redisContext *context) {
    if (context == NULL) return NULL;
    if (context->err == 0 && redisSetTimeout(context, wait_limit) == REDIS_OK) return context;
    redisFree(context);
    return NULL;
}

redisContext *hiredis_open(const struct test_server *server) {
    return finish_open(redisConnectWithTimeout("127.0.0.1", server->port, wait_limit));
}

redisContext *hiredis_open_unix(const struct test_server *server) {
    return finish_open(redisConnectUnixWithTimeout(server->unix_socket, wait_limit));
}

static bool ask_integer(redisContext *context, long long *number, const char *format,
                        va_list arguments) {
    redisReply *reply = redisvCommand(context, format, arguments);
    bool is_integer = reply != NULL && reply->type == REDIS_REPLY_INTEGER;
    if (is_integer) *number = reply->integer;
    freeReplyObject(reply);
    return is_integer;
}

static bool ask_status(redisContext *context, const char *status, const char *format,
                       va_list arguments) {
    redisReply *reply = redisvCommand(context, format, arguments);
    bool is_status =
        reply != NULL && reply->type == REDIS_REPLY_STATUS && strcmp(reply->str, status) == 0;
    freeReplyObject(reply);
    return is_status;
}

bool hiredis_ask_integer(redisContext *context, long long *number, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    bool is_integer = ask_integer(context, number, format, arguments);
    va_end(arguments);
    return is_integer;
}

bool hiredis_ask_status(redisContext *context, const char *status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    bool is_status = ask_status(context, status, format, arguments);
    va_end(arguments);
    return is_status;
}

/* The type of the next reply; -1 when there is none. */
static int take_type(redisContext *context) {
    void *reply = NULL;
    if (redisGetReply(context, &reply) != REDIS_OK) return -1;
    int type = ((redisReply *)reply)->type;
    freeReplyObject(reply);
    return type;
}

bool hiredis_take(redisContext *context, int type) {
    return take_type(context) == type;
}

bool hiredis_take_any(redisContext *context) {
    int type = take_type(context);
    return type != -1 && type != REDIS_REPLY_ERROR;
}

redisContext *hiredis_expect_open(const struct test_server *server) {
    redisContext *context = hiredis_open(server);
    assert_non_null(context);
    return context;
}

void hiredis_expect_integer(redisContext *context, long long expected, const char *format, ...) {
    long long number = 0;
    va_list arguments;
    va_start(arguments, format);
    bool is_integer = ask_integer(context, &number, format, arguments);
    va_end(arguments);
    if (!is_integer) fail_msg("%s: the reply is no integer", format);
    if (number != expected) fail_msg("%s: expected %lld, got %lld", format, expected, number);
}

void hiredis_expect_status(redisContext *context, const char *status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    bool is_status = ask_status(context, status, format, arguments);
    va_end(arguments);
    if (!is_status) fail_msg("%s: the reply is not %s", format, status);
}
