/* A trace replayed as a cache in front of something slow would see it: GET, and after a miss SET. In process
 * (replay_store.c) or against a server (replay_server.c). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/report.h"
#include "bench/target.h"
#include "bench/trace.h"
#include "shards/base/status.h"

/* One thread's. */
struct replay {
    struct trace trace;
    struct report *report;
    const char *value; /* what SET writes, as many bytes of it as it needs; TRACE_VALUE_MAX */
    uint64_t warm_up;  /* so many GETs are yet to come before hits count */
    uint64_t requests, gets, hits, errors; /* requests: the warm-up's included */
    uint64_t get_bytes, hit_bytes;         /* of the values asked for, and of those found */
    uint64_t keys;                         /* that are there in the end; replay_in_store only */
    size_t used_bytes; /* what the store took to keep them; replay_in_store only */
};

/* The trace's next request; says how far we are. */
bool replay_next(struct replay *replay, struct request *request);
/* A GET was answered. */
void replay_count(struct replay *replay, size_t value_bytes, bool is_hit);

struct replay_store_options {
    long long shards, limit_bytes; /* 0: no limit */
    const char *policy;            /* as in maxmemory-policy */
    double rate;                   /* so many requests are a second by the store's clock */
};
/* Into shards in this process. False, with a message, when it failed. */
must_use bool replay_in_store(struct replay *replay, const struct replay_store_options *options);

/* A client of a server, for one replay after another. */
struct replay_server;
struct replay_server_options {
    struct target target;
    long long connections, depth; /* so many requests are in flight on each, on average */
    double rate;                  /* at most so many requests a second; 0: as fast as it goes */
};
/* NULL, with a message, when it can't connect. */
struct replay_server *replay_server_create(const struct replay_server_options *options);
void replay_server_destroy(struct replay_server *server);
/* Empties the server first. False, with a message, when the connection broke. */
must_use bool replay_on_server(struct replay *replay, struct replay_server *server);
