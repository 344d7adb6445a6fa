/* Who asks one small question after the other, at a fixed rate whatever happens to the answers, and says how
 * long each took: the instrument that `steady` holds to a server.
 *
 * One thread that never waits for a reply: it takes what came, sends what is due, and sleeps until the next is.
 * Whatever else it must do meanwhile (the disturbance) is done in its rounds, by `tend`. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bench/histogram.h"
#include "bench/keys.h"
#include "bench/protocol.h"
#include "bench/target.h"
#include "shards/base/random.h"

enum {
    PROBER_CONNECTIONS_MAX = 64,
    PROBER_DEPTH_MAX = 4096, /* requests in flight a connection; more are not sent, but counted */
    PROBER_GAP_US = 250,     /* later than that it was away: see prober.c */
};

struct prober_options {
    const struct target *target;
    uint32_t connections;
    double rate; /* requests a second, over all of them */
    size_t value_bytes;
};

/* What is asked in a slice: about `count` keys from number `first` on, one after the other or drawn. */
struct probes {
    bool is_set, is_in_turn;
    uint64_t first, count;
};

struct probed {
    int fd;
    struct reply_reader replies;
    int64_t sent_us[PROBER_DEPTH_MAX]; /* a ring, of Unix time */
    uint32_t oldest, in_flight;
    char *unsent; /* what the socket had no room for */
    size_t unsent_bytes, unsent_max;
};

struct prober {
    struct prober_options options;
    struct probed *connections;
    struct random random;
    char *get, *set; /* texts of requests, a key's name at `*_key` */
    size_t get_bytes, get_key, set_bytes, set_key;
    uint32_t next_connection;
    bool has_failed;
};

/* A slice as the prober saw it. */
struct probing {
    struct histogram latencies; /* in ns */
    uint64_t asked, errors;
    uint64_t overruns; /* not asked: PROBER_DEPTH_MAX were under way */
    uint64_t skipped;  /* not asked, or not counted, since the prober itself was away */
    int64_t away_us;   /* so long, in all: its gaps */
    uint64_t due;      /* of the slice: asked, overrun or skipped */
    uint64_t next_key; /* of probes in turn: where the next slice may go on */
};

/* False, with a message, when it can't be had. */
bool prober_open(struct prober *prober, const struct prober_options *options);
void prober_close(struct prober *prober);
/* Ask for `slice_us`, then wait until all is answered. `tend` (or NULL) is called each round with the time since
 * the slice began. False, with a message, when a connection broke. */
bool prober_run(struct prober *prober, const struct probes *probes, int64_t slice_us,
                void (*tend)(void *context, int64_t elapsed_us), void *context,
                struct probing *probing);
