/* Admission: one worker accepts for all, so that new connections can go where the fewest are.
 *
 * Running out of descriptors must not turn into a busy loop or into clients that hang: one descriptor is
 * kept spare, given up to accept those who wait one by one, tell each why, and close; then taken again. The
 * listener rests until the next tick. */
#include "admission.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config_value.h"
#include "hosts.h"
#include "log.h"
#include "peer.h"

enum {
    REFUSED_AT_ONCE_MAX =
        128, /* clients told in one go that descriptors ran out; the rest wait for the tick */
    WANT_WARNING_MS = 10000,
};

enum { TCP_LISTENERS_MAX = SERVER_LISTENERS_MAX - 1 /* one place is left for the Unix socket */ };

static void explain_many(char *error) {
    snprintf(error, LISTENER_ERROR_MAX, "bind: more than %d addresses and ports",
             TCP_LISTENERS_MAX);
}

static void explain_none(uint16_t port, char *error) {
    snprintf(error, LISTENER_ERROR_MAX,
             "none of the addresses of 'bind' could be listened on (port %u)", port);
}

/* False: it listens nowhere, and `error` says so. */
static bool has_address(const struct config *config, char *error) {
    if (config->unixsocket[0] != 0 || config_number(&config->port) != 0 ||
        config_number(&config->tls_port) != 0)
        return true;
    snprintf(error, LISTENER_ERROR_MAX,
             "Configured to not listen anywhere: set port, tls-port or unixsocket");
    return false;
}

/* False: it listens on a port of no address, and `error` says so. */
static bool has_host(const struct config *config, char *error) {
    bool has_port = config_number(&config->port) != 0 || config_number(&config->tls_port) != 0;
    if (config->bind[0] != 0 || !has_port) return true;
    snprintf(error, LISTENER_ERROR_MAX,
             "bind names no address: give it some, such as 127.0.0.1, or '*' for all (port 0: "
             "not on TCP)");
    return false;
}

/* ---- Listening ------------------------------------------------------------------------------- */

static enum status add_tcp(struct server *server, const char *host, uint16_t port, bool is_optional,
                           char *error) {
    if (server->listener_count == TCP_LISTENERS_MAX) {
        explain_many(error);
        return STATUS_FULL;
    }
    struct listener *listener = &server->listeners[server->listener_count];
    int backlog = (int)config_number(&server->config->tcp_backlog);
    enum status status = STATUS_OK;
    if (!inheritance_take_tcp(&server->inheritance, host, port, listener))
        status = listener_open_tcp(listener, host, port, backlog, error);
    if (status == STATUS_OK) {
        server->listener_count++;
    } else if (is_optional) {
        log_verbose("Skipping an optional address: %s", error);
        return STATUS_OK;
    }
    return status;
}

static enum status open_tcp(struct server *server, uint16_t port, bool is_tls, char *error) {
    uint32_t first = server->listener_count;
    if (port == 0) return STATUS_OK;
    struct hosts hosts;
    hosts_init(&hosts, server->config);
    while (hosts_next(&hosts)) {
        enum status status = add_tcp(server, hosts.host, port, hosts.is_optional, error);
        if (status != STATUS_OK) return status;
    }
    for (uint32_t i = first; i < server->listener_count; i++) {
        server->listeners[i].is_tls = is_tls;
    }
    if (server->listener_count != first) return STATUS_OK;
    explain_none(port, error);
    return STATUS_REFUSED;
}

enum status admission_open(struct server *server, char *error) {
    const struct config *config = server->config;
    const char *path = config->unixsocket;
    if (!has_address(config, error) || !has_host(config, error)) return STATUS_REFUSED;
    enum status status = open_tcp(server, (uint16_t)config_number(&config->port), false, error);
    if (status != STATUS_OK) return status;
    status = open_tcp(server, (uint16_t)config_number(&config->tls_port), true, error);
    if (status != STATUS_OK) return status;
    if (path[0] == 0) return STATUS_OK;
    struct listener *listener = &server->listeners[server->listener_count];
    if (!inheritance_take_unix(&server->inheritance, path, listener))
        status = listener_open_unix(listener, path,
                                    (mode_t)config_number(&server->config->unixsocketperm),
                                    (int)config_number(&server->config->tcp_backlog), error);
    if (status == STATUS_OK) server->listener_count++;
    return status;
}

/* An error is of the addresses that were set, or else of the port. */
static void tell(struct config *config, const char *port_option, const char *error) {
    struct config_origin bind = config_origin(config, config_option_find(BYTES("bind")));
    config_tells_of(config, bind.source != CONFIG_FROM_DEFAULT ? "bind" : port_option, error);
}

/* How many addresses there are to listen on. */
static uint32_t check_tcp(struct config *config, const char *port_option, uint16_t port) {
    uint32_t count = 0, told = 0;
    if (port == 0) return count;
    char error[LISTENER_ERROR_MAX];
    struct hosts hosts;
    hosts_init(&hosts, config);
    while (hosts_next(&hosts)) {
        if (listener_check_tcp(hosts.host, port, error) == STATUS_OK) {
            count++;
        } else if (!hosts.is_optional) {
            tell(config, port_option, error);
            told++;
        }
    }
    if (count != 0 || told != 0) return count;
    explain_none(port, error);
    tell(config, port_option, error);
    return count;
}

void admission_check(struct config *config) {
    char error[LISTENER_ERROR_MAX];
    if (!has_address(config, error)) config_tells_of(config, "port", error);
    if (!has_host(config, error)) {
        config_tells_of(config, "bind", error);
        return;
    }
    uint32_t count = check_tcp(config, "port", (uint16_t)config_number(&config->port)) +
                     check_tcp(config, "tls-port", (uint16_t)config_number(&config->tls_port));
    if (count <= TCP_LISTENERS_MAX) return;
    explain_many(error);
    tell(config, "port", error);
}

static int open_spare(void) {
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

enum status admission_listen(struct server *server, struct engine *engine, char *text) {
    server->spare_fd = open_spare();
    for (uint32_t i = 0; i < server->listener_count; i++) {
        enum status status = engine_listen(engine, server->listeners[i].fd);
        if (status == STATUS_OK) continue;
        snprintf(text, ENGINE_TEXT_MAX, "the engine can't accept from %s",
                 server->listeners[i].text);
        return status;
    }
    return STATUS_OK;
}

void admission_unlisten(struct server *server, struct engine *engine) {
    server->resting_listeners = 0;
    for (uint32_t i = 0; i < server->listener_count; i++) {
        engine_unlisten(engine, server->listeners[i].fd);
    }
}

void admission_listen_again(struct server *server) {
    server->resting_listeners = (uint32_t)((UINT64_C(1) << server->listener_count) - 1);
    admission_retry(server);
}

void admission_keep_files(struct server *server, bool keeps_files) {
    for (uint32_t i = 0; i < server->listener_count; i++) {
        server->listeners[i].keeps_file = keeps_files;
    }
}

void admission_close(struct server *server) {
    for (uint32_t i = 0; i < server->listener_count; i++) {
        listener_close(&server->listeners[i]);
    }
    server->listener_count = 0;
    if (server->spare_fd >= 0) close(server->spare_fd);
    server->spare_fd = -1;
}

/* ---- A new socket ---------------------------------------------------------------------------- */

static const char too_many[] = "-ERR max number of clients reached\r\n";
static const char denied[] = "-DENIED sherd is running in protected mode: no password is set, so "
                             "it accepts connections from this host only. "
                             "Set one ('requirepass'), or turn the option 'protected-mode' off if "
                             "whoever can reach this port may do everything.\r\n";

static const struct listener *find_listener(const struct server *server, int listener_fd) {
    for (uint32_t i = 0; i < server->listener_count; i++) {
        if (server->listeners[i].fd == listener_fd) return &server->listeners[i];
    }
    return NULL;
}

bool admission_is_tls(const struct server *server, int listener_fd) {
    const struct listener *listener = find_listener(server, listener_fd);
    return listener != NULL && listener->is_tls;
}

/* One attempt: it fits the socket's empty buffer, or nobody reads it. Counted first, so that whoever was
 * told finds it counted. A TLS client would have to shake hands first to understand: it is only closed. */
static void refuse(struct server *server, int listener_fd, int fd, const char *text) {
    atomic_fetch_add_explicit(&server->connections_rejected, 1, memory_order_relaxed);
    if (admission_is_tls(server, listener_fd)) {
        close(fd);
        return;
    }
    ssize_t sent = send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)sent;
    close(fd);
}

static bool is_forbidden(struct server *server, int fd) {
    return config_number(&server->config->protected_mode) &&
           atomic_load_explicit(&server->users.default_is_open, memory_order_relaxed) &&
           !peer_is_local(fd);
}

static struct worker *worker_with_fewest(struct server *server) {
    struct worker *chosen = &server->workers[0];
    for (uint32_t i = 1; i < server->worker_count; i++) {
        uint32_t count =
            atomic_load_explicit(&server->workers[i].client_count, memory_order_relaxed);
        if (count < atomic_load_explicit(&chosen->client_count, memory_order_relaxed))
            chosen = &server->workers[i];
    }
    return chosen;
}

struct worker *admission_accept(struct server *server, int listener_fd, int fd) {
    atomic_fetch_add_explicit(&server->connections_received, 1, memory_order_relaxed);
    if (is_forbidden(server, fd)) {
        refuse(server, listener_fd, fd, denied);
        return NULL;
    }
    if (atomic_load_explicit(&server->client_count, memory_order_relaxed) >=
        (uint64_t)config_number(&server->config->maxclients)) {
        refuse(server, listener_fd, fd, too_many);
        return NULL;
    }
    listener_tune(fd, (int)config_number(&server->config->tcp_keepalive));
    struct worker *worker = worker_with_fewest(server);
    atomic_fetch_add_explicit(&server->client_count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&worker->client_count, 1, memory_order_relaxed);
    return worker;
}

void admission_leave(struct server *server, struct worker *worker) {
    atomic_fetch_sub_explicit(&server->client_count, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&worker->client_count, 1, memory_order_relaxed);
}

static uint32_t bit_of_listener(const struct server *server, int listener_fd) {
    for (uint32_t i = 0; i < server->listener_count; i++) {
        if (server->listeners[i].fd == listener_fd) return 1U << i;
    }
    return 0;
}

/* Say so once in a while: the shortage may last, and every tick meets it again. */
static void warn_of_want(struct server *server, int error) {
    int64_t now_ms = server->workers[0].now_ms;
    if (now_ms - server->want_warned_ms < WANT_WARNING_MS) return;
    server->want_warned_ms = now_ms;
    log_warning("Accepting a connection failed: %s; new clients are refused (raise the limit of "
                "open files, ulimit -n)",
                strerror(error));
}

void admission_refuse_for_want(struct server *server, int listener_fd, int error) {
    warn_of_want(server, error);
    server->resting_listeners |= bit_of_listener(server, listener_fd);
    if (server->spare_fd < 0) return;
    close(server->spare_fd);
    for (int refused = 0; refused < REFUSED_AT_ONCE_MAX; refused++) {
        int fd = accept4(listener_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) break; /* nobody waits, or even the spare's place was taken */
        atomic_fetch_add_explicit(&server->connections_received, 1, memory_order_relaxed);
        refuse(server, listener_fd, fd, too_many);
    }
    server->spare_fd = open_spare();
}

void admission_retry(struct server *server) {
    /* While some rest: another may have been quicker to take the place that the spare had left. */
    if (server->resting_listeners != 0 && server->spare_fd < 0) server->spare_fd = open_spare();
    for (uint32_t i = 0; server->resting_listeners != 0 && i < server->listener_count; i++) {
        uint32_t bit = 1U << i;
        if (!(server->resting_listeners & bit)) continue;
        if (engine_listen(server->workers[0].engine, server->listeners[i].fd) == STATUS_OK) {
            server->resting_listeners &= ~bit;
        }
    }
}
