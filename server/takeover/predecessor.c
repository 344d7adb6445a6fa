/* A hand-over: the sockets, then the keys, then the word "mine".
 *
 *      waiting ─▶ greeted: HELLO is from a friend, and fits           otherwise: refused, waiting
 *              ─▶ copying: sockets, then the store through a pipe; writing commands wait, reading ones don't
 *              ─▶ frozen: nothing runs, nobody is accepted; YOURS
 *              ─▶ MINE came: this process ends, saves nothing and removes no file
 *      copying, frozen ─▶ (the successor fails, dies or stalls; SIGTERM) ─▶ thawed: all go on; waiting
 *
 * Invariants:
 *   1. At any moment at most one of the two processes runs commands. Ours stop before YOURS; the successor's begin
 *      after MINE; and whether MINE was said is decided once for both: when we lose patience we shut our end for
 *      reading, and look. The kernel either has the message in our queue by then, and we are the past, or refuses
 *      it to the successor for ever, which then may not serve. It does both under one lock (unix_stream_sendmsg,
 *      unix_shutdown).
 *   2. A command that was run was answered, as far as its client reads: replies are sent before a connection is
 *      closed. One that wasn't answered wasn't run, and can be sent again.
 *   3. Whoever waits to be accepted is accepted by one of the two: the sockets are the same.
 *
 * Others do it so: nginx hands sockets to a child by an environment variable and lets two generations serve side
 * by side, HAProxy (-x) and Facebook's Proxygen pass them through a Unix socket ("Zero Downtime Release", SIGCOMM
 * 2020), Envoy shares counters besides (hot restart). They own no data; where keys are, two generations at once
 * would be two truths, hence the freeze. Redis restarts from its file, and answers -LOADING meanwhile.
 *
 * A second successor is refused while one is at it. Each waiting has an end, and is left when a signal wants the
 * end of the process (predecessor_interrupt). */
#include "predecessor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "message.h"
#include "peer.h"
#include "server/admission.h"
#include "server/clock.h"
#include "server/gate.h"
#include "server/http/http.h"
#include "server/log.h"
#include "server/persistence/rdb_write.h"
#include "server/server.h"
#include "server/supervisor.h"
#include "version.h"

enum {
    DOOR_BACKLOG = 8,
    DOOR_PERMISSIONS = 0600,
    HELLO_MS = 2000,      /* from connecting to HELLO */
    STALL_MS = 10 * 1000, /* without taking a byte, or saying that all is loaded */
    MINE_MS = 5000,       /* all clients wait meanwhile */
    BARRIER_LOOK_MS = 20, /* between two looks whether to give up */
    WANT_MS = 1000,       /* before we try again to let somebody in */
    PIPE_BYTES = 1 << 20,
    WHY_MAX = MESSAGE_TEXT_MAX,
};

/* One hand-over. */
struct handing {
    struct predecessor *predecessor;
    struct server *server;
    int fd; /* to the successor */
    struct peer peer;
    bool is_greeted; /* others are refused from then on; before, they wait */
    int pipe_fd;     /* while the store is written to it */
    uint64_t keys, bytes;
    int64_t begun_ns, frozen_ns; /* when writing commands, when all began to wait */
    char why[WHY_MAX];           /* it failed */
};

/* ---- Waiting --------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static bool fail(struct handing *handing, const char *format,
                                                       ...) {
    va_list values;
    va_start(values, format);
    if (handing->why[0] == '\0') vsnprintf(handing->why, sizeof handing->why, format, values);
    va_end(values);
    return false;
}

static void send_refusal(int fd, const char *why) {
    struct message message = message_of(MESSAGE_REFUSED);
    snprintf(message.text, sizeof message.text, "%s", why);
    message_send(fd, &message, -1); /* or it is gone already */
}

static int accept_one(const struct predecessor *predecessor) {
    return accept4(predecessor->door.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

/* False: for want of descriptors they have to wait. */
static bool turn_others_away(const struct predecessor *predecessor) {
    int fd;
    while ((fd = accept_one(predecessor)) >= 0) {
        send_refusal(fd, "another takeover is under way");
        close(fd);
    }
    return errno == EAGAIN;
}

static bool is_interrupted(const struct predecessor *predecessor) {
    struct pollfd waiting = {.fd = predecessor->interrupt_fd, .events = POLLIN};
    return poll(&waiting, 1, 0) > 0;
}

/* Until `fd` is ready for `events`, or its peer is gone. */
static bool wait_for(struct handing *handing, int fd, short events, int64_t wait_ms,
                     const char *late) {
    const struct predecessor *predecessor = handing->predecessor;
    int door = handing->is_greeted ? predecessor->door.fd : -1;
    int64_t end_ns = clock_monotonic_ns() + wait_ms * 1000000;
    for (;;) {
        int64_t left_ms = (end_ns - clock_monotonic_ns()) / 1000000;
        if (left_ms <= 0) return fail(handing, "%s", late);
        struct pollfd waiting[] = {
            {.fd = fd, .events = events},
            {.fd = predecessor->interrupt_fd, .events = POLLIN},
            {.fd = door, .events = POLLIN},
        };
        if (poll(waiting, 3, (int)left_ms) < 0 && errno != EINTR)
            return fail(handing, "poll: %s", strerror(errno));
        if (waiting[1].revents != 0) return fail(handing, "this server is about to stop");
        if (waiting[2].revents != 0 && !turn_others_away(predecessor)) door = -1;
        if (waiting[0].revents != 0) return true;
    }
}

static bool await(struct handing *handing, enum message_kind kind, int64_t wait_ms,
                  struct message *message) {
    if (!wait_for(handing, handing->fd, POLLIN, wait_ms, "it says nothing")) return false;
    enum message_outcome outcome = message_receive(handing->fd, HELLO_MS, message, NULL);
    if (outcome == MESSAGE_CAME && message->kind == kind) return true;
    return fail(handing, "it %s", message_outcome_text(outcome));
}

static bool say(struct handing *handing, const struct message *message, int passed_fd) {
    return message_send(handing->fd, message, passed_fd) || fail(handing, "it hung up");
}

/* ---- Standing still -------------------------------------------------------------------------- */

/* All the answers, or false: then some are still to come. */
static bool take_answers(struct handing *handing) {
    struct predecessor *predecessor = handing->predecessor;
    int64_t begun_ns = clock_monotonic_ns();
    while (predecessor->unanswered > 0) {
        if (clock_monotonic_ns() - begun_ns > STALL_MS * INT64_C(1000000))
            return fail(handing, "a worker of this server is busy with a long command");
        struct timespec until;
        int64_t end_ns = clock_monotonic_ns() + BARRIER_LOOK_MS * 1000000;
        until.tv_sec = end_ns / 1000000000;
        until.tv_nsec = end_ns % 1000000000;
        if (sem_clockwait(&predecessor->answered, CLOCK_MONOTONIC, &until) == 0) {
            predecessor->unanswered--;
        } else if (is_interrupted(predecessor)) {
            return fail(handing, "this server is about to stop");
        }
    }
    return true;
}

/* No worker runs a command any more that the gates now hold. */
static bool settle(struct handing *handing, bool unlistens) {
    struct predecessor *predecessor = handing->predecessor;
    struct server *server = handing->server;
    if (!take_answers(handing)) return false; /* of one that was given up */
    for (uint32_t i = 0; i < server->worker_count; i++) {
        while (!worker_settle(&server->workers[i], &predecessor->answered, unlistens)) {
            if (is_interrupted(predecessor)) return fail(handing, "this server is about to stop");
            usleep(1000); /* its mailbox is full for the moment */
        }
        predecessor->unanswered++;
    }
    return take_answers(handing);
}

static void thaw(struct handing *handing) {
    struct server *server = handing->server;
    gate_open(server, GATE_HANDING);
    if (handing->frozen_ns == 0) return;
    gate_open(server, GATE_FROZEN);
    while (!worker_listen_again(&server->workers[0])) {
        usleep(1000);
    }
}

/* ---- Greeting -------------------------------------------------------------------------------- */

static bool greet(struct handing *handing) {
    struct server *server = handing->server;
    struct message hello;
    if (!peer_is_friend(handing->fd, &handing->peer)) return fail(handing, "it is another user's");
    if (!await(handing, MESSAGE_HELLO, HELLO_MS, &hello)) return false;
    uint64_t databases = server->shards.database_count;
    if (version_is_older(hello.version, SHERD_VERSION)) {
        fail(handing, "it is sherd %s, older than the running %s", hello.version, SHERD_VERSION);
    } else if (hello.databases != databases) {
        fail(handing,
             "it has %llu databases, the running server %llu (start it with --databases %llu)",
             (unsigned long long)hello.databases, (unsigned long long)databases,
             (unsigned long long)databases);
    } else if (atomic_load_explicit(&server->is_stopping, memory_order_relaxed) ||
               gate_is_closed(server, GATE_STOPPING) || gate_is_closed(server, GATE_LOADING)) {
        fail(handing, "this server is about to stop");
    }
    return handing->why[0] == '\0';
}

/* A relative path is sent whole where that fits: the successor's directory may be another. */
static bool give_socket(struct handing *handing, int fd, const char *path) {
    struct message message = message_of(MESSAGE_LISTENER);
    const char *folder = handing->server->config->dir;
    bool is_relative = path[0] != '\0' && path[0] != '/';
    if (is_relative && strlen(folder) + strlen("/") + strlen(path) < LISTENER_PATH_MAX) {
        snprintf(message.text, sizeof message.text, "%.*s/%s", LISTENER_PATH_MAX, folder, path);
    } else {
        snprintf(message.text, sizeof message.text, "%s", path);
    }
    return say(handing, &message, fd);
}

static bool give_sockets(struct handing *handing) {
    struct server *server = handing->server;
    int metrics_fd = http_listener(server->http);
    struct message message = message_of(MESSAGE_WELCOME);
    message.listeners = server->listener_count + 1 + (metrics_fd >= 0);
    message.changes = saver_changes(&server->saver);
    message.saved_ms = atomic_load_explicit(&server->saver.saved_ms, memory_order_relaxed);
    if (!say(handing, &message, -1)) return false;
    for (uint32_t i = 0; i < server->listener_count; i++) {
        if (!give_socket(handing, server->listeners[i].fd, server->listeners[i].path)) return false;
    }
    const struct listener *door = &handing->predecessor->door;
    if (!give_socket(handing, door->fd, door->path)) return false;
    return metrics_fd < 0 || give_socket(handing, metrics_fd, "");
}

/* ---- Copying --------------------------------------------------------------------------------- */

/* The sink of an rdb_writer. */
static enum status write_to_pipe(void *context, struct bytes bytes) {
    struct handing *handing = context;
    handing->bytes += bytes.size;
    while (bytes.size > 0) {
        ssize_t size = write(handing->pipe_fd, bytes.data, bytes.size);
        if (size > 0) {
            bytes = bytes_of(bytes.data + size, bytes.size - (size_t)size);
        } else if (errno == EAGAIN) {
            if (!wait_for(handing, handing->pipe_fd, POLLOUT, STALL_MS, "it takes no more keys"))
                return STATUS_FAILED;
        } else if (errno != EINTR) {
            fail(handing, "it takes no more keys: %s", strerror(errno));
            return STATUS_FAILED;
        }
    }
    return STATUS_OK;
}

/* A pipe whose one end the successor gets, to read the store from. */
static bool open_pipe(struct handing *handing) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return fail(handing, "no pipe: %s", strerror(errno));
    fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES); /* or it is as large as it is */
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    struct message message = message_of(MESSAGE_DATA);
    bool is_said = say(handing, &message, ends[0]);
    close(ends[0]);
    handing->pipe_fd = ends[1];
    return is_said;
}

static void close_pipe(struct handing *handing) {
    if (handing->pipe_fd >= 0) close(handing->pipe_fd);
    handing->pipe_fd = -1;
}

struct copying {
    struct handing *handing;
    struct rdb_writer writer;
};

static void write_entry(void *context, const struct snapshot_entry *entry) {
    struct copying *copying = context;
    rdb_write_entry(&copying->writer, entry);
    copying->handing->keys++;
}

static enum status copy_all(struct handing *handing, struct copying *copying) {
    struct server *server = handing->server;
    struct snapshot *snapshot = &server->saver.snapshot;
    if (snapshot_begin(snapshot, &server->shards, clock_unix_ms()) != STATUS_OK)
        return STATUS_NO_MEMORY;
    rdb_write_head(&copying->writer);
    bool has_more = true;
    while (has_more && copying->writer.status == STATUS_OK) {
        has_more = snapshot_step(snapshot, write_entry, copying);
    }
    enum status written = rdb_write_end(&copying->writer), ended = snapshot_end(snapshot);
    return written == STATUS_OK ? ended : written;
}

static bool give_keys(struct handing *handing) {
    struct copying copying = {.handing = handing};
    struct rdb_writer_options options = {
        .write = write_to_pipe, .context = handing, .checksums = true};
    if (!open_pipe(handing)) return false;
    if (rdb_writer_init(&copying.writer, &options) != STATUS_OK)
        return fail(handing, "no memory to encode keys with");
    enum status status = copy_all(handing, &copying);
    rdb_writer_release(&copying.writer);
    close_pipe(handing);
    if (status == STATUS_NO_MEMORY) fail(handing, "no memory for a snapshot");
    struct message loaded;
    return status == STATUS_OK && await(handing, MESSAGE_LOADED, STALL_MS, &loaded);
}

/* ---- The end --------------------------------------------------------------------------------- */

/* Invariant 1. */
static bool give_all(struct handing *handing) {
    struct message message = message_of(MESSAGE_YOURS);
    if (!say(handing, &message, -1)) return false;
    if (await(handing, MESSAGE_MINE, MINE_MS, &message)) return true;
    shutdown(handing->fd, SHUT_RD);
    return message_receive(handing->fd, 0, &message, NULL) == MESSAGE_CAME &&
           message.kind == MESSAGE_MINE;
}

static bool hand_over(struct handing *handing) {
    struct server *server = handing->server;
    handing->begun_ns = clock_monotonic_ns();
    gate_close(server, GATE_HANDING);
    if (!settle(handing, false) || !give_sockets(handing) || !give_keys(handing)) return false;
    handing->frozen_ns = clock_monotonic_ns();
    gate_close(server, GATE_FROZEN);
    return settle(handing, true) && give_all(handing);
}

static int64_t ms_since(int64_t since_ns) {
    return (clock_monotonic_ns() - since_ns) / 1000000;
}

static void commit(struct handing *handing) {
    struct predecessor *predecessor = handing->predecessor;
    struct server *server = handing->server;
    predecessor->door.keeps_file = true;
    admission_keep_files(server, true);
    saver_yield(&server->saver, true);
    log_notice("Handed over to process %d: %llu keys, %llu bytes; writing commands waited for %lld "
               "ms, all others for %lld",
               (int)handing->peer.pid, (unsigned long long)handing->keys,
               (unsigned long long)handing->bytes, (long long)ms_since(handing->begun_ns),
               (long long)ms_since(handing->frozen_ns));
    char state[32];
    snprintf(state, sizeof state, "MAINPID=%d", (int)handing->peer.pid);
    if (handing->peer.pid != 0 && supervisor_is_wanted(server->config)) supervisor_notify(state);
    /* Release; pairs with the acquire in predecessor_has_handed_over. */
    atomic_store_explicit(&predecessor->has_handed_over, true, memory_order_release);
    server_stop(server);
}

static void meet(struct predecessor *predecessor, int fd) {
    struct server *server = predecessor->server;
    struct handing handing = {
        .predecessor = predecessor, .server = server, .fd = fd, .pipe_fd = -1};
    if (!greet(&handing)) {
        log_warning("Refused a takeover: %s", handing.why);
        send_refusal(fd, handing.why);
        return;
    }
    log_notice("Process %d takes over", (int)handing.peer.pid);
    handing.is_greeted = true;
    bool has_claim = saver_claim(&server->saver);
    if (!has_claim) fail(&handing, "this server is about to stop");
    if (has_claim && hand_over(&handing)) {
        commit(&handing);
        return;
    }
    close_pipe(&handing);
    send_refusal(fd, handing.why);
    thaw(&handing);
    if (has_claim) saver_yield(&server->saver, false);
    log_warning("Process %d did not take over: %s; going on as before", (int)handing.peer.pid,
                handing.why);
}

/* ---- The thread ------------------------------------------------------------------------------ */

/* False: nobody can be let in just now, who may stay at the door. */
static bool answer_door(struct predecessor *predecessor) {
    int fd = accept_one(predecessor);
    if (fd >= 0) {
        meet(predecessor, fd);
        close(fd);
    } else if (errno != EAGAIN && errno != ECONNABORTED) {
        log_warning_limited("A successor has to wait: %s", strerror(errno));
        return false;
    }
    return true;
}

static void *run(void *argument) {
    struct predecessor *predecessor = argument;
    bool may_open = true;
    while (!predecessor_has_handed_over(predecessor)) {
        struct pollfd waiting[] = {
            {.fd = predecessor->interrupt_fd, .events = POLLIN},
            {.fd = may_open ? predecessor->door.fd : -1, .events = POLLIN},
        };
        if (poll(waiting, 2, may_open ? -1 : WANT_MS) < 0) continue;
        uint64_t count;
        if (waiting[0].revents != 0 && read(predecessor->interrupt_fd, &count, sizeof count) > 0 &&
            atomic_load_explicit(&predecessor->is_ending, memory_order_relaxed))
            break;
        may_open = waiting[1].revents == 0 || answer_door(predecessor);
    }
    return NULL;
}

void predecessor_init(struct predecessor *predecessor, struct server *server) {
    *predecessor = (struct predecessor){.server = server, .door.fd = -1, .interrupt_fd = -1};
}

static enum status refuse_door(enum status status, const char *why, char *error) {
    snprintf(error, LISTENER_ERROR_MAX, "takeover-socket: %.230s", why);
    return status;
}

enum status predecessor_check(const char *path, char *error) {
    char why[LISTENER_ERROR_MAX];
    enum status status = listener_check_unix(path, why);
    return status == STATUS_OK ? status : refuse_door(status, why, error);
}

enum status predecessor_open(struct predecessor *predecessor, char *error) {
    struct server *server = predecessor->server;
    const char *path = server->config->takeover_socket;
    if (path[0] == '\0') return STATUS_OK;
    sem_init(&predecessor->answered, 0, 0);
    predecessor->interrupt_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (predecessor->interrupt_fd < 0) {
        snprintf(error, LISTENER_ERROR_MAX, "takeover-socket: no descriptor: %s", strerror(errno));
        return STATUS_REFUSED;
    }
    if (inheritance_take_unix(&server->inheritance, path, &predecessor->door)) return STATUS_OK;
    char why[LISTENER_ERROR_MAX];
    enum status status =
        listener_open_unix(&predecessor->door, path, DOOR_PERMISSIONS, DOOR_BACKLOG, why);
    return status == STATUS_OK ? status : refuse_door(status, why, error);
}

void predecessor_start(struct predecessor *predecessor) {
    if (predecessor->door.fd < 0) return;
    predecessor->has_thread = pthread_create(&predecessor->thread, NULL, run, predecessor) == 0;
    if (!predecessor->has_thread)
        log_warning("No thread for takeover-socket (a limit on processes?): no successor can come");
}

void predecessor_interrupt(struct predecessor *predecessor) {
    const uint64_t one = 1;
    if (predecessor->interrupt_fd < 0) return;
    ssize_t written = write(predecessor->interrupt_fd, &one, sizeof one);
    (void)written; /* fails only when it is readable anyway */
}

void predecessor_stop(struct predecessor *predecessor) {
    if (!predecessor->has_thread) return;
    atomic_store_explicit(&predecessor->is_ending, true, memory_order_relaxed);
    predecessor_interrupt(predecessor);
    pthread_join(predecessor->thread, NULL);
    predecessor->has_thread = false;
}

void predecessor_close(struct predecessor *predecessor) {
    listener_close(&predecessor->door);
    if (predecessor->interrupt_fd < 0) return;
    close(predecessor->interrupt_fd);
    predecessor->interrupt_fd = -1;
    sem_destroy(&predecessor->answered);
}
