/* The io_uring engine: one ring a worker, and one system call a turn.
 *
 * A turn: give the receive buffers of the last turn back ▸ settle every connection that changed (one SQE
 * each for what it lacks) ▸ submit all of that and wait, one io_uring_enter ▸ deliver all completions.
 *
 * Receiving: each connection has one multishot receive armed for as long as it lasts, which takes its buffers from those
 * that all share (uring.h). An idle connection holds no buffer, and memory that was never received into is never
 * resident. A receive that finds no buffer ends with ENOBUFS and starves its connection until the next turn, whose first
 * act is to give all buffers back, and more of them: nobody waits for another connection, and the data waits in the socket.
 *
 * System calls for 100000 PINGs, 50 clients, 16 requests deep, under strace: 1201 in 1202 turns; epoll makes 12600. Yet the
 * CPU is the same within the spread (411 ns): on loopback nearly all of it is the kernel's TCP.
 *
 * Measured, echoing 64 bytes on 50 connections: 10,465 turns made 10,466 io_uring_enter (one is the
 * self-test's) and no other call. The engine takes 4.7 to 5.1 us of its processor an echo, epoll 5.3 to
 * 6.3; on one connection both take 8. Neither 64, 256 nor 1024 buffers, of 4, 8 or 16 KiB, nor other
 * strides between them changed that: what they decide is memory, a page of each for small requests, and
 * how many can be delivered in one turn.
 *
 * A send mostly completes as it is submitted, which satisfies the wait at once: an exchange on one
 * connection takes two turns. Waiting for one completion more than there are sends would spare the second,
 * gained at most 5 % and would stall behind a slow reader; bounding that with a minimum wait (Linux 6.12)
 * arms a timer a turn, which doubled the time an echo takes here.
 *
 * Sending: at most one send a connection is in flight, for two could be reordered (liburing#1001); what is
 * appended meanwhile goes with the turn after its completion.
 *
 * A connection's wishes (wants_receive, output, is_closing) and what the kernel is doing for it
 * (is_receiving, is_sending, is_cancelling) are separate. Callers only change wishes and put it on the
 * list; `settle` alone compares and prepares:
 *
 *     closing, nothing in flight        release: close the fd, `released`
 *     closing, something in flight      cancel all of it once; should that find nothing, shut the socket down
 *     wants to receive, isn't           arm the receive
 *     receives, doesn't want to         cancel the receive
 *     has output, isn't sending         send
 *
 * Every completion puts it on the list again where the two still differ, so whatever order pauses,
 * resumes, closes and completions come in, it ends where it was meant to.
 *
 * Invariants:
 *   1. `operations` counts the SQEs and CQEs that carry the connection's address: it is released only at zero, and only from
 *      `settle`, when it is on no list.
 *   2. What an SQE points to but the data of a send (message headers, slices) is ours again after its submission
 *      (IORING_FEAT_SUBMIT_STABLE); the data is the output's head, which stays until buffer_consume.
 *
 * Threads: the worker's, which created the ring (SINGLE_ISSUER); ring_wake any, by an eventfd that the ring reads.
 *
 * Sources: io_uring(7) and the manuals of liburing; "io_uring and networking in 2023" (Jens Axboe);
 * liburing#1275, #758, #1001 for the traps named above. */
#include "engine.h"

#include <stdio.h>

#ifndef SHERD_URING

struct engine *ring_create(const struct engine_options *options, char *text) {
    (void)options;
    snprintf(text, ENGINE_TEXT_MAX, "this build has no io_uring (SHERD_URING is off)");
    return NULL;
}

#else

#include <assert.h>
#include <errno.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shards/base/check.h"
#include "shards/base/memory.h"
#include "tls.h"
#include "uring.h"

enum {
    MESSAGES_MAX = 64, /* sends of several slices between two submissions */
    SLICES_MAX = 16,   /* of one send */
};

/* What a completion points back to: an address, or a file descriptor shifted, with the kind of operation
 * in the low bits. */
enum operation {
    OPERATION_RECEIVE,
    OPERATION_SEND,
    OPERATION_CANCEL_RECEIVE,
    OPERATION_CANCEL_ALL,
    OPERATION_ACCEPT,
    OPERATION_WAKE,
    OPERATION_UNATTENDED, /* nobody waits for it */
    OPERATION_MASK = 7,
    OPERATION_BITS = 3,
};
static_assert(_Alignof(struct connection) >= OPERATION_MASK + 1, "the low bits are free");

/* A send of several slices, valid until it is submitted. */
struct message {
    struct msghdr header;
    struct iovec slices[SLICES_MAX];
};

struct ring_engine {
    struct engine base;
    const struct engine_events *events;
    void *context;
    struct uring uring;
    int wake_fd;
    bool is_wake_armed;
    bool has_delivered;             /* an event, before this turn's wait */
    uint64_t wake_count;            /* the eventfd is read into it */
    struct connection_list changed; /* to settle */
    struct connection_list starved; /* to settle, once the buffers are back */
    int listeners[ENGINE_LISTENERS_MAX];
    int listener_count;
    int accepts; /* in the kernel's hands */
    int message_count;
    struct message messages[MESSAGES_MAX];
};

static struct ring_engine *ring_of(struct engine *engine) {
    return (struct ring_engine *)engine;
}

/* ---- Submissions ----------------------------------------------------------------------------- */

static void submit_early(struct ring_engine *ring) {
    io_uring_submit(&ring->uring.ring);
    if (io_uring_sq_ready(&ring->uring.ring) == 0) ring->message_count = 0;
}

/* NULL when the kernel takes no more just now: try again next turn. */
static struct io_uring_sqe *next_submission(struct ring_engine *ring) {
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring.ring);
    if (sqe != NULL) return sqe;
    submit_early(ring);
    return io_uring_get_sqe(&ring->uring.ring);
}

static uint64_t tag_connection(const struct connection *connection, enum operation operation) {
    return (uint64_t)(uintptr_t)connection | operation;
}

static uint64_t tag_listener(int fd) {
    return (uint64_t)fd << OPERATION_BITS | OPERATION_ACCEPT;
}

/* The submission is made, and will come back to the connection. */
static void begin(struct connection *connection, struct io_uring_sqe *sqe,
                  enum operation operation) {
    io_uring_sqe_set_data64(sqe, tag_connection(connection, operation));
    connection->operations++;
}

/* ---- Events upward --------------------------------------------------------------------------- */

static void end(struct ring_engine *ring, struct connection *connection, int error) {
    if (connection->has_ended || connection->is_closing) return;
    connection->has_ended = true;
    connection->wants_receive = false;
    ring->events->ended(ring->context, connection, error);
}

static void release(struct ring_engine *ring, struct connection *connection) {
    tls_release(connection);
    buffer_release(&connection->output);
    close(connection->fd);
    ring->has_delivered = true;
    ring->events->released(ring->context, connection);
}

/* The rest can't be sent any more. It is dropped, so that an owner who waits for it to drain sees that it did. */
static void fail_send(struct ring_engine *ring, struct connection *connection, int error) {
    connection_drop_output(connection);
    end(ring, connection, error);
    ring->has_delivered = true;
    if (!connection->is_closing) ring->events->sent(ring->context, connection);
}

/* ---- Settling: from wishes to submissions. False: no room for its submission ------------------ */

static bool arm_receive(struct ring_engine *ring, struct connection *connection) {
    struct io_uring_sqe *sqe = next_submission(ring);
    if (sqe == NULL) return false;
    uring_prepare_receive(sqe, connection->fd);
    begin(connection, sqe, OPERATION_RECEIVE);
    connection->is_receiving = true;
    return true;
}

static bool cancel_receive(struct ring_engine *ring, struct connection *connection) {
    struct io_uring_sqe *sqe = next_submission(ring);
    if (sqe == NULL) return false;
    io_uring_prep_cancel64(sqe, tag_connection(connection, OPERATION_RECEIVE), 0);
    begin(connection, sqe, OPERATION_CANCEL_RECEIVE);
    connection->is_cancelling = true;
    return true;
}

static bool cancel_all(struct ring_engine *ring, struct connection *connection) {
    struct io_uring_sqe *sqe = next_submission(ring);
    if (sqe == NULL) return false;
    io_uring_prep_cancel_fd(sqe, connection->fd, IORING_ASYNC_CANCEL_ALL);
    begin(connection, sqe, OPERATION_CANCEL_ALL);
    connection->is_cancelling = true;
    return true;
}

static bool begin_send(struct ring_engine *ring, struct connection *connection) {
    if (ring->message_count == MESSAGES_MAX) submit_early(ring);
    struct io_uring_sqe *sqe = ring->message_count < MESSAGES_MAX ? next_submission(ring) : NULL;
    if (sqe == NULL) return false;
    struct message *message = &ring->messages[ring->message_count];
    int count = buffer_gather(connection->wire, message->slices, SLICES_MAX);
    if (count == 1) {
        io_uring_prep_send(sqe, connection->fd, message->slices[0].iov_base,
                           message->slices[0].iov_len, MSG_NOSIGNAL);
    } else {
        message->header = (struct msghdr){.msg_iov = message->slices, .msg_iovlen = (size_t)count};
        io_uring_prep_sendmsg(sqe, connection->fd, &message->header, MSG_NOSIGNAL);
        ring->message_count++;
    }
    begin(connection, sqe, OPERATION_SEND);
    connection->is_sending = true;
    return true;
}

static bool settle_closing(struct ring_engine *ring, struct connection *connection) {
    if (connection->operations == 0) {
        release(ring, connection);
        return true;
    }
    return connection->is_cancelling || cancel_all(ring, connection);
}

static bool settle_receive(struct ring_engine *ring, struct connection *connection) {
    if (connection->wants_receive == connection->is_receiving) return true;
    if (connection->wants_receive) return arm_receive(ring, connection);
    return connection->is_cancelling || connection->has_ended || cancel_receive(ring, connection);
}

static bool settle_send(struct ring_engine *ring, struct connection *connection) {
    if (connection->is_sending) return true;
    if (!tls_prepare_send(connection)) {
        fail_send(ring, connection, EPROTO);
        return true;
    }
    return buffer_is_empty(connection->wire) || begin_send(ring, connection);
}

static bool settle(struct ring_engine *ring, struct connection *connection) {
    if (connection->is_closing) return settle_closing(ring, connection);
    return settle_receive(ring, connection) && settle_send(ring, connection);
}

/* Those that change meanwhile, and those there is no room for, come next turn. */
static void settle_changed(struct ring_engine *ring) {
    for (size_t left = ring->starved.count; left > 0; left--) {
        connection_list_push(&ring->changed, connection_list_pop(&ring->starved));
    }
    for (size_t left = ring->changed.count; left > 0; left--) {
        struct connection *connection = connection_list_pop(&ring->changed);
        if (!settle(ring, connection)) connection_list_push(&ring->changed, connection);
    }
}

/* ---- Completions of a connection ------------------------------------------------------------- */

static void deliver_sealed(struct ring_engine *ring, struct connection *connection,
                           struct bytes bytes) {
    struct bytes plain;
    if (connection->has_ended) return;
    enum tls_outcome outcome = tls_receive(connection, bytes, &plain);
    connection_list_push(&ring->changed, connection); /* it may have to answer */
    if (plain.size > 0) ring->events->received(ring->context, connection, plain);
    if (outcome != TLS_GOES_ON) end(ring, connection, outcome == TLS_FAILED ? EPROTO : 0);
}

static void deliver(struct ring_engine *ring, struct connection *connection,
                    const struct io_uring_cqe *cqe) {
    uint32_t id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
    if (cqe->res <= 0 || connection->is_closing) return;
    engine_count_received(&ring->base, connection, (size_t)cqe->res);
    struct bytes bytes = bytes_of(uring_buffer(&ring->uring, id), (size_t)cqe->res);
    if (__builtin_expect(connection->tls != NULL, 0)) {
        deliver_sealed(ring, connection, bytes);
    } else {
        ring->events->received(ring->context, connection, bytes);
    }
}

/* A receive that is over: why, and does it begin again? */
static void on_receive_over(struct ring_engine *ring, struct connection *connection, int result) {
    connection->is_receiving = false;
    if (result == -ENOBUFS) {
        engine_count(&ring->base.statistics.starved, 1);
        uring_run_out(&ring->uring);
        connection_list_push(&ring->starved, connection);
        return;
    }
    bool may_go_on = result > 0 || result == -ECANCELED || result == -EINTR || result == -EAGAIN;
    if (!may_go_on) end(ring, connection, -result);
    if (connection->wants_receive) engine_count(&ring->base.statistics.rearms, 1);
    connection_list_push(&ring->changed, connection);
}

static void on_receive(struct ring_engine *ring, struct connection *connection,
                       const struct io_uring_cqe *cqe) {
    if (cqe->flags & IORING_CQE_F_BUFFER) {
        uring_use_buffer(&ring->uring, cqe->flags >> IORING_CQE_BUFFER_SHIFT);
        deliver(ring, connection, cqe);
    }
    if (cqe->flags & IORING_CQE_F_MORE) return;
    connection->operations--;
    on_receive_over(ring, connection, cqe->res);
}

static void on_send(struct ring_engine *ring, struct connection *connection, int result) {
    connection->operations--;
    connection->is_sending = false;
    connection_list_push(&ring->changed, connection);
    if (connection->is_closing || result == -EINTR || result == -EAGAIN) return;
    if (result < 0) {
        fail_send(ring, connection, -result);
        return;
    }
    buffer_consume(connection->wire, (size_t)result);
    engine_count_sent(&ring->base, connection, (size_t)result);
    ring->events->sent(ring->context, connection);
}

static void on_receive_cancelled(struct ring_engine *ring, struct connection *connection) {
    connection->operations--;
    connection->is_cancelling = false;
    connection_list_push(&ring->changed, connection);
}

static void on_all_cancelled(struct ring_engine *ring, struct connection *connection, int result) {
    connection->operations--;
    /* Nothing was found, yet something is out: it was just about to run. What it meets now sends it back. */
    if (result <= 0 && connection->operations > 0) shutdown(connection->fd, SHUT_RDWR);
    connection_list_push(&ring->changed, connection);
}

/* ---- Accepting ------------------------------------------------------------------------------- */

static int listener_find(const struct ring_engine *ring, int fd) {
    for (int i = 0; i < ring->listener_count; i++) {
        if (ring->listeners[i] == fd) return i;
    }
    return -1;
}

/* The kernel notes the descriptor limit (RLIMIT_NOFILE) here: one that is changed later counts from the
 * next time on. */
static bool arm_accept(struct ring_engine *ring, int listener_fd) {
    struct io_uring_sqe *sqe = next_submission(ring);
    if (sqe == NULL) return false;
    io_uring_prep_multishot_accept(sqe, listener_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    io_uring_sqe_set_data64(sqe, tag_listener(listener_fd));
    ring->accepts++;
    return true;
}

static void cancel_accept(struct ring_engine *ring, int listener_fd) {
    struct io_uring_sqe *sqe = next_submission(ring);
    if (sqe == NULL) return; /* the next accept finds its listener gone, and tries again */
    io_uring_prep_cancel64(sqe, tag_listener(listener_fd), 0);
    io_uring_sqe_set_data64(sqe, OPERATION_UNATTENDED);
}

static enum status ring_listen(struct engine *engine, int listener_fd) {
    struct ring_engine *ring = ring_of(engine);
    if (listener_find(ring, listener_fd) >= 0) return STATUS_OK;
    if (ring->listener_count == ENGINE_LISTENERS_MAX) return STATUS_FULL;
    if (!arm_accept(ring, listener_fd)) return STATUS_FULL;
    ring->listeners[ring->listener_count++] = listener_fd;
    return STATUS_OK;
}

static void forget_listener(struct ring_engine *ring, int index) {
    ring->listeners[index] = ring->listeners[--ring->listener_count];
}

static void ring_unlisten(struct engine *engine, int listener_fd) {
    struct ring_engine *ring = ring_of(engine);
    int found = listener_find(ring, listener_fd);
    if (found < 0) return;
    forget_listener(ring, found);
    cancel_accept(ring, listener_fd);
}

static bool ring_is_accepting(const struct engine *engine) {
    return ((const struct ring_engine *)engine)->accepts != 0;
}

/* Errors of the one connection that was to be accepted, not of accepting. */
static bool is_passing(int error) {
    return error == EINTR || error == EAGAIN || error == ECONNABORTED || error == EPROTO;
}

static void on_accept(struct ring_engine *ring, int listener_fd, const struct io_uring_cqe *cqe) {
    bool is_over = (cqe->flags & IORING_CQE_F_MORE) == 0;
    if (is_over) ring->accepts--;
    if (cqe->res >= 0) ring->events->accepted(ring->context, listener_fd, cqe->res);
    int found = listener_find(ring, listener_fd);
    if (found < 0) { /* unlistened meanwhile */
        if (!is_over) cancel_accept(ring, listener_fd);
        return;
    }
    if (!is_over || cqe->res == -ECANCELED) return;
    bool may_go_on = cqe->res >= 0 || is_passing(-cqe->res);
    if (may_go_on && arm_accept(ring, listener_fd)) {
        engine_count(&ring->base.statistics.rearms, 1);
        return;
    }
    forget_listener(ring, found);
    ring->events->accept_failed(ring->context, listener_fd, may_go_on ? ENOBUFS : -cqe->res);
}

/* ---- Waking ---------------------------------------------------------------------------------- */

static void ring_wake(struct engine *engine) {
    const uint64_t one = 1;
    /* Fails only when the counter is at its maximum: then the wake-up is on its way already. */
    ssize_t written = write(ring_of(engine)->wake_fd, &one, sizeof one);
    (void)written;
}

static void arm_wake(struct ring_engine *ring) {
    struct io_uring_sqe *sqe = ring->is_wake_armed ? NULL : next_submission(ring);
    if (sqe == NULL) return;
    io_uring_prep_read(sqe, ring->wake_fd, &ring->wake_count, sizeof ring->wake_count, 0);
    io_uring_sqe_set_data64(sqe, OPERATION_WAKE);
    ring->is_wake_armed = true;
}

static void on_woken(struct ring_engine *ring) {
    ring->is_wake_armed =
        false; /* the next turn arms it; until then wake-ups add up in the eventfd */
    ring->events->woken(ring->context);
}

/* ---- The turn -------------------------------------------------------------------------------- */

static void complete(struct ring_engine *ring, const struct io_uring_cqe *cqe) {
    uint64_t origin = cqe->user_data & ~(uint64_t)OPERATION_MASK;
    struct connection *connection = (struct connection *)(uintptr_t)origin;
    switch ((enum operation)(cqe->user_data & OPERATION_MASK)) {
    case OPERATION_RECEIVE:
        on_receive(ring, connection, cqe);
        return;
    case OPERATION_SEND:
        on_send(ring, connection, cqe->res);
        return;
    case OPERATION_CANCEL_RECEIVE:
        on_receive_cancelled(ring, connection);
        return;
    case OPERATION_CANCEL_ALL:
        on_all_cancelled(ring, connection, cqe->res);
        return;
    case OPERATION_ACCEPT:
        on_accept(ring, (int)(origin >> OPERATION_BITS), cqe);
        return;
    case OPERATION_WAKE:
        on_woken(ring);
        return;
    default:
        return;
    }
}

/* Deliver what is there; one store gives the kernel the room back. What comes meanwhile is for the next turn. */
static void reap(struct ring_engine *ring) {
    /* What the queue had no room for is kept by the kernel, and follows with the next wait. */
    if (io_uring_cq_has_overflow(&ring->uring.ring)) {
        engine_count(&ring->base.statistics.overflows, 1);
    }
    unsigned head, seen = 0, ready = io_uring_cq_ready(&ring->uring.ring);
    struct io_uring_cqe *cqe;
    io_uring_for_each_cqe(&ring->uring.ring, head, cqe) {
        if (seen == ready) break;
        complete(ring, cqe);
        seen++;
    }
    io_uring_cq_advance(&ring->uring.ring, seen);
}

/* The one system call of a turn. A wait would not make it where a completion is there already, as after an early
 * submission; but all that is put off to our next call (DEFER_TASKRUN) needs one. Without it a receive was cancelled
 * anew in every turn, for ever, since its own end was never told, and nobody else was heard either. */
static int submit_and_wait(struct ring_engine *ring, int timeout_ms) {
    if (timeout_ms == 0 || io_uring_cq_ready(&ring->uring.ring) > 0)
        return io_uring_submit_and_get_events(&ring->uring.ring);
    if (timeout_ms < 0) return io_uring_submit_and_wait(&ring->uring.ring, 1);
    struct __kernel_timespec timeout = {.tv_sec = timeout_ms / 1000,
                                        .tv_nsec = timeout_ms % 1000 * 1000000LL};
    struct io_uring_cqe *first;
    return io_uring_submit_and_wait_timeout(&ring->uring.ring, &first, 1, &timeout, NULL);
}

/* Of a submission and wait: time is over, a signal came, or the kernel wants its completions reaped first. */
static bool is_ordinary(int result) {
    return result >= 0 || result == -ETIME || result == -EINTR || result == -EBUSY ||
           result == -EAGAIN;
}

static void note_receive_memory(struct ring_engine *ring) {
    uint64_t bytes = (uint64_t)ring->uring.given_count * ring->uring.buffer_bytes;
    atomic_store_explicit(&ring->base.statistics.receive_memory, bytes, memory_order_relaxed);
}

static enum status ring_turn(struct engine *engine, int timeout_ms) {
    struct ring_engine *ring = ring_of(engine);
    engine_count(&engine->statistics.turns, 1);
    ring->has_delivered = false;
    tls_begin_turn(engine->tls_area);
    uring_return_buffers(&ring->uring);
    note_receive_memory(ring);
    settle_changed(ring);
    arm_wake(ring);
    bool is_busy = ring->has_delivered || ring->changed.count > 0;
    /* What this call can't do, the next one tries again, and tells. */
    if (engine->stopwatch.now != NULL) io_uring_submit(&ring->uring.ring);
    engine_note_sent(engine);
    int result = submit_and_wait(ring, is_busy ? 0 : timeout_ms);
    engine_note_woke(engine);
    if (!is_ordinary(result)) return STATUS_FAILED;
    if (io_uring_sq_ready(&ring->uring.ring) == 0) ring->message_count = 0;
    reap(ring);
    return STATUS_OK;
}

/* ---- Connections: wishes --------------------------------------------------------------------- */

static void note_change(struct ring_engine *ring, struct connection *connection) {
    connection_list_push(&ring->changed, connection);
}

static enum status ring_attach(struct engine *engine, struct connection *connection) {
    connection->engine = engine;
    connection->wants_receive = true;
    note_change(ring_of(engine), connection);
    return STATUS_OK;
}

static void ring_pause_receive(struct engine *engine, struct connection *connection) {
    connection->wants_receive = false;
    note_change(ring_of(engine), connection);
}

static void ring_resume_receive(struct engine *engine, struct connection *connection) {
    if (connection->has_ended) return;
    connection->wants_receive = true;
    note_change(ring_of(engine), connection);
}

static void ring_send(struct engine *engine, struct connection *connection) {
    note_change(ring_of(engine), connection);
}

static void ring_close(struct engine *engine, struct connection *connection) {
    check(!connection->is_closing);
    connection->is_closing = true;
    connection->wants_receive = false;
    note_change(ring_of(engine), connection);
}

/* ---- Creation and the end -------------------------------------------------------------------- */

/* Cancel what is armed, so that listeners' files aren't held by a ring that the kernel takes down at its
 * leisure; sockets that were accepted meanwhile have no other owner. */
static void quiesce(struct ring_engine *ring) {
    struct io_uring_sync_cancel_reg all = {.fd = -1,
                                           .flags =
                                               IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL,
                                           .timeout = {.tv_sec = URING_PATIENCE_S}};
    io_uring_register_sync_cancel(&ring->uring.ring, &all);
    io_uring_submit_and_get_events(&ring->uring.ring);
    unsigned head;
    struct io_uring_cqe *cqe;
    io_uring_for_each_cqe(&ring->uring.ring, head, cqe) {
        if ((cqe->user_data & OPERATION_MASK) == OPERATION_ACCEPT && cqe->res >= 0) close(cqe->res);
    }
}

static void ring_destroy(struct engine *engine) {
    struct ring_engine *ring = ring_of(engine);
    quiesce(ring);
    uring_release(&ring->uring);
    tls_area_destroy(engine->tls_area);
    close(ring->wake_fd);
    memory_free(ring);
}

static const struct engine_operations operations = {
    .name = "io_uring",
    .destroy = ring_destroy,
    .listen = ring_listen,
    .unlisten = ring_unlisten,
    .is_accepting = ring_is_accepting,
    .attach = ring_attach,
    .pause_receive = ring_pause_receive,
    .resume_receive = ring_resume_receive,
    .send = ring_send,
    .close = ring_close,
    .turn = ring_turn,
    .wake = ring_wake,
};

/* What can be refused: the ring, and the eventfd that wakes it. Blocking, for the ring waits for it: a non-blocking one
 * would fail at once. */
static bool open_parts(struct ring_engine *ring, const struct engine_options *options, char *text) {
    if (!uring_open(&ring->uring, options, text)) return false;
    ring->wake_fd = eventfd(0, EFD_CLOEXEC);
    if (ring->wake_fd >= 0) return true;
    uring_write_refusal(text, errno);
    uring_release(&ring->uring);
    return false;
}

struct engine *ring_create(const struct engine_options *options, char *text) {
    struct ring_engine *ring = memory_allocate_zeroed(sizeof *ring);
    if (ring == NULL) {
        uring_write_refusal(text, ENOMEM);
        return NULL;
    }
    ring->base.operations = &operations;
    ring->base.receives_max = options->receive_buffer_count;
    ring->base.receive_bytes_max =
        (size_t)options->receive_buffer_count * options->receive_buffer_bytes;
    ring->events = options->events;
    ring->context = options->context;
    connection_list_init(&ring->changed, LINK_CHANGED);
    connection_list_init(&ring->starved, LINK_STARVED);
    if (!open_parts(ring, options, text)) {
        memory_free(ring);
        return NULL;
    }
    return &ring->base;
}

#endif
