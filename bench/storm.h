/* Guests: they connect at a rate, ask PING, hear the answer, and go. Done between two rounds of somebody's loop. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "bench/target.h"

enum {
    STORM_GUESTS_MAX = 512, /* at the same time; one more is not let in, but counted */
    STORM_AT_ONCE_MAX = 2,  /* come in a round */
};

struct storm {
    struct sockaddr_storage address;
    socklen_t address_bytes;
    double rate;              /* guests a second */
    uint64_t due, came, went; /* since storm_begin */
    uint64_t failed;          /* refused, closed, or not let in; since storm_init */
    uint64_t visits;          /* the same */
    int guests[STORM_GUESTS_MAX];
    uint32_t guest_count;
};

/* False, with a message, when the target has no address. */
bool storm_init(struct storm *storm, const struct target *target);
void storm_begin(struct storm *storm, double rate);
/* Whoever is due comes, whoever was answered goes. A round costs a guest's system calls, some 50 us each. */
void storm_tend(struct storm *storm, int64_t elapsed_us);
/* Wait for those who are still there. */
void storm_end(struct storm *storm);
