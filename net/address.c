#include "address.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

static_assert(sizeof(((struct sockaddr_un *)0)->sun_path) + sizeof(":0") <= ADDRESS_TEXT_MAX,
              "any Unix path fits a text");

static const char *expand_wildcard(const char *host) {
    if (strcmp(host, "*") == 0) return "0.0.0.0";
    if (strcmp(host, "::*") == 0) return "::";
    return host;
}

enum status address_parse(struct address *address, const char *host, uint16_t port, char *error) {
    char service[sizeof "65535"];
    snprintf(service, sizeof service, "%u", (unsigned)port);
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
    };
    struct addrinfo *found = NULL;
    int failure = getaddrinfo(expand_wildcard(host), service, &hints, &found);
    if (failure != 0) {
        snprintf(error, ADDRESS_TEXT_MAX, "%.48s: %s", host, gai_strerror(failure));
        return STATUS_REFUSED;
    }
    *address = (struct address){.size = found->ai_addrlen};
    memcpy(&address->storage, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return STATUS_OK;
}

static bool inet_overlaps(const struct sockaddr_in *one, const struct sockaddr_in *other) {
    return one->sin_port == other->sin_port && (one->sin_addr.s_addr == other->sin_addr.s_addr ||
                                                one->sin_addr.s_addr == htonl(INADDR_ANY) ||
                                                other->sin_addr.s_addr == htonl(INADDR_ANY));
}

static bool inet6_overlaps(const struct sockaddr_in6 *one, const struct sockaddr_in6 *other) {
    return one->sin6_port == other->sin6_port &&
           (IN6_ARE_ADDR_EQUAL(&one->sin6_addr, &other->sin6_addr) ||
            IN6_IS_ADDR_UNSPECIFIED(&one->sin6_addr) || IN6_IS_ADDR_UNSPECIFIED(&other->sin6_addr));
}

/* IPv6 sockets are IPv6 only: see listener.c. */
bool address_overlaps(const struct address *one, const struct address *other) {
    const struct sockaddr_storage *a = &one->storage, *b = &other->storage;
    if (a->ss_family != b->ss_family) return false;
    if (a->ss_family == AF_INET)
        return inet_overlaps((const struct sockaddr_in *)a, (const struct sockaddr_in *)b);
    return a->ss_family == AF_INET6 &&
           inet6_overlaps((const struct sockaddr_in6 *)a, (const struct sockaddr_in6 *)b);
}

static size_t write_unix(const struct address *address, char *text) {
    const struct sockaddr_un *local = (const struct sockaddr_un *)&address->storage;
    size_t size = address->size - offsetof(struct sockaddr_un, sun_path);
    size_t length = strnlen(local->sun_path, size);
    return (size_t)snprintf(text, ADDRESS_TEXT_MAX, "%.*s:0", (int)length, local->sun_path);
}

size_t address_write(const struct address *address, char *text) {
    char host[INET6_ADDRSTRLEN] = "?";
    int length;
    if (address->storage.ss_family == AF_INET) {
        const struct sockaddr_in *inet = (const struct sockaddr_in *)&address->storage;
        inet_ntop(AF_INET, &inet->sin_addr, host, sizeof host);
        length = snprintf(text, ADDRESS_TEXT_MAX, "%s:%u", host, ntohs(inet->sin_port));
    } else if (address->storage.ss_family == AF_INET6) {
        const struct sockaddr_in6 *inet = (const struct sockaddr_in6 *)&address->storage;
        inet_ntop(AF_INET6, &inet->sin6_addr, host, sizeof host);
        length = snprintf(text, ADDRESS_TEXT_MAX, "[%s]:%u", host, ntohs(inet->sin6_port));
    } else if (address->storage.ss_family == AF_UNIX &&
               address->size > offsetof(struct sockaddr_un, sun_path)) {
        return write_unix(address, text);
    } else {
        length = snprintf(text, ADDRESS_TEXT_MAX, "?:0");
    }
    return (size_t)length;
}

size_t address_of_self(int fd, char *text) {
    struct address address = {.size = sizeof address.storage};
    if (getsockname(fd, (struct sockaddr *)&address.storage, &address.size) != 0) {
        address.storage.ss_family = AF_UNSPEC;
    }
    return address_write(&address, text);
}

size_t address_of_peer(int fd, char *text) {
    struct address address = {.size = sizeof address.storage};
    if (getpeername(fd, (struct sockaddr *)&address.storage, &address.size) != 0) {
        address.storage.ss_family = AF_UNSPEC;
    }
    if (address.storage.ss_family == AF_UNIX) return address_of_self(fd, text);
    return address_write(&address, text);
}
