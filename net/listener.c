/* Listening sockets: opened whole or not at all.
 *
 * The reader of an error here is somebody whose server didn't start. So each says what could not be done,
 * where, the system's reason, and what to do about it: "Could not listen on 127.0.0.1:6379: Address
 * already in use (is another server running? try another port)".
 *
 * A Unix socket's file outlives a server that was killed, and `bind` refuses a path that exists. Removing
 * whatever is there (as Redis does) takes the path from a server that runs, or deletes a file somebody
 * mistyped. So only a socket file goes, and only when `connect` was refused, which is the kernel's word
 * that nobody listens. Two servers that start at the same instant on one stale file can still race; the
 * later one has the path, the other is seen by nobody.
 *
 * Whether an address is one of this machine's, and whether this user may have the port, only `bind` knows. So a check
 * binds for an instant, and doesn't listen: with SO_REUSEADDR that keeps nobody from binding or listening there. */
#include "listener.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "shards/base/path.h"

static_assert(LISTENER_PATH_MAX == sizeof(((struct sockaddr_un *)0)->sun_path), "the kernel's");

enum { KEEPALIVE_PROBES = 3 };

static const char *advice(int error, bool is_unix) {
    switch (error) {
    case EADDRINUSE:
        return is_unix ? " (is another server running? try another path)"
                       : " (is another server running? try another port)";
    case EACCES:
        return is_unix ? " (may this user write to the directory?)"
                       : " (ports below 1024 need a privilege; try another port)";
    case EADDRNOTAVAIL:
        return " (no interface of this machine has the address; try --bind)";
    case EAFNOSUPPORT:
        return " (this machine has no such addresses; try --bind)";
    case EEXIST:
        return " (it isn't a socket, so it was left alone; remove it, or try another path)";
    case ENOENT:
        return " (create the directory, or try another path)";
    case EMFILE:
    case ENFILE:
        return " (raise the limit of open files: ulimit -n)";
    default:
        return "";
    }
}

/* Give up for the reason in errno, which nothing may have changed since. */
static enum status refuse(struct listener *listener, bool is_unix, char *error) {
    int number = errno;
    snprintf(error, LISTENER_ERROR_MAX, "Could not listen on %s: %s%s", listener->text,
             strerror(number), advice(number, is_unix));
    if (listener->fd >= 0) close(listener->fd);
    if (listener->path[0] != '\0') unlink(listener->path);
    *listener = (struct listener){.fd = -1};
    return STATUS_REFUSED;
}

static int open_socket(int family) {
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static bool set_option(int fd, int level, int option, int value) {
    return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

/* On failure errno says why. */
static bool bind_to(int fd, const struct address *address) {
    /* A restart must not wait for the old connections' TIME_WAIT. */
    if (!set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1)) return false;
    /* "*" and "::*" side by side, as Redis binds them. */
    if (address->storage.ss_family == AF_INET6 && !set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)) {
        return false;
    }
    return bind(fd, (const struct sockaddr *)&address->storage, address->size) == 0;
}

static enum status find_address(struct listener *listener, struct address *address,
                                const char *host, uint16_t port, char *error) {
    *listener = (struct listener){.fd = -1};
    char reason[ADDRESS_TEXT_MAX];
    enum status status = address_parse(address, host, port, reason);
    if (status != STATUS_OK) {
        snprintf(error, LISTENER_ERROR_MAX, "Could not listen on %s (try --bind)", reason);
        return status;
    }
    address_write(address, listener->text);
    return STATUS_OK;
}

enum status listener_open_tcp(struct listener *listener, const char *host, uint16_t port,
                              int backlog, char *error) {
    struct address address;
    enum status status = find_address(listener, &address, host, port, error);
    if (status != STATUS_OK) return status;
    listener->fd = open_socket(address.storage.ss_family);
    if (listener->fd < 0 || !bind_to(listener->fd, &address) || listen(listener->fd, backlog) != 0)
        return refuse(listener, false, error);
    address_of_self(listener->fd, listener->text);
    return STATUS_OK;
}

enum status listener_check_tcp(const char *host, uint16_t port, char *error) {
    struct listener listener;
    struct address address;
    enum status status = find_address(&listener, &address, host, port, error);
    if (status != STATUS_OK) return status;
    listener.fd = open_socket(address.storage.ss_family);
    bool could_bind = listener.fd >= 0 && (bind_to(listener.fd, &address) || errno == EADDRINUSE);
    if (!could_bind) return refuse(&listener, false, error);
    listener_close(&listener);
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

/* Is there a socket's file, or none? On refusal errno says why. */
static bool is_socket_or_absent(const struct sockaddr_un *address, bool *is_there) {
    struct stat found;
    *is_there = lstat(address->sun_path, &found) == 0;
    if (!*is_there) return errno == ENOENT;
    if (S_ISSOCK(found.st_mode)) return true;
    errno = EEXIST;
    return false;
}

/* Make way for the socket's file. On refusal errno says why. */
static bool remove_stale(const struct sockaddr_un *address) {
    bool is_there;
    if (!is_socket_or_absent(address, &is_there)) return false;
    if (!is_there) return true;
    if (is_in_use(address)) {
        errno = EADDRINUSE;
        return false;
    }
    return unlink(address->sun_path) == 0;
}

/* Bind, permissions, listen; in this order, since nobody can connect before `listen`. On failure errno says why. */
static bool listen_at(struct listener *listener, const struct sockaddr_un *address,
                      mode_t permissions, int backlog) {
    const char *path = address->sun_path;
    if (bind(listener->fd, (const struct sockaddr *)address, sizeof *address) != 0) return false;
    memcpy(listener->path, path, strlen(path) + 1); /* from here on the file is ours to remove */
    if (permissions != 0 && chmod(path, permissions) != 0) return false;
    return listen(listener->fd, backlog) == 0;
}

static enum status find_path(struct listener *listener, struct sockaddr_un *address,
                             const char *path, char *error) {
    *listener = (struct listener){.fd = -1};
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    size_t size = strlen(path);
    if (size == 0 || size >= sizeof address->sun_path) {
        snprintf(error, LISTENER_ERROR_MAX,
                 "Could not listen on %.100s: a Unix socket's path has 1 to %d bytes", path,
                 LISTENER_PATH_MAX - 1);
        return STATUS_TOO_LONG;
    }
    memcpy(address->sun_path, path, size + 1);
    memcpy(listener->text, path, size + 1);
    return STATUS_OK;
}

enum status listener_open_unix(struct listener *listener, const char *path, mode_t permissions,
                               int backlog, char *error) {
    struct sockaddr_un address;
    enum status status = find_path(listener, &address, path, error);
    if (status != STATUS_OK) return status;
    if (!remove_stale(&address)) return refuse(listener, true, error);
    listener->fd = open_socket(AF_UNIX);
    if (listener->fd < 0 || !listen_at(listener, &address, permissions, backlog)) {
        return refuse(listener, true, error);
    }
    return STATUS_OK;
}

enum status listener_check_unix(const char *path, char *error) {
    struct listener listener;
    struct sockaddr_un address;
    enum status status = find_path(&listener, &address, path, error);
    if (status != STATUS_OK) return status;
    bool is_there;
    if (!is_socket_or_absent(&address, &is_there)) return refuse(&listener, true, error);
    errno = path_refuses_making(path);
    return errno == 0 ? STATUS_OK : refuse(&listener, true, error);
}

void listener_close(struct listener *listener) {
    if (listener->fd < 0) return;
    close(listener->fd);
    listener->fd = -1;
    if (listener->path[0] != '\0' && !listener->keeps_file) unlink(listener->path);
    listener->path[0] = '\0';
}

void listener_tune(int fd, int keepalive_s) {
    int family = AF_UNIX;
    socklen_t size = sizeof family;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size) != 0) return;
    if (family != AF_INET && family != AF_INET6) return;
    /* A refusal costs speed or a late close, never an answer: the connection is served all the same. */
    (void)set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (keepalive_s <= 0) return;
    int interval_s = keepalive_s / KEEPALIVE_PROBES;
    (void)set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    (void)set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, keepalive_s);
    (void)set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, interval_s > 0 ? interval_s : 1);
    (void)set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
}
