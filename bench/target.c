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

static int connect_unix(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0) return fd;
    if (fd >= 0) close(fd);
    return -1;
}

static int connect_tcp(const char *host, long long port) {
    char service[16];
    snprintf(service, sizeof(service), "%lld", port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    if (getaddrinfo(host, service, &hints, &found) != 0) return -1;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;
    bool is_connected = fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) == 0 &&
                        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0;
    freeaddrinfo(found);
    if (is_connected) return fd;
    if (fd >= 0) close(fd);
    return -1;
}

int target_connect(const struct target *target) {
    int fd = target->unix_path != NULL ? connect_unix(target->unix_path)
                                       : connect_tcp(target->host, target->port);
    if (fd < 0) fprintf(stderr, "sherd-bench: can't connect: %s\n", strerror(errno));
    return fd;
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
    connection_init(connection, fd, pool, 0);
    if (engine_attach(engine, connection) == STATUS_OK) return true;
    fputs("sherd-bench: the engine takes no more connections\n", stderr);
    close(fd);
    return false;
}

void target_complain_ended(int error) {
    fprintf(stderr, "sherd-bench: the server closed a connection: %s\n", strerror(error));
}
