#include "peer.h"

#include <sys/socket.h>
#include <unistd.h>

bool peer_is_friend(int fd, struct peer *peer) {
    struct ucred credentials;
    socklen_t size = sizeof credentials;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return false;
    *peer = (struct peer){.pid = credentials.pid, .user = credentials.uid};
    return credentials.uid == geteuid() || credentials.uid == 0;
}
