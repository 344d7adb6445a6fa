/* What a server is disturbed by while it is probed: a row each. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/ask.h"
#include "bench/busy.h"
#include "bench/fill.h"
#include "bench/prober.h"
#include "bench/storm.h"

enum { DISTURBANCE_FACTS_MAX = 160 };

/* What a run of one has. The options: see main.c. */
struct disturbed {
    long long keys, limit_bytes, huge_bytes;
    double connects;
    const char *policy;
    struct ask ask; /* asked between slices; in them it may only say what the disturbance is */
    struct fill fill;
    struct storm storm;
    struct busy busy;
    pid_t process;                        /* `busy`: the server's */
    uint32_t replies_due;                 /* of `ask` */
    uint64_t next_key;                    /* `limit`, `lower`: that was never set */
    int64_t due_ms;                       /* `expire` */
    int64_t fill_ms;                      /* the same: how long its keys took to come */
    int64_t gone_ms, late_ms, kept_bytes; /* facts, the worst of all turns */
    uint32_t turns, lasted;               /* slices that the disturbance lasted, in all turns */
};

struct disturbance {
    const char *name;
    uint32_t controls; /* slices without it before each turn of it */
    /* Once: what is needed for all turns. All of these: false with a message; NULL: nothing to do. */
    bool (*prepare)(struct disturbed *);
    /* Before a turn, and when its slices without have passed. */
    bool (*ready)(struct disturbed *);
    bool (*await)(struct disturbed *);
    /* What is asked. */
    struct probes (*probes)(const struct disturbed *, bool is_disturbed);
    /* A slice has begun: disturb it, without waiting for a reply. */
    bool (*act)(struct disturbed *);
    /* After a disturbed slice: does it last? */
    bool (*lasts)(struct disturbed *);
    /* What else was seen, in words. */
    void (*tell)(const struct disturbed *, char out[DISTURBANCE_FACTS_MAX]);
    bool connects; /* guests come, ten times as many in disturbed slices */
};

extern const struct disturbance disturbances[];
extern const size_t disturbance_count;
/* Empty the server, without a limit, with the keys that are asked for. */
bool disturbed_reset(struct disturbed *disturbed);
