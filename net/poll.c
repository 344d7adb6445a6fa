/* The epoll engine: what sherd runs on where io_uring is refused, and the fair baseline of what io_uring gains.
 *
 * A turn: send what was queued (tried at once: a socket nearly always has room), wait, then receive from
 * whoever is readable. A ready connection costs two system calls, its receive and its send; nothing else
 * is paid per operation.
 *
 * Edge-triggered: epoll is told of a connection once. What is readable is remembered in a list of our own
 * until a receive comes back short, which on a stream socket means that nothing is left; so no receive is
 * made only to see EAGAIN. The end of a stream makes no second edge when it arrives together with the last
 * bytes: EPOLLRDHUP tells of it, and from then on we read on until we see it. EPOLLOUT is asked for only
 * while a send is short: asked for always, a Unix socket would report each read of the peer.
 *
 * The alternative, level-triggered, needs no list, but the kernel looks at each ready socket again in the
 * next wait. Echoes of 64 bytes on 50 connections, medians of ten alternating runs on two busy cores:
 * 53,000 a second, against 57,000 this way; the engine's own processor time is the same, 5.4 us an echo
 * (5.3 to 6.3; io_uring, measured beside it: 4.7 to 5.1).
 *
 * Receive buffers: one area, filled from its front anew each turn, request behind request:
 *
 *     area: [request of a│request of b│ … │ this connection's share ──────▶      │ shares of those still to come ]
 *                                          └ left / receives to come, up to RECEIVE_MAX
 *
 * So a hundred small requests lie in a few pages, and a large one gets room in one piece. A turn receives
 * at most as many times as the options have buffers, so a share is at least one buffer; who is readable
 * beyond that is starved until the next turn.
 *
 * Fairness: a connection receives once and sends SLICES_MAX slices a turn, then goes behind the others.
 *
 * Invariants:
 *   1. A connection that may be readable, and wants to receive, is in the `readable` list.
 *   2. `is_receiving`: another edge may come; false once the end was signalled. `is_sending`: epoll was asked for EPOLLOUT, and
 *      nothing is sent until it comes.
 *   3. A closing connection is released at the start of a later turn, outside of both lists: then no event that was fetched
 *      before can name it.
 *
 * Threads: the worker's; poll_wake any, by an eventfd.
 *
 * Sources: epoll(7), questions and answers; lalinsky/zio#510, from which the idea of a fair baseline. */
#include "engine.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shards/base/check.h"
#include "shards/base/memory.h"
#include "tls.h"

enum {
    EVENTS_MAX = 256,        /* of one wait; the rest stay in the kernel */
    SLICES_MAX = 64,         /* of one send */
    ACCEPTS_MAX = 64,        /* of one listener in one turn */
    RECEIVE_MAX = 64 * 1024, /* of one connection in one turn */
    CACHE_LINE = 64,
};

/* What an event points to: a connection, whose address has these bits clear, or else. */
enum { TAG_CONNECTION = 0, TAG_LISTENER = 1, TAG_WAKE = 2, TAG_MASK = 3, TAG_BITS = 2 };

struct poll_engine {
    struct engine base;
    const struct engine_events *events;
    void *context;
    int epoll_fd;
    int wake_fd;
    char *area; /* receive buffers */
    size_t area_bytes;
    size_t area_used;                /* in this turn */
    uint32_t buffer_count;           /* receives of one turn, at most */
    bool has_delivered;              /* an event, before this turn's wait */
    struct connection_list changed;  /* to send, or to release */
    struct connection_list readable; /* LINK_STARVED */
    int listeners[ENGINE_LISTENERS_MAX];
    int listener_count;
};

static struct poll_engine *poll_of(struct engine *engine) {
    return (struct poll_engine *)engine;
}

/* ---- Interest -------------------------------------------------------------------------------- */

static bool watch(struct poll_engine *poll, int operation, int fd, uint32_t mask, uint64_t tagged) {
    struct epoll_event event = {.events = mask, .data.u64 = tagged};
    return epoll_ctl(poll->epoll_fd, operation, fd, &event) == 0;
}

static bool watch_connection(struct poll_engine *poll, int operation,
                             struct connection *connection) {
    uint32_t more = connection->is_sending ? EPOLLOUT : 0u;
    return watch(poll, operation, connection->fd, EPOLLIN | EPOLLRDHUP | EPOLLET | more,
                 (uint64_t)(uintptr_t)connection | TAG_CONNECTION);
}

/* Ask for EPOLLOUT, or no longer. */
static void set_sending(struct poll_engine *poll, struct connection *connection, bool is_sending) {
    if (connection->is_sending == is_sending) return;
    connection->is_sending = is_sending;
    bool is_changed = watch_connection(poll, EPOLL_CTL_MOD, connection);
    check(is_changed); /* it is known already: changing needs no memory */
}

/* ---- Events upward --------------------------------------------------------------------------- */

static void end(struct poll_engine *poll, struct connection *connection, int error) {
    if (connection->has_ended || connection->is_closing) return;
    connection->has_ended = true;
    connection->wants_receive = false;
    poll->has_delivered = true;
    poll->events->ended(poll->context, connection, error);
}

static void release(struct poll_engine *poll, struct connection *connection) {
    tls_release(connection);
    buffer_release(&connection->output);
    close(connection->fd); /* which takes it out of epoll: nobody else holds the file */
    poll->has_delivered = true;
    poll->events->released(poll->context, connection);
}

/* ---- Sending --------------------------------------------------------------------------------- */

static ssize_t send_slices(int fd, struct iovec *slices, int count) {
    if (count == 1) return send(fd, slices[0].iov_base, slices[0].iov_len, MSG_NOSIGNAL);
    struct msghdr message = {.msg_iov = slices, .msg_iovlen = (size_t)count};
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

/* The rest can't be sent any more. It is dropped, so that an owner who waits for it to drain sees that it
 * did, also when the peer's end was told before. */
static void fail_send(struct poll_engine *poll, struct connection *connection, int error) {
    connection_drop_output(connection);
    end(poll, connection, error);
    poll->has_delivered = true;
    if (!connection->is_closing) poll->events->sent(poll->context, connection);
}

static size_t total_bytes(const struct iovec *slices, int count) {
    size_t bytes = 0;
    for (int i = 0; i < count; i++) {
        bytes += slices[i].iov_len;
    }
    return bytes;
}

/* Send what waits, as far as the socket takes it; EPOLLOUT tells when it takes more. */
static void flush(struct poll_engine *poll, struct connection *connection) {
    struct iovec slices[SLICES_MAX];
    if (!tls_prepare_send(connection)) {
        fail_send(poll, connection, EPROTO);
        return;
    }
    int count = buffer_gather(connection->wire, slices, SLICES_MAX);
    ssize_t sent = count > 0 ? send_slices(connection->fd, slices, count) : 0;
    int error = sent < 0 ? errno : 0;
    bool is_passing = error == EINTR || error == ENOBUFS;
    if (error != 0 && error != EAGAIN && !is_passing) {
        fail_send(poll, connection, error);
        return;
    }
    size_t size = sent > 0 ? (size_t)sent : 0;
    bool is_short = size < total_bytes(slices, count) && !is_passing;
    set_sending(poll, connection, is_short);
    buffer_consume(connection->wire, size);
    if (count > 0 && !is_short && !connection_is_drained(connection)) {
        connection_list_push(&poll->changed, connection);
    }
    if (size == 0) return;
    engine_count_sent(&poll->base, connection, size);
    poll->has_delivered = true;
    poll->events->sent(poll->context, connection);
}

/* ---- Receiving ------------------------------------------------------------------------------- */

static void deliver_sealed(struct poll_engine *poll, struct connection *connection,
                           struct bytes bytes) {
    struct bytes plain;
    enum tls_outcome outcome = tls_receive(connection, bytes, &plain);
    connection_list_push(&poll->changed, connection); /* it may have to answer */
    if (plain.size > 0) poll->events->received(poll->context, connection, plain);
    if (outcome != TLS_GOES_ON) end(poll, connection, outcome == TLS_FAILED ? EPROTO : 0);
}

/* True when there may be more to read. */
static bool receive(struct poll_engine *poll, struct connection *connection, size_t share) {
    char *place = poll->area + poll->area_used;
    ssize_t size = recv(connection->fd, place, share, 0);
    if (size < 0 && errno == EINTR) return true;
    if (size < 0 && errno == EAGAIN) return false;
    if (size <= 0) {
        end(poll, connection, size < 0 ? errno : 0);
        return false;
    }
    size_t used = ((size_t)size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    poll->area_used += used;
    engine_count_received(&poll->base, connection, (size_t)size);
    struct bytes bytes = bytes_of(place, (size_t)size);
    if (__builtin_expect(connection->tls != NULL, 0)) {
        deliver_sealed(poll, connection, bytes);
    } else {
        poll->events->received(poll->context, connection, bytes);
    }
    return (size_t)size == share || !connection->is_receiving;
}

static size_t share_of_area(const struct poll_engine *poll, size_t receives) {
    size_t share = (poll->area_bytes - poll->area_used) / receives;
    return share < RECEIVE_MAX ? share / CACHE_LINE * CACHE_LINE : RECEIVE_MAX;
}

static void receive_readable(struct poll_engine *poll) {
    size_t receives = poll->readable.count;
    if (receives > poll->buffer_count) {
        engine_count(&poll->base.statistics.starved, receives - poll->buffer_count);
        receives = poll->buffer_count;
    }
    for (; receives > 0; receives--) {
        struct connection *connection = connection_list_pop(&poll->readable);
        bool has_more =
            connection->wants_receive && receive(poll, connection, share_of_area(poll, receives));
        if (connection->is_closing) {
            connection_list_push(&poll->changed, connection); /* see settle */
        } else if (has_more && connection->wants_receive) {
            connection_list_push(&poll->readable, connection);
        }
    }
}

static void on_ready(struct poll_engine *poll, struct connection *connection, uint32_t mask) {
    if (connection->is_closing) return;
    if ((mask & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) connection->is_receiving = false;
    if (connection->is_sending && (mask & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) {
        flush(poll, connection);
    }
    if (connection->wants_receive && (mask & ~(uint32_t)EPOLLOUT) != 0) {
        connection_list_push(&poll->readable, connection);
    }
}

/* ---- Accepting ------------------------------------------------------------------------------- */

static int listener_find(const struct poll_engine *poll, int fd) {
    for (int i = 0; i < poll->listener_count; i++) {
        if (poll->listeners[i] == fd) return i;
    }
    return -1;
}

static void poll_unlisten(struct engine *engine, int listener_fd) {
    struct poll_engine *poll = poll_of(engine);
    int found = listener_find(poll, listener_fd);
    if (found < 0) return;
    epoll_ctl(poll->epoll_fd, EPOLL_CTL_DEL, listener_fd, NULL);
    poll->listeners[found] = poll->listeners[--poll->listener_count];
}

static bool poll_is_accepting(const struct engine *engine) {
    return ((const struct poll_engine *)engine)->listener_count != 0;
}

static enum status poll_listen(struct engine *engine, int listener_fd) {
    struct poll_engine *poll = poll_of(engine);
    if (listener_find(poll, listener_fd) >= 0) return STATUS_OK;
    if (poll->listener_count == ENGINE_LISTENERS_MAX) return STATUS_FULL;
    /* Exclusive: of the engines that share a listener, one is woken and not all. */
    bool is_watched = watch(poll, EPOLL_CTL_ADD, listener_fd, EPOLLIN | EPOLLEXCLUSIVE,
                            (uint64_t)listener_fd << TAG_BITS | TAG_LISTENER);
    if (!is_watched) return STATUS_REFUSED;
    poll->listeners[poll->listener_count++] = listener_fd;
    return STATUS_OK;
}

/* Errors of the one connection that was to be accepted, not of accepting. */
static bool is_passing(int error) {
    return error == EINTR || error == ECONNABORTED || error == EPROTO;
}

static void on_acceptable(struct poll_engine *poll, int listener_fd) {
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        if (listener_find(poll, listener_fd) < 0) return; /* an event before this one stopped it */
        int fd = accept4(listener_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            poll->events->accepted(poll->context, listener_fd, fd);
            continue;
        }
        int error = errno;
        if (error == EAGAIN) return;
        if (is_passing(error)) continue;
        poll_unlisten(&poll->base, listener_fd);
        poll->events->accept_failed(poll->context, listener_fd, error);
    }
}

/* ---- Waking ---------------------------------------------------------------------------------- */

static void poll_wake(struct engine *engine) {
    const uint64_t one = 1;
    /* Fails only when the counter is at its maximum: then the wake-up is on its way already. */
    ssize_t written = write(poll_of(engine)->wake_fd, &one, sizeof one);
    (void)written;
}

static void on_woken(struct poll_engine *poll) {
    uint64_t count;
    if (read(poll->wake_fd, &count, sizeof count) < 0) return;
    poll->events->woken(poll->context);
}

/* ---- The turn -------------------------------------------------------------------------------- */

/* Before anything is sent: what is told of sending may run commands, which close others, whose requests or replies
 * the caller still has in hand. Who is in the other list, too, comes back from there. */
static void release_closed(struct poll_engine *poll) {
    for (size_t left = poll->changed.count; left > 0; left--) {
        struct connection *connection = connection_list_pop(&poll->changed);
        if (!connection->is_closing) {
            connection_list_push(&poll->changed, connection);
        } else if (!connection->is_linked[LINK_STARVED]) {
            release(poll, connection);
        }
    }
}

/* What changed since the last turn. What changes meanwhile comes next turn, so that a turn ends. */
static void settle_changed(struct poll_engine *poll) {
    release_closed(poll);
    for (size_t left = poll->changed.count; left > 0; left--) {
        struct connection *connection = connection_list_pop(&poll->changed);
        if (connection->is_closing) {
            connection_list_push(&poll->changed, connection);
        } else if (!connection->is_sending) {
            flush(poll, connection);
        }
    }
}

static void deliver(struct poll_engine *poll, const struct epoll_event *event) {
    uint64_t tagged = event->data.u64;
    switch (tagged & TAG_MASK) {
    case TAG_LISTENER:
        on_acceptable(poll, (int)(tagged >> TAG_BITS));
        return;
    case TAG_WAKE:
        on_woken(poll);
        return;
    default:
        on_ready(poll, (struct connection *)(uintptr_t)tagged, event->events);
    }
}

static void note_receive_memory(struct poll_engine *poll) {
    _Atomic uint64_t *most = &poll->base.statistics.receive_memory;
    if (poll->area_used > atomic_load_explicit(most, memory_order_relaxed))
        atomic_store_explicit(most, poll->area_used, memory_order_relaxed);
}

static enum status poll_turn(struct engine *engine, int timeout_ms) {
    struct poll_engine *poll = poll_of(engine);
    engine_count(&engine->statistics.turns, 1);
    poll->has_delivered = false;
    note_receive_memory(poll);
    poll->area_used = 0;
    tls_begin_turn(engine->tls_area);
    settle_changed(poll);
    bool is_busy = poll->has_delivered || poll->changed.count > 0 || poll->readable.count > 0;
    struct epoll_event ready[EVENTS_MAX];
    engine_note_sent(engine);
    int count = epoll_wait(poll->epoll_fd, ready, EVENTS_MAX, is_busy ? 0 : timeout_ms);
    engine_note_woke(engine);
    if (count < 0 && errno != EINTR) return STATUS_FAILED;
    for (int i = 0; i < count; i++) {
        deliver(poll, &ready[i]);
    }
    receive_readable(poll);
    return STATUS_OK;
}

/* ---- Connections ----------------------------------------------------------------------------- */

static enum status poll_attach(struct engine *engine, struct connection *connection) {
    if (!watch_connection(poll_of(engine), EPOLL_CTL_ADD, connection)) return STATUS_REFUSED;
    connection->engine = engine;
    connection->wants_receive = true;
    connection->is_receiving = true;
    return STATUS_OK;
}

static void poll_pause_receive(struct engine *engine, struct connection *connection) {
    (void)engine;
    connection->wants_receive = false;
}

static void poll_resume_receive(struct engine *engine, struct connection *connection) {
    if (connection->wants_receive || connection->has_ended || connection->is_closing) return;
    connection->wants_receive = true;
    /* What came during the pause made its edge then: look. */
    connection_list_push(&poll_of(engine)->readable, connection);
}

static void poll_send(struct engine *engine, struct connection *connection) {
    if (connection->is_sending) return;
    connection_list_push(&poll_of(engine)->changed, connection);
}

static void poll_close(struct engine *engine, struct connection *connection) {
    check(!connection->is_closing);
    connection->is_closing = true;
    connection->wants_receive = false;
    connection_list_push(&poll_of(engine)->changed, connection);
}

/* ---- Life ------------------------------------------------------------------------------------ */

static void poll_destroy(struct engine *engine) {
    struct poll_engine *poll = poll_of(engine);
    if (poll->area != MAP_FAILED) munmap(poll->area, poll->area_bytes);
    if (poll->wake_fd >= 0) close(poll->wake_fd);
    if (poll->epoll_fd >= 0) close(poll->epoll_fd);
    tls_area_destroy(engine->tls_area);
    memory_free(poll);
}

static const struct engine_operations operations = {
    .name = "epoll",
    .destroy = poll_destroy,
    .listen = poll_listen,
    .unlisten = poll_unlisten,
    .is_accepting = poll_is_accepting,
    .attach = poll_attach,
    .pause_receive = poll_pause_receive,
    .resume_receive = poll_resume_receive,
    .send = poll_send,
    .close = poll_close,
    .turn = poll_turn,
    .wake = poll_wake,
};

static bool open_all(struct poll_engine *poll) {
    poll->area = mmap(NULL, poll->area_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    poll->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    poll->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (poll->area == MAP_FAILED || poll->epoll_fd < 0 || poll->wake_fd < 0) return false;
    return watch(poll, EPOLL_CTL_ADD, poll->wake_fd, EPOLLIN, TAG_WAKE);
}

struct engine *poll_create(const struct engine_options *options, char *text) {
    uint32_t count = options->receive_buffer_count;
    check(count > 0 && options->receive_buffer_bytes >= CACHE_LINE);
    struct poll_engine *poll = memory_allocate_zeroed(sizeof *poll);
    if (poll == NULL) {
        snprintf(text, ENGINE_TEXT_MAX, "epoll: no memory");
        return NULL;
    }
    poll->base.operations = &operations;
    poll->events = options->events;
    poll->context = options->context;
    poll->area_bytes = (size_t)count * options->receive_buffer_bytes;
    poll->buffer_count = count;
    poll->base.receives_max = count;
    poll->base.receive_bytes_max = poll->area_bytes;
    connection_list_init(&poll->changed, LINK_CHANGED);
    connection_list_init(&poll->readable, LINK_STARVED);
    if (!open_all(poll)) {
        snprintf(text, ENGINE_TEXT_MAX, "epoll: %s", strerror(errno));
        poll_destroy(&poll->base);
        return NULL;
    }
    snprintf(text, ENGINE_TEXT_MAX, "epoll: edge-triggered, %zu KiB of receive buffers",
             poll->area_bytes / 1024);
    return &poll->base;
}
