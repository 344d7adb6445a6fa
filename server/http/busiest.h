/* The clients that sent the most commands a second since they connected, busiest first: what the console shows of them.
 *
 * By their own average, so that one who came a moment ago and floods is among them at once, and one who was busy
 * yesterday isn't for long. */
#pragma once

#include <stdint.h>

#include "net/address.h"

struct server;

enum { BUSIEST_MAX = 10, BUSIEST_NAME_MAX = 64 };

struct busy_client {
    uint64_t id, rate; /* commands a second, on average */
    uint64_t commands, bytes;
    int64_t idle_ms;
    uint32_t worker, database;
    const char *last_command; /* a row's name; "" when there was none */
    char from[ADDRESS_TEXT_MAX];
    char name[BUSIEST_NAME_MAX], user[BUSIEST_NAME_MAX]; /* as much as fits, with a NUL */
};

/* Any thread; takes each worker's registry in turn, and asks the kernel for BUSIEST_MAX addresses there. Returns how many
 * there are. */
uint32_t busiest_find(const struct server *server, int64_t now_ms,
                      struct busy_client out[BUSIEST_MAX]);
