/* Socket addresses and their texts, as Redis writes them: "127.0.0.1:6379", "[::1]:6379", "/run/sherd.sock:0". */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "shards/base/status.h"

enum { ADDRESS_TEXT_MAX = 128 };

struct address {
    struct sockaddr_storage storage;
    socklen_t size;
};

/* Parse one numeric or named host of `bind` ("*" and "::*" are all IPv4 and all IPv6). A name is looked
 * up, which blocks. On failure `error` (ADDRESS_TEXT_MAX bytes) says why. */
must_use enum status address_parse(struct address *address, const char *host, uint16_t port,
                                   char *error);
/* Can't both be listened on? They have the same port, and the same host, or one of them all hosts of that kind. */
bool address_overlaps(const struct address *one, const struct address *other);
/* The text of an address, into at least ADDRESS_TEXT_MAX bytes; returns its length. */
size_t address_write(const struct address *address, char *text);
/* The same of a socket's peer or own end; "?:0" when it has none any more. The peer of a Unix socket has
 * no name: it is shown by the path that it connected to. */
size_t address_of_peer(int fd, char *text);
size_t address_of_self(int fd, char *text);
