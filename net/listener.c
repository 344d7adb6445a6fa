#include "listener.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static_assert(LISTENER_PATH_MAX == sizeof(((struct sockaddr_un *)0)->sun_path), "the kernel's");

enum { KEEPALIVE_PROBES = 3 };

static const char *advice(int error) {
    switch (error) {
    case EADDRINUSE:
        return "; another server listens there: stop it or choose another port";
    case EACCES:
        return "; choose a port from 1024 up, or a path that this user may write to";
    case EADDRNOTAVAIL:
        return "; no interface of this machine has that address";
    case EMFILE:
    case ENFILE:
        return "; raise the limit of open files (ulimit -n)";
    default:
        return "";
    }
}

/* Must be called before anything else changes errno. */
static enum status refuse(struct listener *listener, const char *what, char *error) {
    int number = errno;
    snprintf(error, LISTENER_ERROR_MAX, "%s: %s: %s%s", listener->text, what, strerror(number),
             advice(number));
    if (listener->fd >= 0) close(listener->fd);
    listener->fd = -1;
    return STATUS_REFUSED;
}

static int open_socket(int family) {
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

enum status listener_open_tcp(struct listener *listener, const char *host, uint16_t port,
                              int backlog, char *error) {
    *listener = (struct listener){.fd = -1};
    struct address address;
    char reason[ADDRESS_TEXT_MAX];
    enum status status = address_parse(&address, host, port, reason);
    if (status != STATUS_OK) {
        snprintf(error, LISTENER_ERROR_MAX, "cannot listen on %s", reason);
        return status;
    }
    address_write(&address, listener->text);
    int family = address.storage.ss_family;
    listener->fd = open_socket(family);
    if (listener->fd < 0) return refuse(listener, "socket", error);
    const int on = 1;
    /* A restart must not wait for the old connections' TIME_WAIT. */
    if (setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) {
        return refuse(listener, "SO_REUSEADDR", error);
    }
    /* "*" and "::*" side by side, as Redis binds them. */
    if (family == AF_INET6 &&
        setsockopt(listener->fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0) {
        return refuse(listener, "IPV6_V6ONLY", error);
    }
    if (bind(listener->fd, (const struct sockaddr *)&address.storage, address.size) != 0) {
        return refuse(listener, "bind", error);
    }
    if (listen(listener->fd, backlog) != 0) return refuse(listener, "listen", error);
    address_of_self(listener->fd, listener->text);
    return STATUS_OK;
}

/* Whether somebody listens on a socket file. Sets errno as connect does. */
static bool is_in_use(const struct sockaddr_un *address) {
    int fd = open_socket(AF_UNIX);
    if (fd < 0) return true;
    int connected = connect(fd, (const struct sockaddr *)address, sizeof *address);
    int number = errno;
    close(fd);
    errno = number;
    return connected == 0 || number != ECONNREFUSED;
}

/* Make way for the socket's file. On refusal errno says why. */
static bool remove_stale(const struct sockaddr_un *address) {
    struct stat found;
    if (lstat(address->sun_path, &found) != 0) return errno == ENOENT;
    if (!S_ISSOCK(found.st_mode)) {
        errno = EEXIST;
        return false;
    }
    if (is_in_use(address)) {
        errno = EADDRINUSE;
        return false;
    }
    return unlink(address->sun_path) == 0;
}

enum status listener_open_unix(struct listener *listener, const char *path, mode_t permissions,
                               int backlog, char *error) {
    *listener = (struct listener){.fd = -1};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = strlen(path);
    if (size == 0 || size >= sizeof address.sun_path) {
        snprintf(error, LISTENER_ERROR_MAX,
                 "%.100s: a Unix socket's path has 1 to %d bytes; choose another", path,
                 LISTENER_PATH_MAX - 1);
        return STATUS_TOO_LONG;
    }
    memcpy(address.sun_path, path, size + 1);
    memcpy(listener->text, path, size + 1);
    if (!remove_stale(&address)) return refuse(listener, "replace the file", error);
    listener->fd = open_socket(AF_UNIX);
    if (listener->fd < 0) return refuse(listener, "socket", error);
    if (bind(listener->fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        return refuse(listener, "bind", error);
    }
    memcpy(listener->path, path, size + 1);
    /* Permissions first: until `listen`, nobody can connect. */
    const char *failed = NULL;
    if (permissions != 0 && chmod(path, permissions) != 0) {
        failed = "chmod";
    } else if (listen(listener->fd, backlog) != 0) {
        failed = "listen";
    }
    if (failed == NULL) return STATUS_OK;
    enum status status = refuse(listener, failed, error);
    unlink(path);
    listener->path[0] = '\0';
    return status;
}

void listener_close(struct listener *listener) {
    if (listener->fd < 0) return;
    close(listener->fd);
    listener->fd = -1;
    if (listener->path[0] != '\0') unlink(listener->path);
    listener->path[0] = '\0';
}

static void set_option(int fd, int level, int option, int value) {
    /* A refusal costs speed or a late close, never an answer: the connection is served all the same. */
    (void)setsockopt(fd, level, option, &value, sizeof value);
}

void listener_tune(int fd, int keepalive_s) {
    int family = AF_UNIX;
    socklen_t size = sizeof family;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size) != 0) return;
    if (family != AF_INET && family != AF_INET6) return;
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (keepalive_s <= 0) return;
    int interval_s = keepalive_s / KEEPALIVE_PROBES;
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, keepalive_s);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, interval_s > 0 ? interval_s : 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
}
