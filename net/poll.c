/* The epoll engine: what sherd runs on where io_uring is refused, and the fair baseline of what io_uring gains.
 *
 * A turn: send what was queued (tried directly: a socket nearly always has room), wait, then receive from whoever is ready.
 * A ready connection costs two system calls, its receive and its send; nothing else is paid per operation. Interest is changed
 * with epoll_ctl only when a send was short, reading is paused or resumed, or the peer ended.
 *
 * Level-triggered: what isn't read stays ready and is reported by the next wait, so a turn may leave work behind without
 * a list of its own, and no edge can be missed. Edge-triggered spares the kernel a second look at each ready socket in the
 * next wait; an echo of 50 connections measured within the spread of this, so the simpler one stayed.
 *
 * Receive buffers: one area, filled from its front anew each turn, request behind request:
 *
 *     area: [request of a│request of b│ … │ this connection's share ──────▶      │ shares of those still to come ]
 *                                          └ left / events to come, up to RECEIVE_MAX
 *
 * So a hundred small requests lie in a few pages, a large one gets room in one piece, and nobody starves: a wait returns at
 * most as many events as there are buffers in the options, so a share is at least one buffer.
 *
 * Fairness: a connection receives once and sends SLICES_MAX slices a turn; epoll takes ready sockets in rotation.
 *
 * Invariants:
 *   1. `operations` is 1 while epoll knows the connection, else 0; then `is_receiving` and `is_sending` say which of EPOLLIN and
 *      EPOLLOUT it was told.
 *   2. A closing connection is released at the start of a later turn, when no event that was fetched before can name it.
 *
 * Threads: the worker's; poll_wake any, by an eventfd. */
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

enum {
    EVENTS_MAX = 256,        /* of one wait */
    SLICES_MAX = 64,         /* of one send */
    ACCEPTS_MAX = 64,        /* of one listener in one turn */
    RECEIVE_MAX = 64 * 1024, /* of one connection in one turn */
    CACHE_LINE = 64,
};

/* What an event points to: a connection, whose address has these bits clear, or else. */
enum { TAG_CONNECTION = 0, TAG_LISTENER = 1, TAG_WAKE = 2, TAG_MASK = 3 };

struct poll_engine {
    struct engine base;
    const struct engine_events *events;
    void *context;
    int epoll_fd;
    int wake_fd;
    char *area; /* receive buffers */
    size_t area_bytes;
    size_t area_used;               /* in this turn */
    int events_max;                 /* of one wait */
    bool has_delivered;             /* an event, before this turn's wait */
    struct connection_list changed; /* to send, to set the interest of, or to release */
    int listeners[ENGINE_LISTENERS_MAX];
    int listener_count;
};

static struct poll_engine *poll_of(struct engine *engine) {
    return (struct poll_engine *)engine;
}

/* --- Interest --- */

static enum status watch(struct poll_engine *poll, int operation, int fd, uint32_t mask,
                         uint64_t tagged) {
    struct epoll_event event = {.events = mask, .data.u64 = tagged};
    return epoll_ctl(poll->epoll_fd, operation, fd, &event) == 0 ? STATUS_OK : STATUS_REFUSED;
}

static void unwatch(struct poll_engine *poll, struct connection *connection) {
    if (connection->operations == 0) return;
    epoll_ctl(poll->epoll_fd, EPOLL_CTL_DEL, connection->fd, NULL);
    connection->operations = 0;
    connection->is_receiving = false;
    connection->is_sending = false;
}

static enum status set_interest(struct poll_engine *poll, struct connection *connection,
                                bool receiving, bool sending) {
    bool is_known = connection->operations > 0;
    bool is_same = connection->is_receiving == receiving && connection->is_sending == sending;
    if (is_same && (is_known || !(receiving || sending))) return STATUS_OK;
    uint32_t mask = (receiving ? EPOLLIN | EPOLLRDHUP : 0u) | (sending ? EPOLLOUT : 0u);
    enum status status = watch(poll, is_known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, connection->fd, mask,
                               (uint64_t)(uintptr_t)connection | TAG_CONNECTION);
    if (status != STATUS_OK) return status;
    connection->operations = 1;
    connection->is_receiving = receiving;
    connection->is_sending = sending;
    return STATUS_OK;
}

/* --- Events upward --- */

static void end(struct poll_engine *poll, struct connection *connection, int error) {
    if (connection->has_ended || connection->is_closing) return;
    connection->has_ended = true;
    connection->wants_receive = false;
    connection_list_push(&poll->changed, connection);
    poll->has_delivered = true;
    poll->events->ended(poll->context, connection, error);
}

static void release(struct poll_engine *poll, struct connection *connection) {
    unwatch(poll, connection);
    buffer_release(&connection->output);
    close(connection->fd);
    poll->has_delivered = true;
    poll->events->released(poll->context, connection);
}

/* --- Sending --- */

static ssize_t send_slices(int fd, struct iovec *slices, int count) {
    if (count == 1) return send(fd, slices[0].iov_base, slices[0].iov_len, MSG_NOSIGNAL);
    struct msghdr message = {.msg_iov = slices, .msg_iovlen = (size_t)count};
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

/* The rest can't be sent any more. It is dropped, so that an owner who waits for it to drain sees that it did, also when the
 * peer's end was told before. */
static void fail_send(struct poll_engine *poll, struct connection *connection, int error) {
    buffer_consume(&connection->output, buffer_waiting(&connection->output));
    end(poll, connection, error);
    poll->has_delivered = true;
    if (!connection->is_closing) poll->events->sent(poll->context, connection);
}

/* Send what waits, as far as the socket takes it. True when it took less, so that EPOLLOUT must tell when there is room. */
static bool flush(struct poll_engine *poll, struct connection *connection) {
    struct iovec slices[SLICES_MAX];
    int count = buffer_gather(&connection->output, slices, SLICES_MAX);
    if (count == 0) return false;
    size_t offered = 0;
    for (int i = 0; i < count; i++) {
        offered += slices[i].iov_len;
    }
    ssize_t sent = send_slices(connection->fd, slices, count);
    if (sent < 0) {
        if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS) return true;
        fail_send(poll, connection, errno);
        return false;
    }
    buffer_consume(&connection->output, (size_t)sent);
    engine_count(&connection->sent_bytes, (uint64_t)sent);
    engine_count(&poll->base.statistics.sends, 1);
    bool is_short = (size_t)sent < offered;
    if (!is_short && !buffer_is_empty(&connection->output)) {
        connection_list_push(&poll->changed, connection);
    }
    poll->has_delivered = true;
    poll->events->sent(poll->context, connection);
    return is_short;
}

/* --- Receiving --- */

static void receive(struct poll_engine *poll, struct connection *connection, size_t share) {
    char *place = poll->area + poll->area_used;
    ssize_t size = recv(connection->fd, place, share, 0);
    if (size < 0) {
        if (errno != EAGAIN && errno != EINTR) end(poll, connection, errno);
        return;
    }
    if (size == 0) {
        end(poll, connection, 0);
        return;
    }
    size_t used = ((size_t)size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    poll->area_used += used;
    engine_count(&connection->received_bytes, (uint64_t)size);
    engine_count(&poll->base.statistics.receives, 1);
    poll->events->received(poll->context, connection, bytes_of(place, (size_t)size));
}

static void on_ready(struct poll_engine *poll, struct connection *connection, uint32_t mask,
                     size_t share) {
    const uint32_t broken = EPOLLERR | EPOLLHUP;
    if (connection->is_closing) return;
    if (connection->is_sending && (mask & (EPOLLOUT | broken)) != 0) {
        bool is_short = flush(poll, connection);
        if (connection->is_closing) return;
        enum status status = set_interest(poll, connection, connection->is_receiving, is_short);
        check(status == STATUS_OK); /* it is known already: changing needs no memory */
    }
    if (connection->is_receiving && (mask & (EPOLLIN | EPOLLRDHUP | broken)) != 0) {
        receive(poll, connection, share);
    } else if ((mask & broken) != 0) {
        unwatch(poll,
                connection); /* would be reported for ever; resuming or sending finds it again */
    }
}

/* --- Accepting --- */

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

static enum status poll_listen(struct engine *engine, int listener_fd) {
    struct poll_engine *poll = poll_of(engine);
    if (listener_find(poll, listener_fd) >= 0) return STATUS_OK;
    if (poll->listener_count == ENGINE_LISTENERS_MAX) return STATUS_FULL;
    /* Exclusive: of the engines that share a listener, one is woken and not all. */
    enum status status = watch(poll, EPOLL_CTL_ADD, listener_fd, EPOLLIN | EPOLLEXCLUSIVE,
                               (uint64_t)listener_fd << 2 | TAG_LISTENER);
    if (status == STATUS_OK) poll->listeners[poll->listener_count++] = listener_fd;
    return status;
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

/* --- Waking --- */

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

/* --- The turn --- */

/* A connection that changed since the last turn. */
static void settle(struct poll_engine *poll, struct connection *connection) {
    if (connection->is_closing) {
        release(poll, connection);
        return;
    }
    bool is_blocked = connection->is_sending || flush(poll, connection);
    if (connection->is_closing) return;
    if (set_interest(poll, connection, connection->wants_receive, is_blocked) != STATUS_OK) {
        end(poll, connection, ENOMEM);
    }
}

static void settle_changed(struct poll_engine *poll) {
    /* Those that change meanwhile come next turn, so that a turn ends. */
    for (size_t left = poll->changed.count; left > 0; left--) {
        settle(poll, connection_list_pop(&poll->changed));
    }
}

static void deliver(struct poll_engine *poll, const struct epoll_event *ready, int count) {
    poll->area_used = 0;
    for (int i = 0; i < count; i++) {
        uint64_t tagged = ready[i].data.u64;
        if ((tagged & TAG_MASK) == TAG_LISTENER) {
            on_acceptable(poll, (int)(tagged >> 2));
        } else if ((tagged & TAG_MASK) == TAG_WAKE) {
            on_woken(poll);
        } else {
            size_t share = (poll->area_bytes - poll->area_used) / (size_t)(count - i);
            share = share < RECEIVE_MAX ? share / CACHE_LINE * CACHE_LINE : RECEIVE_MAX;
            on_ready(poll, (struct connection *)(uintptr_t)tagged, ready[i].events, share);
        }
    }
}

static enum status poll_turn(struct engine *engine, int timeout_ms) {
    struct poll_engine *poll = poll_of(engine);
    engine_count(&engine->statistics.turns, 1);
    poll->has_delivered = false;
    settle_changed(poll);
    bool is_busy = poll->has_delivered || poll->changed.count > 0;
    struct epoll_event ready[EVENTS_MAX];
    int count = epoll_wait(poll->epoll_fd, ready, poll->events_max, is_busy ? 0 : timeout_ms);
    if (count < 0) return errno == EINTR ? STATUS_OK : STATUS_FAILED;
    deliver(poll, ready, count);
    return STATUS_OK;
}

/* --- Connections --- */

static enum status poll_attach(struct engine *engine, struct connection *connection) {
    struct poll_engine *poll = poll_of(engine);
    enum status status = set_interest(poll, connection, true, false);
    if (status != STATUS_OK) return status;
    connection->engine = engine;
    connection->wants_receive = true;
    return STATUS_OK;
}

static void poll_pause_receive(struct engine *engine, struct connection *connection) {
    connection->wants_receive = false;
    connection_list_push(&poll_of(engine)->changed, connection);
}

static void poll_resume_receive(struct engine *engine, struct connection *connection) {
    if (connection->has_ended) return;
    connection->wants_receive = true;
    connection_list_push(&poll_of(engine)->changed, connection);
}

static void poll_send(struct engine *engine, struct connection *connection) {
    connection_list_push(&poll_of(engine)->changed, connection);
}

static void poll_close(struct engine *engine, struct connection *connection) {
    check(!connection->is_closing);
    connection->is_closing = true;
    connection->wants_receive = false;
    connection_list_push(&poll_of(engine)->changed, connection);
}

/* --- Life --- */

static void poll_destroy(struct engine *engine) {
    struct poll_engine *poll = poll_of(engine);
    if (poll->area != MAP_FAILED) munmap(poll->area, poll->area_bytes);
    if (poll->wake_fd >= 0) close(poll->wake_fd);
    if (poll->epoll_fd >= 0) close(poll->epoll_fd);
    memory_free(poll);
}

static const struct engine_operations operations = {
    .name = "epoll",
    .destroy = poll_destroy,
    .listen = poll_listen,
    .unlisten = poll_unlisten,
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
    return watch(poll, EPOLL_CTL_ADD, poll->wake_fd, EPOLLIN, TAG_WAKE) == STATUS_OK;
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
    poll->events_max = count < EVENTS_MAX ? (int)count : EVENTS_MAX;
    connection_list_init(&poll->changed, LINK_CHANGED);
    if (!open_all(poll)) {
        snprintf(text, ENGINE_TEXT_MAX, "epoll: %s", strerror(errno));
        poll_destroy(&poll->base);
        return NULL;
    }
    snprintf(text, ENGINE_TEXT_MAX, "epoll: level-triggered, %zu KiB of receive buffers",
             poll->area_bytes / 1024);
    return &poll->base;
}
