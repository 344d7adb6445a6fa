/* Who is connected to the HTTP port, and whose connection ends when others want its place.
 *
 * A slow caller is no evil while there is room; so nobody is closed for that alone, but once somebody else comes:
 * those who finished no request for CALLER_MS_MAX go then; and where all places are taken, one goes at once: of the
 * address with the most connections, who waits longest since a request was finished. So whoever comes finds a place,
 * however many connections a stranger keeps, and however slowly he sends or reads.
 *
 * Pure: time is an argument, and the caller of these closes the sockets. One thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "net/address.h"

enum {
    CALLERS_MAX = 64,
    CALLER_MS_MAX = 6 * 1000, /* from one finished request, or from the accept, to the next */
};

struct caller {
    bool is_here, is_leaving; /* leaving: its socket is shut down, but not closed yet */
    int fd;
    int64_t since_ms;            /* when a request was last finished, or the connection accepted */
    char from[ADDRESS_TEXT_MAX]; /* the address, without a port */
};

/* Start with {0}. */
struct callers {
    struct caller places[CALLERS_MAX];
};

/* NULL: no place is free. The caller is `callers`' until `caller_leave`. */
struct caller *callers_add(struct callers *callers, int fd, const char *from, int64_t now_ms);
/* It finished a request. */
void caller_served(struct caller *caller, int64_t now_ms);
/* Its connection is closed. */
void caller_leave(struct caller *caller);

/* One who took too long, and is leaving from now on; NULL: there is none (any more). O(CALLERS_MAX) */
struct caller *callers_dismiss_late(struct callers *callers, int64_t now_ms);
/* One who is leaving from now on, for all places are taken; NULL: they aren't. O(CALLERS_MAX squared) */
struct caller *callers_dismiss_one(struct callers *callers);
