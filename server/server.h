/* The whole: what is started in order and stopped in reverse. There is one, made in main and handed down. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "access/acl_log.h"
#include "access/users.h"
#include "certificates.h"
#include "command_table.h"
#include "config.h"
#include "jobs.h"
#include "limit.h"
#include "net/inheritance.h"
#include "net/listener.h"
#include "persistence/loader.h"
#include "persistence/saver.h"
#include "shards/curve.h"
#include "shards/duel.h"
#include "shards/shards.h"
#include "slowlog.h"
#include "takeover/launch.h"
#include "takeover/predecessor.h"
#include "timing.h"
#include "worker.h"

enum { SERVER_LISTENERS_MAX = ENGINE_LISTENERS_MAX, SERVER_ID_TEXT = 41 };

/* Which version of Redis we answer for: see redis-compat.md. */
#define SERVER_REDIS_VERSION "7.4.0"

struct http;

struct server {
    struct config *config;
    const struct launch *launch;
    struct launched launched;       /* main thread */
    struct command_table *commands; /* immutable after start */
    struct command_table
        *original_commands; /* under their own names; mostly the same. Immutable after start */
    struct users users;
    struct acl_log acl_log;
    struct certificates certificates;
    struct slowlog slowlog;
    struct latency latency;
    struct timing_limits timing;
    struct shards shards;
    struct curve curve; /* of the shards; off until it is asked for */
    struct duel duel;   /* allkeys-adaptive's judge; off but for that policy */
    struct jobs *jobs;
    struct saver saver;
    struct loader loader;
    struct worker *workers;                          /* an array; immutable after start */
    uint32_t worker_count;                           /* immutable after start */
    struct listener listeners[SERVER_LISTENERS_MAX]; /* worker 0 accepts from them */
    uint32_t listener_count;                         /* immutable after start */
    bool has_pidfile;                                /* it is ours to remove; main */
    struct inheritance inheritance; /* a predecessor's, not taken yet; main, at start */
    struct predecessor predecessor; /* what we are to a successor */
    struct http *http;              /* NULL: none; immutable after start */
    char run_id[SERVER_ID_TEXT];    /* immutable: 40 hexadecimal digits */
    int64_t started_ms;             /* immutable */
    struct limit limit;
    _Atomic int64_t clients_memory_max; /* bytes; 0: no limit */
    _Atomic bool evicts_clients;        /* a job is at it */
    char engine_text[ENGINE_TEXT_MAX];
    int spare_fd; /* given up for a moment to refuse politely when descriptors run out; worker 0 */
    uint32_t
        resting_listeners;  /* a bit each: waits for the tick, for want of descriptors; worker 0 */
    int64_t want_warned_ms; /* when the log was last told of that; worker 0 */

    _Atomic uint64_t next_client_id;
    _Atomic uint32_t client_count;  /* connected now, over all workers */
    _Atomic uint32_t monitor_count; /* of these: how many monitor */
    _Atomic uint64_t connections_received, connections_rejected;
    _Atomic int64_t pause_until_ms; /* 0: not paused */
    _Atomic bool pause_writes_only;
    _Atomic bool is_stopping;
    _Atomic bool has_failed;        /* the end is not what was asked for: the exit status says so */
    _Atomic int64_t tls_said_ms;    /* when the log was last told of a failed handshake, */
    _Atomic uint64_t tls_unsaid;    /* and how many it wasn't told of since (worker.c) */
    _Atomic int64_t attack_said_ms; /* when the log was last told of one (dispatch.c) */
    _Atomic bool saves_at_end;      /* decided by who asked to stop */
    pthread_mutex_t ending;         /* the last save: one at a time; over the next */
    bool has_saved_last;            /* it is done, and nobody has written since */
    _Atomic uint32_t gates;         /* enum gate */
    _Atomic bool expiry_is_active;  /* DEBUG SET-ACTIVE-EXPIRE */
    _Atomic int64_t statistics_since_ms; /* CONFIG RESETSTAT */
};

/* Start everything that `config` says, take over from another process if `launch` says so, print what was chosen,
 * serve until a signal, SHUTDOWN or a successor, stop.
 * Returns the exit status. */
int server_run(struct config *config, const struct launch *launch);
/* Tell what keeps workers and shards from being made, and a maxmemory that is too little for them (config_tells). They
 * are made and released: nobody is served. Main thread. */
void server_check(struct config *config);
/* Any thread: ask for the end, for which server_prepare_end has prepared. */
void server_stop(struct server *server);
/* Any thread: what can't go on asks for the end that SIGTERM causes, with its last save. */
void server_fail(struct server *server);
/* Any thread: save what there is to save before the end, if asked to, or as save points say
 * (SERVER_SAVE_AS_SET); writers wait from then on. On STATUS_FAILED all goes on as before; otherwise the end
 * may come: server_stop. */
enum server_save { SERVER_SAVE_AS_SET, SERVER_SAVE_YES, SERVER_SAVE_NO };
must_use enum status server_prepare_end(struct server *server, enum server_save save);
/* Any thread: let paused clients go on. */
void server_unpause(struct server *server);
/* Any thread: let those who wait look again whether they may go on. */
void server_wake_paused(struct server *server);
