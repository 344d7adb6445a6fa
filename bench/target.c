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
    if (fd >= 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0) return fd;
    fprintf(stderr, "sherd-bench: can't connect: %s\n", strerror(errno));
    if (fd >= 0) close(fd);
    return -1;
}
