/* The small interface that both engines give: io_uring (ring.c) and epoll (poll.c). Nothing above knows
 * which one runs.
 *
 * One engine a worker, used by the worker's thread alone; only engine_wake may be called from any thread.
 * The worker's loop is nothing but `engine_turn`: it submits what was queued since the last turn (all
 * sends, all re-arms) together with the wait, one system call on io_uring, then delivers what came,
 * through the events below.
 *
 * Bytes of a `received` event lie in the engine's own receive buffers and stay valid until the next engine_turn, so
 * a turn's requests are parsed and run where they arrived, without a copy. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "connection.h"
#include "shards/base/bytes.h"
#include "shards/base/status.h"

enum engine_kind { ENGINE_AUTO, ENGINE_URING, ENGINE_EPOLL };

/* Calls upward, all from inside engine_turn, on its thread. They may call any engine function but engine_turn and
 * engine_destroy. Callees must bear a spurious `sent` and `woken`. */
struct engine_events {
    /* A new socket from the listening `listener_fd`: non-blocking, close-on-exec, owned by the callee. */
    void (*accepted)(void *context, int listener_fd, int fd);
    /* Accepting failed, mostly for want of descriptors or memory (`error` is the errno); the listener rests until
     * engine_listen is called again. */
    void (*accept_failed)(void *context, int listener_fd, int error);
    void (*received)(void *context, struct connection *connection, struct bytes bytes);
    /* The peer closed or reset (`error` 0 or an errno): nothing more comes; the callee closes when it has
     * answered. */
    void (*ended)(void *context, struct connection *connection, int error);
    /* Some output was sent; `buffer_waiting` says what is left. */
    void (*sent)(void *context, struct connection *connection);
    /* After engine_close: nothing points to the connection any more. The fd is closed; free it. */
    void (*released)(void *context, struct connection *connection);
    /* engine_wake was called (once or more) since the last turn. */
    void (*woken)(void *context);
};

struct engine_options {
    const struct engine_events *events;
    void *context;
    uint32_t receive_buffer_count; /* a power of two, up to 32768 */
    uint32_t receive_buffer_bytes;
    uint32_t completion_entries; /* io_uring's completion queue, a power of two; 0: the default */
};

enum {
    ENGINE_COMPLETIONS = 4096, /* more in one turn, and the kernel must keep the rest aside */
    ENGINE_LISTENERS_MAX = 32, /* listening sockets of one engine */
};

struct engine_statistics {     /* atomic, relaxed: written by the worker, read by any thread */
    _Atomic uint64_t turns;    /* engine_turn was called */
    _Atomic uint64_t receives; /* `received` events */
    _Atomic uint64_t sends;    /* sends that took bytes */
    _Atomic uint64_t received_bytes, sent_bytes;
    /* Bytes it receives into by now: they only grow, and aren't in memory_used(). */
    _Atomic uint64_t receive_memory;
    _Atomic uint64_t starved;   /* receives that found no buffer */
    _Atomic uint64_t overflows; /* turns that found the completion queue too small */
    _Atomic uint64_t rearms;    /* operations that had to be begun again, besides the first time */
    /* TLS handshakes: under way now (rises and falls), done, done by resuming a session, failed. */
    _Atomic uint64_t handshakes_open, handshakes, resumptions, handshake_failures;
};

/* Add to a statistic that this thread alone writes: no locked instruction. */
static inline void engine_count(_Atomic uint64_t *statistic, uint64_t amount) {
    uint64_t before = atomic_load_explicit(statistic, memory_order_relaxed);
    atomic_store_explicit(statistic, before + amount, memory_order_relaxed);
}

struct engine_operations;
struct tls_area;
/* For who wants to know where a turn's time goes: what the engine did is told as times of `now`, whatever that counts. */
struct engine_stopwatch {
    uint64_t (*now)(void); /* NULL: this turn isn't measured */
    uint64_t sent;         /* when all that was to be sent had been handed to the kernel */
    uint64_t woke;         /* when the wait was over */
};
struct engine {
    const struct engine_operations *operations;
    struct engine_statistics statistics;
    struct engine_stopwatch stopwatch; /* set between turns; the engine's thread */
    struct tls_area *tls_area;         /* tls.h; NULL until a connection speaks TLS */
    uint32_t receives_max;             /* `received` events of a turn, and the bytes they may */
    size_t receive_bytes_max;          /* have together; immutable */
};
/* For the implementations. */
static inline void engine_note_sent(struct engine *engine) {
    if (engine->stopwatch.now != NULL) engine->stopwatch.sent = engine->stopwatch.now();
}
static inline void engine_note_woke(struct engine *engine) {
    if (engine->stopwatch.now != NULL) engine->stopwatch.woke = engine->stopwatch.now();
}

/* For the implementations: so many bytes came, or went. */
void engine_count_received(struct engine *engine, struct connection *connection, size_t size);
void engine_count_sent(struct engine *engine, struct connection *connection, size_t size);

/* What each implementation fills in; callers use the functions below. */
struct engine_operations {
    const char *name; /* "io_uring" or "epoll" */
    void (*destroy)(struct engine *);
    enum status (*listen)(struct engine *, int listener_fd);
    void (*unlisten)(struct engine *, int listener_fd);
    bool (*is_accepting)(const struct engine *);
    enum status (*attach)(struct engine *, struct connection *);
    void (*pause_receive)(struct engine *, struct connection *);
    void (*resume_receive)(struct engine *, struct connection *);
    void (*send)(struct engine *, struct connection *);
    void (*close)(struct engine *, struct connection *);
    enum status (*turn)(struct engine *, int timeout_ms);
    void (*wake)(struct engine *);
};

/* Text of why the kernel refused io_uring and what to do, or which features were found: for the one log line. */
enum { ENGINE_TEXT_MAX = 512 };

/* Create on the thread that will use it (a ring belongs to its thread). NULL on failure. `text`
 * (ENGINE_TEXT_MAX bytes) says what was chosen, or why it could not be. ENGINE_AUTO tries io_uring, then epoll. */
struct engine *engine_create(enum engine_kind kind, const struct engine_options *options,
                             char *text);
/* The kinds' own constructors; engine_create's halves. ring_create fails, and says so, where the build has
 * no liburing. */
struct engine *ring_create(const struct engine_options *options, char *text);
struct engine *poll_create(const struct engine_options *options, char *text);
/* Connections must have been released. */
static inline void engine_destroy(struct engine *engine) {
    engine->operations->destroy(engine);
}
static inline const char *engine_name(const struct engine *engine) {
    return engine->operations->name;
}

/* Accept from a listening socket until engine_unlisten (also: resume after `accept_failed` by calling it again). Whom the
 * kernel had accepted by then is still told of. */
must_use static inline enum status engine_listen(struct engine *engine, int listener_fd) {
    return engine->operations->listen(engine, listener_fd);
}
static inline void engine_unlisten(struct engine *engine, int listener_fd) {
    engine->operations->unlisten(engine, listener_fd);
}
/* Does the kernel accept for us? After the last engine_unlisten: until it is through with that, in one of the next
 * turns. Another process that listens at the same socket may not be told meanwhile of who comes. */
static inline bool engine_is_accepting(const struct engine *engine) {
    return engine->operations->is_accepting(engine);
}
/* Begin to receive (unless paused before the next turn). On failure the connection is still the caller's,
 * fd included. */
must_use static inline enum status engine_attach(struct engine *engine,
                                                 struct connection *connection) {
    return engine->operations->attach(engine, connection);
}
/* Back-pressure: stop and go on reading. A few buffers may still be delivered after a pause. */
static inline void engine_pause_receive(struct engine *engine, struct connection *connection) {
    engine->operations->pause_receive(engine, connection);
}
static inline void engine_resume_receive(struct engine *engine, struct connection *connection) {
    engine->operations->resume_receive(engine, connection);
}
/* Its output has bytes: send them with this turn's submission. Cheap, and idempotent within a turn. */
static inline void engine_send(struct engine *engine, struct connection *connection) {
    engine->operations->send(engine, connection);
}
/* Stop, drop what waits, close; `released` follows once, in this turn or a later one, never from inside this call. */
static inline void engine_close(struct engine *engine, struct connection *connection) {
    engine->operations->close(engine, connection);
}
/* Submit, wait until something happens or `timeout_ms` passed (-1: no limit, 0: don't wait), deliver. */
must_use static inline enum status engine_turn(struct engine *engine, int timeout_ms) {
    return engine->operations->turn(engine, timeout_ms);
}
/* Any thread: make the current or next engine_turn return and deliver `woken`. */
static inline void engine_wake(struct engine *engine) {
    engine->operations->wake(engine);
}
