/* One thread, one engine, one loop: START READING HERE.
 *
 *      turn:  engine delivers what came ─▶ parse every request that is whole ─▶ route, hash
 *             ─▶ prefetch buckets, then entries ─▶ run in order, replies appended ─▶ one send a client, with the next turn's wait
 *
 * A worker runs what it reads, to completion; nothing is handed to another thread. It also keeps up its share of the
 * shards (index modulo workers): expiry and flushed memory, in bounded steps between turns. */
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "client.h"
#include "command_table.h"
#include "errors.h"
#include "net/engine.h"
#include "monitor.h"
#include "net/mailbox.h"
#include "profile.h"
#include "rate.h"
#include "sampler.h"
#include "shards/shards.h"
#include "timing.h"

struct server;
struct waiting;

/* What one command did on one worker. Atomic, relaxed; the worker writes. Times are in ticks of clock.h, weighted: a
 * fast command is timed one call in COMMAND_SAMPLE and counts that much. */
enum { COMMAND_SAMPLE = 16, COMMAND_HISTOGRAM = 32 };
struct command_statistics {
    _Atomic uint64_t calls, ticks, failed, rejected;
    _Atomic uint32_t histogram
        [COMMAND_HISTOGRAM]; /* by power of two of microseconds: bucket i holds times in (2^(i-1), 2^i] */
};

/* A histogram in 64 bits. A bucket of 32 costs a request nothing and comes around after 4.3e9 calls at the
 * earliest, so the worker carries what it gained into a total, a command a tick: each is visited long before it
 * may have come around. What a bucket has gained since is its difference to the total's low half. Nothing is ever
 * set back, so that a reader's sum is exact at any moment: starting again only moves `base`, which is subtracted. */
struct command_totals {
    _Atomic uint64_t total
        [COMMAND_HISTOGRAM]; /* the worker writes; release, pairs with read_bucket in metrics.c */
    _Atomic uint64_t base[COMMAND_HISTOGRAM]; /* whoever resets writes; release, pairs the same */
};

/* What became of leases (commands/leases.c). Atomic, relaxed, their worker writes. */
struct lease_counts {
    _Atomic uint64_t granted; /* misses that were given the token, */
    _Atomic uint64_t early;   /* and hits that were, to refresh the value before its time */
    _Atomic uint64_t stale;   /* misses that were shown an expired value */
    _Atomic uint64_t
        waited; /* that were put off, each time, until whoever held the token would fill */
    _Atomic uint64_t filled;      /* values stored for their token; */
    _Atomic uint64_t void_tokens; /* not stored, or given up, as the token was not good any more */
};

/* A parsed request, ready to run: a cache line. What follows from its row and its first key alone is reckoned once. */
struct request {
    struct client *client;
    const struct command *row; /* NULL: unknown, or a protocol error of the client */
    struct shard *shard;       /* of its first key; NULL: it has no key */
    uint64_t hash;             /* of its first key */
    size_t end;                /* offset in the client's view of what follows */
    uint32_t id;
    uint32_t first_argument; /* index into the worker's arguments */
    uint32_t argument_count;
    uint32_t last_key; /* index of its last key: the first's where there is one */
    bool is_sound;     /* a command we have, with as many arguments as it takes */
};

enum {
    /* Requests prefetched together: 64 to 256 cost 2 to 15 % more, their lines pushed each other out. */
    BATCH_MAX = 32,
    WORKER_MAILBOX = 4096,
    WORKER_LINE_BYTES = RESP_INLINE_MAX + 2, /* the longest inline command, and its line end */
    WORKER_STOP_MS = 5000, /* a stopping worker gives its clients so long to take their replies */
    /* Unsent replies that stop the reading and running of a client's requests, and that let it go on. */
    OUTPUT_THROTTLE_BYTES = 1024 * 1024,
    OUTPUT_RESUME_BYTES = OUTPUT_THROTTLE_BYTES / 2,
    OUTPUT_UNTRUSTED_BYTES = 17 * 1024, /* of a client that has not logged in: then it is closed */
};

struct worker {
    struct server *server;
    uint32_t index;
    pthread_t thread;
    sem_t has_started; /* posted once the engine runs, or can't; and once it listens, or can't */
    enum status start_status; /* then: how that went; */
    char *start_text;         /* and what the engine says */
    struct engine *engine;
    struct mailbox mailbox;
    struct buffer_pool buffers;
    struct counters *counters; /* its row of each shard */
    struct misses *misses;     /* its row of each database */
    uint64_t users_version;    /* of the users that its clients are judged by; this thread only */

    /* The turn; this thread only. */
    int64_t now_ms; /* read once a turn, when its first event comes */
    bool now_is_stale;
    bool has_received; /* input came in this turn */
    bool has_paused;   /* some client waits for the end of CLIENT PAUSE */
    struct resp_arguments arguments;
    struct request batch[BATCH_MAX];
    uint32_t batch_count;
    struct client *touched; /* clients to settle after the batch: a list */
    struct buffer discard;  /* where replies of CLIENT REPLY OFF go */
    char *line;             /* WORKER_LINE_BYTES for an inline command; NULL before the first */
    uint32_t *lock_indexes; /* room for those of all shards: a command of several keys locks them */
    void *scratch;          /* call_scratch; grows, kept when small */
    size_t scratch_capacity, scratch_used;
    struct random random;
    /* Clients whose command waits; blocking.c. */
    struct waiting *waiting, *ready;
    struct waiting *_Atomic woken; /* atomic: any thread pushes */
    int64_t next_look_ms;          /* when one of them must look again; INT64_MAX: none */
    int64_t next_tick_ms;
    int64_t back_ms;      /* when its ticks last went on after a break, which nobody is late for */
    bool clients_grew;    /* clients' memory, since clients_memory.c looked: by input, */
    uint64_t chunks_seen; /* or by replies: buffers.allocations then */
    _Atomic uint32_t
        chunks_at_rest;   /* atomic, relaxed: in its buffers, when a turn ended; clients_memory.c */
    uint32_t upkeep_left; /* upkeep.c: shards to be looked at before there is nothing more to do, */
    uint32_t upkeep_shard; /* from this one on */
    uint32_t
        due_shard; /* limit.c: whose turn it is to evict, where memory is far past its limit, */
    int64_t due_again_ms; /* and not before then: nobody could go */
    bool is_stopping;
    sem_t *settled;     /* to be posted once nobody is accepted any more; NULL: nobody asks */
    bool is_parting;    /* a successor serves: clients are told so, and not served any more */
    bool has_dismissed; /* some client has a `gone_by_ms` */
    int64_t stop_deadline_ms;
    uint32_t cut_off_count; /* clients that were closed then, with replies unsent */

    /* The registry of its clients. `registry` is a leaf lock: nothing else is taken while it is held. */
    pthread_mutex_t registry;
    struct client *clients; /* registry */
    bool has_condemned;     /* registry: a letter is on its way that closes those of them who are */
    _Atomic uint32_t client_count; /* atomic, relaxed: placement and statistics */

    /* Statistics; atomic, relaxed, this thread writes. */
    struct command_statistics *commands; /* by command id */
    struct command_totals *totals;       /* the same */
    uint32_t carried_id;    /* the command whose buckets the next tick carries; its own */
    struct errors errors;   /* by code */
    struct sampler sampler; /* what it fills has locks of its own */
    struct timing timing;
    struct monitors monitors;
    struct profile profile;
    _Atomic uint64_t command_count, batches;
    struct rate command_rate, received_rate, sent_rate; /* taken at each tick */
    _Atomic uint64_t closed_output_limit, closed_query_limit, closed_idle, closed_evicted;
    struct lease_counts leases;
};

/* Everything but the thread. STATUS_NO_MEMORY. */
must_use enum status worker_init(struct worker *worker, struct server *server, uint32_t index);
/* Start the thread; `text` (ENGINE_TEXT_MAX) is what the engine says of itself, or why it can't run (then
 * STATUS_UNSUPPORTED). */
must_use enum status worker_start(struct worker *worker, char *text);
/* Its thread's first step. Or another's, to see whether it can be taken: the same errors; worker_release is next. */
must_use enum status worker_create_engine(struct worker *worker, char *text);
/* Have it accept from all listeners; errors as from worker_start. */
must_use enum status worker_listen(struct worker *worker, char *text);
/* Wait for its thread's end. Its engine and mailbox stay until the release: other workers may still write to it. */
void worker_join(struct worker *worker);
/* After all workers were joined. */
void worker_release(struct worker *worker);

/* ---- Any thread; worker_letters.c. False: the mailbox is full, or there is no memory --------- */

/* A connected socket for this worker, owned from now on. */
must_use bool worker_adopt(struct worker *worker, int fd, bool is_tls);
/* Have it close this client of its. However many are condemned before it comes to that, one letter does for all.
 * Lock: its registry, under which the client was found. */
bool worker_condemn_locked(struct worker *worker, struct client *client);
/* Close the client with this id, which takes too much memory (clients_memory.h). */
bool worker_evict(struct worker *worker, uint64_t client_id);
/* End the wait of this client, if it waits: with an error, or as if its time was over. */
bool worker_unblock(struct worker *worker, uint64_t client_id, bool with_error);
/* There is upkeep to do in its shards; don't wait for the tick. */
bool worker_keep_up(struct worker *worker);
/* Paused clients may go on; all finish and stop. */
bool worker_unpause(struct worker *worker);
bool worker_stop(struct worker *worker);
/* Post `answered` when nothing runs any more that the gates, as they are now, hold back. `unlistens`: and worker 0
 * accepts nobody, until worker_listen_again. */
must_use bool worker_settle(struct worker *worker, sem_t *answered, bool unlistens);
must_use bool worker_listen_again(struct worker *worker);
/* The limit of descriptors was raised; its engine accepts by the new one from now on. */
must_use bool worker_note_descriptors(struct worker *worker);
/* Accept from all listeners, and post `has_started`: for worker_listen, which waits for that. */
must_use bool worker_ask_to_listen(struct worker *worker);

/* ---- The worker's own thread; worker_clients.c ----------------------------------------------- */

/* A new client for a connected socket, which is closed if it can't be had. */
void worker_take_in(struct worker *worker, int fd, bool is_tls);
/* Find its client by id; NULL. */
struct client *worker_find_client(struct worker *worker, uint64_t id);
/* Run nothing more of it; close as soon as its replies are sent. */
void worker_finish_client(struct worker *worker, struct client *client);
/* Break with a client that may still be sending, such that it can read the reply that says why: run
 * nothing more of it, and close when it has hung up, or has had a second for that. */
void worker_dismiss_client(struct worker *worker, struct client *client);
/* A finishing client has its replies. Closes, or waits for the client to hang up. */
void worker_let_go(struct worker *worker, struct client *client);
/* Close now; what it wasn't sent yet is dropped. */
void worker_close_client(struct worker *worker, struct client *client);
/* It was closed, and the engine has nothing in flight for it any more: free it. */
void worker_forget_client(struct worker *worker, struct client *client);

/* ---- The worker's own thread; worker.c ------------------------------------------------------- */

/* CLIENT PAUSE is over: serve those whom it held back. */
void worker_resume_paused(struct worker *worker);
