#include "peer.h"

#include <string.h>
#include <sys/socket.h>

#include "net/address.h"

bool peer_is_unix(int fd) {
    int domain = AF_UNSPEC;
    socklen_t size = sizeof(domain);
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
}

bool peer_is_local(int fd) {
    static const char *const starts[] = {"127.", "[::1]:", "[::ffff:127."};
    if (peer_is_unix(fd)) return true;
    char peer[ADDRESS_TEXT_MAX];
    address_of_peer(fd, peer);
    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        if (strncmp(peer, starts[i], strlen(starts[i])) == 0) return true;
    }
    return false;
}
