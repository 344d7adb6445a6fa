/* libmicrohttpd does what HTTP is; here are the routes, and the rules for all of them.
 *
 * The library is worth its place: parsing requests of strangers, keeping connections, timeouts and limits is what it has
 * done for long, and nothing here is fast or special enough to do it again. It polls in one thread of its own, handles its
 * CALLERS_MAX connections there, and each answer is made and copied out whole, so a reader who is slow holds nothing
 * but the answer's text.
 *
 * Its own deadline is for silence only: a head that comes byte by byte meets none. Who has to go for the sake of others
 * is said by callers.h, and done by shutting the socket down, upon which the library finds it ended, and closes it.
 *
 * On a loopback address a request must name the server by a number or as localhost: a page of some other site that has
 * its own name point here (DNS rebinding) would else read along in the browser of whoever sits at this machine. */
#include "http.h"

#include <stdio.h>
#include <string.h>

#ifdef SHERD_METRICS

#include <arpa/inet.h>
#include <assert.h>
#include <microhttpd.h>
#include <strings.h>
#include <sys/socket.h>

#include "callers.h"
#include "console.h"
#include "prometheus.h"
#include "server/clock.h"
#include "server/gate.h"
#include "server/log.h"
#include "server/metrics.h"
#include "shards/base/memory.h"

enum {
    BACKLOG = 128,  /* a burst must not wait for the system to try again, a second later */
    IDLE_S_MAX = 5, /* less than CALLER_MS_MAX: who is late by that one isn't silent, but slow */
    REQUEST_BYTES_MAX = 16 * 1024, /* a connection's: the head of a request; bodies are not read */
};

struct http {
    struct server *server;
    struct MHD_Daemon *daemon;
    bool is_loopback;
    char policy[CONSOLE_POLICY_MAX];
    char text[ADDRESS_TEXT_MAX]; /* where it listens */
    struct callers callers;      /* the library's thread only */
};

static_assert(IDLE_S_MAX * 1000 < CALLER_MS_MAX, "the silent are closed without a word in the log");

/* ---- Routes ---------------------------------------------------------------------------------- */

/* Each writes a body and returns the status. */

static unsigned show_metrics(struct server *server, struct text *out) {
    struct metrics metrics;
    metrics_gather(&metrics, server, clock_unix_ms());
    prometheus_write(&metrics, out);
    return MHD_HTTP_OK;
}

static unsigned show_console(struct server *server, struct text *out) {
    (void)server;
    text_add(out, console_page());
    return MHD_HTTP_OK;
}

static unsigned show_console_numbers(struct server *server, struct text *out) {
    struct metrics metrics;
    metrics_gather(&metrics, server, clock_unix_ms());
    console_write(&metrics, out);
    return MHD_HTTP_OK;
}

static unsigned show_health(struct server *server, struct text *out) {
    (void)server;
    text_add(out, BYTES("ok\n"));
    return MHD_HTTP_OK;
}

static unsigned show_readiness(struct server *server, struct text *out) {
    uint32_t gates = atomic_load_explicit(&server->gates, memory_order_relaxed);
    if ((gates & GATE_STOPPING) ||
        atomic_load_explicit(&server->is_stopping, memory_order_relaxed)) {
        text_add(out, BYTES("stopping\n"));
    } else if (gates & GATE_LOADING) {
        text_add(out, BYTES("loading\n"));
    } else {
        text_add(out, BYTES("ready\n"));
        return MHD_HTTP_OK;
    }
    return MHD_HTTP_SERVICE_UNAVAILABLE;
}

static const char plain[] = "text/plain; charset=utf-8";

static const struct route {
    const char *path, *content_type;
    unsigned (*show)(struct server *server, struct text *out);
} routes[] = {
    {"/", "text/html; charset=utf-8", show_console},
    {"/console.json", "application/json", show_console_numbers},
    {"/metrics", PROMETHEUS_CONTENT_TYPE, show_metrics},
    {"/healthz", plain, show_health},
    {"/readyz", plain, show_readiness},
};

static const struct route *find_route(const char *path) {
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        if (strcmp(path, routes[i].path) == 0) return &routes[i];
    }
    return NULL;
}

/* ---- Requests -------------------------------------------------------------------------------- */

static bool is_number_or_localhost(const char *host) {
    if (host[0] == '[') return true; /* an IPv6 address: names have no brackets */
    char name[INET_ADDRSTRLEN];
    size_t size = strcspn(host, ":");
    if (size >= sizeof(name)) return false;
    memcpy(name, host, size);
    name[size] = '\0';
    struct in_addr address;
    return strcasecmp(name, "localhost") == 0 || inet_pton(AF_INET, name, &address) == 1;
}

static bool is_named_rightly(const struct http *http, struct MHD_Connection *connection) {
    if (!http->is_loopback) return true;
    const char *host =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
    return host == NULL || is_number_or_localhost(host);
}

static bool add_header(struct MHD_Response *response, const char *name, const char *value) {
    return MHD_add_response_header(response, name, value) == MHD_YES;
}

/* Takes the text. MHD_NO, for want of memory, closes the connection. */
static enum MHD_Result reply(const struct http *http, struct MHD_Connection *connection,
                             unsigned status, const char *content_type, struct text *body) {
    struct MHD_Response *response = NULL;
    if (!body->has_failed) {
        response =
            MHD_create_response_from_buffer_with_free_callback(body->size, body->data, memory_free);
    }
    if (response == NULL) {
        text_release(body);
        return MHD_NO;
    }
    bool has_headers = add_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type) &&
                       add_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store") &&
                       add_header(response, "X-Content-Type-Options", "nosniff") &&
                       add_header(response, "Referrer-Policy", "no-referrer") &&
                       add_header(response, "Content-Security-Policy", http->policy);
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        has_headers = has_headers && add_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    enum MHD_Result result =
        has_headers ? MHD_queue_response(connection, status, response) : MHD_NO;
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result refuse(const struct http *http, struct MHD_Connection *connection,
                              unsigned status, const char *why) {
    struct text body = {0};
    text_add(&body, bytes_of_text(why));
    return reply(http, connection, status, plain, &body);
}

/* A request's head is here. It is called again for one that is let pass then, with `*state` as it left it; what is
 * refused at once is refused without its body. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
                                  const char *path, const char *method, const char *version,
                                  const char *upload, size_t *upload_size, void **state) {
    (void)version, (void)upload;
    struct http *http = context;
    if (*state == NULL) {
        if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
            return refuse(http, connection, MHD_HTTP_METHOD_NOT_ALLOWED,
                          "Only GET and HEAD are served\n");
        if (!is_named_rightly(http, connection))
            return refuse(http, connection, MHD_HTTP_FORBIDDEN,
                          "Ask for this by its address, or as localhost\n");
        *state = http;
        return MHD_YES;
    }
    if (*upload_size != 0) return MHD_NO; /* nothing we serve takes a body */
    const struct route *route = find_route(path);
    if (route == NULL)
        return refuse(http, connection, MHD_HTTP_NOT_FOUND, "There is no such page\n");
    struct text body = {0};
    unsigned status = route->show(http->server, &body);
    return reply(http, connection, status, route->content_type, &body);
}

/* ---- Callers --------------------------------------------------------------------------------- */

static int64_t now_ms(void) {
    return clock_monotonic_ns() / 1000000;
}

static void dismiss_late(struct http *http) {
    int64_t now = now_ms();
    for (struct caller *late; (late = callers_dismiss_late(&http->callers, now)) != NULL;) {
        shutdown(late->fd, SHUT_RDWR);
        log_warning_limited(
            "HTTP: closed a connection from %s, which finished no request in %d seconds",
            late->from, CALLER_MS_MAX / 1000);
    }
}

static void greet(struct http *http, int fd, void **caller) {
    char from[ADDRESS_TEXT_MAX];
    from[address_of_peer(fd, from)] = '\0';
    char *port = strrchr(from, ':');
    if (port != NULL) *port = '\0';
    dismiss_late(http);
    *caller = callers_add(&http->callers, fd, from, now_ms());
    struct caller *one = callers_dismiss_one(&http->callers);
    if (one == NULL) return;
    shutdown(one->fd, SHUT_RDWR);
    log_warning_limited("HTTP: closed a connection from %s, for all %d are taken", one->from,
                        CALLERS_MAX);
}

static void on_connection(void *context, struct MHD_Connection *connection, void **caller,
                          enum MHD_ConnectionNotificationCode code) {
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (*caller != NULL) caller_leave(*caller);
        *caller = NULL;
        return;
    }
    const union MHD_ConnectionInfo *about =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (about != NULL) greet(context, about->connect_fd, caller);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code) {
    (void)state;
    const union MHD_ConnectionInfo *about =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    if (code != MHD_REQUEST_TERMINATED_COMPLETED_OK) return;
    if (about != NULL && about->socket_context != NULL)
        caller_served(about->socket_context, now_ms());
    dismiss_late(context);
}

/* ---- Start and stop -------------------------------------------------------------------------- */

/* A listener's advice is about the clients' port: it goes. */
static enum status refuse_address(enum status status, char *why, char *error) {
    why[strcspn(why, "(")] = '\0';
    snprintf(error, HTTP_ERROR_MAX, "HTTP for metrics: %s(try --metrics-port or --metrics-bind)",
             why);
    return status;
}

static uint16_t port_of(const struct config *config) {
    return (uint16_t)config_number(&config->metrics_port);
}

enum status http_check(const struct config *config, char *error) {
    if (port_of(config) == 0) return STATUS_OK;
    char why[LISTENER_ERROR_MAX];
    enum status status = listener_check_tcp(config->metrics_bind, port_of(config), why);
    return status == STATUS_OK ? status : refuse_address(status, why, error);
}

static enum status listen_for(struct http *http, struct listener *listener, char *error) {
    const struct config *config = http->server->config;
    char why[LISTENER_ERROR_MAX];
    uint16_t port = port_of(config);
    enum status status = STATUS_OK;
    if (!inheritance_take_tcp(&http->server->inheritance, config->metrics_bind, port, listener))
        status = listener_open_tcp(listener, config->metrics_bind, port, BACKLOG, why);
    if (status != STATUS_OK) return refuse_address(status, why, error);
    memcpy(http->text, listener->text, sizeof(http->text));
    http->is_loopback =
        strncmp(http->text, "127.", 4) == 0 || strncmp(http->text, "[::1]:", 6) == 0;
    return STATUS_OK;
}

enum status http_start(struct server *server, struct http **out, char *error) {
    *out = NULL;
    if (config_number(&server->config->metrics_port) == 0) return STATUS_OK;
    struct http *http = memory_allocate_zeroed(sizeof(*http));
    if (http == NULL) {
        snprintf(error, HTTP_ERROR_MAX, "HTTP for metrics: out of memory");
        return STATUS_NO_MEMORY;
    }
    http->server = server;
    console_policy(http->policy);
    struct listener listener;
    enum status status = listen_for(http, &listener, error);
    if (status != STATUS_OK) goto no_listener;
    /* From here on the socket is the library's, which closes it. */
    http->daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_AUTO | MHD_USE_ITC, 0, NULL, NULL, on_request,
        http, MHD_OPTION_LISTEN_SOCKET, listener.fd, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)CALLERS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S_MAX,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)REQUEST_BYTES_MAX, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, http, MHD_OPTION_NOTIFY_COMPLETED, on_completed, http, MHD_OPTION_END);
    if (http->daemon == NULL) {
        snprintf(error, HTTP_ERROR_MAX, "HTTP for metrics: no thread or descriptors for %s",
                 http->text);
        status = STATUS_REFUSED;
        goto no_listener;
    }
    log_notice("Console: http://%s/ and metrics at /metrics", http->text);
    *out = http;
    return STATUS_OK;

no_listener:
    memory_free(http);
    return status;
}

int http_listener(const struct http *http) {
    if (http == NULL) return -1;
    const union MHD_DaemonInfo *about =
        MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_LISTEN_FD);
    return about != NULL ? about->listen_fd : -1;
}

/* The socket is only closed, not shut down as the library would: it may be a successor's, too. */
void http_stop(struct http *http) {
    if (http == NULL) return;
    int fd = MHD_quiesce_daemon(http->daemon);
    MHD_stop_daemon(http->daemon);
    if (fd >= 0) close(fd);
    memory_free(http);
}

#else

enum status http_check(const struct config *config, char *error) {
    if (config_number(&config->metrics_port) == 0) return STATUS_OK;
    snprintf(error, HTTP_ERROR_MAX,
             "HTTP for metrics: this sherd was built without libmicrohttpd (SHERD_METRICS); "
             "metrics-port must be 0");
    return STATUS_UNSUPPORTED;
}

enum status http_start(struct server *server, struct http **out, char *error) {
    *out = NULL;
    return http_check(server->config, error);
}

int http_listener(const struct http *http) {
    (void)http;
    return -1;
}

void http_stop(struct http *http) {
    (void)http;
}

#endif
