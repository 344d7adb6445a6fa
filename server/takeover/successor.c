#include "successor.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "message.h"
#include "peer.h"
#include "server/log.h"
#include "server/server.h"
#include "server/signals.h"

enum {
    WELCOME_MS =
        10 * 1000,       /* a predecessor that hands over to another keeps us waiting no longer */
    LOOK_MS = 100,       /* between two looks for a signal */
    NEXT_MS = 60 * 1000, /* between two of its messages: it may wait for a long command */
};

static enum status refuse(char *error, const char *path, const char *why) {
    snprintf(error, SUCCESSOR_ERROR_MAX, "--takeover: the server at %.107s %.500s", path, why);
    return STATUS_REFUSED;
}

static const char *advice(int error) {
    switch (error) {
    case ENOENT:
    case ECONNREFUSED:
        return " (does a server run with this takeover-socket? else start without --takeover)";
    case EACCES:
        return " (only the user that it runs as, and root, may take it over)";
    default:
        return "";
    }
}

static enum status connect_to(struct successor *successor, const char *path, char *error) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return refuse(error, path, "can't be: a Unix socket's path has 107 bytes at most");
    memcpy(address.sun_path, path, strlen(path) + 1);
    successor->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (successor->fd < 0 ||
        connect(successor->fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        int number = errno;
        snprintf(error, SUCCESSOR_ERROR_MAX, "--takeover: can't connect to %.107s: %s%s", path,
                 strerror(number), advice(number));
        return STATUS_REFUSED;
    }
    struct peer peer;
    if (peer_is_friend(successor->fd, &peer)) return STATUS_OK;
    return refuse(error, path, "runs as another user, whose keys we don't take");
}

/* The next message, which must be of this kind. */
static enum status await(struct successor *successor, enum message_kind kind, int64_t wait_ms,
                         struct message *message, int *passed_fd, const char *path, char *error) {
    struct pollfd waiting = {.fd = successor->fd, .events = POLLIN};
    for (int64_t waited_ms = 0; waited_ms < wait_ms && !signals_want_end(); waited_ms += LOOK_MS) {
        if (poll(&waiting, 1, LOOK_MS) > 0) break;
    }
    enum message_outcome outcome = message_receive(successor->fd, LOOK_MS, message, passed_fd);
    if (outcome == MESSAGE_CAME && message->kind == kind) return STATUS_OK;
    if (outcome == MESSAGE_CAME && message->kind == MESSAGE_REFUSED) {
        char why[MESSAGE_TEXT_MAX + 16];
        snprintf(why, sizeof why, "refuses: %s", message->text);
        return refuse(error, path, why);
    }
    return refuse(error, path, message_outcome_text(outcome));
}

static enum status inherit(struct successor *successor, struct server *server, uint64_t count,
                           const char *path, char *error) {
    for (uint64_t i = 0; i < count; i++) {
        struct message message;
        int fd;
        enum status status =
            await(successor, MESSAGE_LISTENER, NEXT_MS, &message, &fd, path, error);
        if (status != STATUS_OK) return status;
        if (fd < 0 || !inheritance_add(&server->inheritance, fd, message.text))
            return refuse(error, path, "gives a listening socket that is none");
    }
    return STATUS_OK;
}

enum status successor_begin(struct successor *successor, struct server *server, char *error) {
    const char *path = server->config->takeover_socket;
    if (path[0] == '\0') {
        snprintf(error, SUCCESSOR_ERROR_MAX,
                 "--takeover needs the option takeover-socket: the path at which the running "
                 "server waits for its successor");
        return STATUS_REFUSED;
    }
    enum status status = connect_to(successor, path, error);
    if (status != STATUS_OK) return status;
    struct message message = message_of(MESSAGE_HELLO);
    message.databases = server->shards.database_count;
    message_send(successor->fd, &message,
                 -1); /* where it fails there is a refusal to be read, perhaps */
    status = await(successor, MESSAGE_WELCOME, WELCOME_MS, &message, NULL, path, error);
    if (status != STATUS_OK) return status;
    successor->changes = message.changes;
    successor->saved_ms = message.saved_ms;
    log_notice("Taking over from sherd %s at %s", message.version, path);
    return inherit(successor, server, message.listeners, path, error);
}

enum status successor_load(struct successor *successor, struct server *server) {
    const char *path = server->config->takeover_socket;
    struct message message;
    char error[SUCCESSOR_ERROR_MAX];
    int fd;
    enum status status = await(successor, MESSAGE_DATA, NEXT_MS, &message, &fd, path, error);
    if (status == STATUS_OK && fd < 0) status = refuse(error, path, "gives no keys");
    if (status != STATUS_OK) {
        log_warning("%s", error);
        return STATUS_FAILED;
    }
    status = loader_take(server, fd);
    close(fd);
    if (status != STATUS_OK) return status;
    message = message_of(MESSAGE_LOADED);
    if (message_send(successor->fd, &message, -1)) return STATUS_OK;
    log_warning("--takeover: the server at %s hung up", path);
    return STATUS_FAILED;
}

enum status successor_take(struct successor *successor, struct server *server, char *error) {
    const char *path = server->config->takeover_socket;
    struct message message;
    enum status status = await(successor, MESSAGE_YOURS, NEXT_MS, &message, NULL, path, error);
    if (status != STATUS_OK) return status;
    message = message_of(MESSAGE_MINE);
    /* The one moment that decides: see predecessor.c. */
    if (!message_send(successor->fd, &message, -1))
        return refuse(error, path, "has given us up and goes on");
    saver_inherit(&server->saver, successor->changes, successor->saved_ms);
    return STATUS_OK;
}

void successor_release(struct successor *successor) {
    if (successor->fd >= 0) close(successor->fd);
    successor->fd = -1;
}
