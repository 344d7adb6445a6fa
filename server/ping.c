#include "server/ping.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "server/clock.h"
#include "shards/base/number.h"

const struct ping_option ping_options[] = {
    {"--host", "HOST", "127.0.0.1", "Where the server listens"},
    {"--port", "NUMBER", "6379", "Its TCP port"},
    {"--unix", "PATH", NULL, "Its Unix socket, instead"},
    {"--timeout-ms", "NUMBER", "1000", "How long it may take to answer"},
    {"--ready", NULL, NULL,
     "A server that is still loading its snapshot, or can't save one, will not do"},
};
const size_t ping_option_count = sizeof ping_options / sizeof ping_options[0];

/* ---- Options --------------------------------------------------------------------------------- */

static enum status read_milliseconds(const char *text, int *out, char *error) {
    int64_t number;
    enum { TIMEOUT_MS_MAX = 3600 * 1000 };
    if (!number_read(bytes_of_text(text), &number) || number < 1 || number > TIMEOUT_MS_MAX) {
        snprintf(error, PING_TEXT_MAX, "--timeout-ms: '%.32s' is not a number from 1 to %d", text,
                 TIMEOUT_MS_MAX);
        return STATUS_REFUSED;
    }
    *out = (int)number;
    return STATUS_OK;
}

enum status ping_parse(struct ping *ping, int count, char *const *flags, char *error) {
    *ping = (struct ping){.host = "127.0.0.1", .port = "6379", .timeout_ms = 1000};
    for (int i = 0; i < count; i++) {
        if (strcmp(flags[i], "--ready") == 0) {
            ping->must_be_ready = true;
            continue;
        }
        const char *value = i + 1 < count ? flags[i + 1] : NULL;
        enum status status = STATUS_OK;
        if (value == NULL) {
            status = STATUS_REFUSED;
        } else if (strcmp(flags[i], "--host") == 0) {
            ping->host = value;
        } else if (strcmp(flags[i], "--port") == 0) {
            ping->port = value;
        } else if (strcmp(flags[i], "--unix") == 0) {
            ping->unix_path = value;
        } else if (strcmp(flags[i], "--timeout-ms") == 0) {
            if (read_milliseconds(value, &ping->timeout_ms, error) != STATUS_OK)
                return STATUS_REFUSED;
        } else {
            status = STATUS_REFUSED;
        }
        if (status != STATUS_OK) {
            snprintf(error, PING_TEXT_MAX,
                     "%.64s: --ping takes --host HOST, --port NUMBER, --unix PATH, --timeout-ms "
                     "NUMBER and --ready",
                     flags[i]);
            return status;
        }
        i++;
    }
    return STATUS_OK;
}

/* ---- The wire -------------------------------------------------------------------------------- */

/* Wait for the socket until the deadline. False: errno says why. */
static bool await(int fd, short events, int64_t deadline_ns) {
    int64_t left_ms = (deadline_ns - clock_monotonic_ns()) / 1000000;
    struct pollfd waiting = {.fd = fd, .events = events};
    int count = poll(&waiting, 1, left_ms > 0 ? (int)left_ms : 0);
    if (count == 0) errno = ETIMEDOUT;
    return count > 0;
}

static bool connect_until(int fd, const struct sockaddr *address, socklen_t size,
                          int64_t deadline_ns) {
    if (connect(fd, address, size) == 0) return true;
    /* A Unix socket whose queue is full says EAGAIN, and nothing would tell when it isn't any more. */
    if (errno != EINPROGRESS || !await(fd, POLLOUT, deadline_ns)) return false;
    int error = 0;
    socklen_t error_size = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_size) != 0) return false;
    errno = error;
    return error == 0;
}

/* A connected socket, or -1: errno says why. */
static int connect_unix(const char *path, int64_t deadline_ns) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    if (connect_until(fd, (struct sockaddr *)&address, sizeof address, deadline_ns)) return fd;
    int number = errno;
    close(fd);
    errno = number;
    return -1;
}

static int connect_tcp(const struct addrinfo *addresses, int64_t deadline_ns) {
    int number = EADDRNOTAVAIL;
    for (const struct addrinfo *one = addresses; one != NULL; one = one->ai_next) {
        int fd = socket(one->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect_until(fd, one->ai_addr, one->ai_addrlen, deadline_ns)) return fd;
        number = errno;
        if (fd >= 0) close(fd);
    }
    errno = number;
    return -1;
}

/* Send, and read a line without its end. False: errno says why. */
static bool converse(int fd, int64_t deadline_ns, char *line) {
    static const char request[] = "PING\r\n";
    if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) != sizeof request - 1) return false;
    for (size_t size = 0; size < PING_TEXT_MAX - 1;) {
        if (!await(fd, POLLIN, deadline_ns)) return false;
        ssize_t count = recv(fd, line + size, PING_TEXT_MAX - 1 - size, 0);
        if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (count == 0) errno = ECONNRESET;
        if (count <= 0) return false;
        size += (size_t)count;
        line[size] = '\0';
        char *end = memchr(line, '\r', size);
        if (end == NULL) continue;
        *end = '\0';
        return true;
    }
    errno = EPROTO;
    return false;
}

static const char *advice(const struct ping *ping, int number) {
    switch (number) {
    case ECONNREFUSED:
    case ENOENT:
        return " (does a server run there? see its options port, bind and unixsocket)";
    case EACCES:
        return " (may this user write to the socket? see the option unixsocketperm)";
    case ETIMEDOUT:
        return " (no answer within --timeout-ms)";
    case ECONNRESET:
    case EPIPE:
        return ping->unix_path != NULL ? " (did the server end just now?)"
                                       : " (is it a port for TLS? --ping speaks none: use --unix)";
    default:
        return "";
    }
}

static enum status fail(const struct ping *ping, int number, char *text) {
    char place[PING_TEXT_MAX / 2];
    if (ping->unix_path != NULL) {
        snprintf(place, sizeof place, "%s", ping->unix_path);
    } else {
        snprintf(place, sizeof place, "%s:%s", ping->host, ping->port);
    }
    snprintf(text, PING_TEXT_MAX, "%.96s: %.64s%s", place, strerror(number), advice(ping, number));
    return STATUS_FAILED;
}

static bool begins(const char *text, const char *word) {
    return strncmp(text, word, strlen(word)) == 0;
}

enum status ping_send(const struct ping *ping, char *text) {
    int fd = -1;
    int64_t budget_ns = (int64_t)ping->timeout_ms * 1000000, deadline_ns;
    if (ping->unix_path != NULL) {
        deadline_ns = clock_monotonic_ns() + budget_ns;
        fd = connect_unix(ping->unix_path, deadline_ns);
    } else {
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *addresses;
        int refusal = getaddrinfo(ping->host, ping->port, &hints, &addresses);
        if (refusal != 0) {
            snprintf(text, PING_TEXT_MAX, "%.64s:%.16s: %.64s (see --host and --port)", ping->host,
                     ping->port, gai_strerror(refusal));
            return STATUS_FAILED;
        }
        deadline_ns = clock_monotonic_ns() + budget_ns;
        fd = connect_tcp(addresses, deadline_ns);
        freeaddrinfo(addresses);
    }
    if (fd < 0) return fail(ping, errno, text);
    bool is_answered = converse(fd, deadline_ns, text);
    int number = errno;
    close(fd);
    if (!is_answered) return fail(ping, number, text);
    bool serves = begins(text, "+PONG") || begins(text, "-NOAUTH");
    bool lives = begins(text, "-LOADING") || begins(text, "-MISCONF");
    return serves || (lives && !ping->must_be_ready) ? STATUS_OK : STATUS_REFUSED;
}
