#include "bench/target.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct target target_default(void) {
    return (struct target){.host = "127.0.0.1", .port = 6379, .protocol_name = "resp"};
}

bool target_is_known(struct target *target) {
    target->protocol = protocol_named(target->protocol_name);
    return target->protocol != NULL;
}

static socklen_t address_of_unix(const char *path, struct sockaddr_storage *address) {
    struct sockaddr_un *un = (struct sockaddr_un *)address;
    *un = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(un->sun_path, sizeof(un->sun_path), "%s", path);
    return sizeof(*un);
}

socklen_t target_address(const struct target *target, struct sockaddr_storage *address) {
    if (target->unix_path != NULL) return address_of_unix(target->unix_path, address);
    char service[16];
    snprintf(service, sizeof(service), "%lld", target->port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int error = getaddrinfo(target->host, service, &hints, &found);
    if (error != 0) {
        fprintf(stderr, "sherd-bench: %s: %s\n", target->host, gai_strerror(error));
        return 0;
    }
    socklen_t size = found->ai_addrlen;
    memcpy(address, found->ai_addr, size);
    freeaddrinfo(found);
    return size;
}

static void complain_unreached(const struct target *target, int error) {
    char place[256];
    if (target->unix_path != NULL) {
        snprintf(place, sizeof(place), "%s", target->unix_path);
    } else {
        snprintf(place, sizeof(place), "%s:%lld", target->host, target->port);
    }
    fprintf(stderr, "sherd-bench: can't connect to %s: %s\n", place, strerror(error));
}

int target_connect(const struct target *target) {
    struct sockaddr_storage address;
    socklen_t size = target_address(target, &address);
    if (size == 0) return -1;
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, size) == 0) {
        if (address.ss_family != AF_UNIX)
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        return fd;
    }
    complain_unreached(target, errno);
    if (fd >= 0) close(fd);
    return -1;
}

struct engine *target_engine(const struct engine_events *events, void *context) {
    char text[ENGINE_TEXT_MAX];
    struct engine_options options = {.events = events,
                                     .context = context,
                                     .receive_buffer_count = 256,
                                     .receive_buffer_bytes = 16 * 1024};
    struct engine *engine = engine_create(ENGINE_AUTO, &options, text);
    if (engine == NULL) fprintf(stderr, "sherd-bench: %s\n", text);
    return engine;
}

bool target_attach(const struct target *target, struct engine *engine, struct buffer_pool *pool,
                   struct connection *connection) {
    int fd = target_connect(target);
    if (fd < 0) return false;
    fcntl(fd, F_SETFL, O_NONBLOCK); /* can't fail on a socket of ours */
    connection_init(connection, fd, pool);
    if (engine_attach(engine, connection) == STATUS_OK) return true;
    fputs("sherd-bench: the engine takes no more connections\n", stderr);
    close(fd);
    return false;
}

void target_complain_ended(int error) {
    fprintf(stderr, "sherd-bench: the server closed a connection: %s\n", strerror(error));
}
