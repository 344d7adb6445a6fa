/* Who is at the other end of a Unix socket, by the kernel's word. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct peer {
    pid_t pid; /* 0: in a process namespace that we don't see */
    uid_t user;
};

/* Of our user, or root? */
bool peer_is_friend(int fd, struct peer *peer);
