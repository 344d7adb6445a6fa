/* Each guest goes first, so its port of ours rests for a minute (TIME_WAIT). A host has 28,000 of them by
 * default, which is six seconds of 5,000 guests; on the loopback there are many hosts to come from, 127.0.0.2
 * and on. */
#include "bench/storm.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

static const char ping[] = "*1\r\n$4\r\nPING\r\n";

enum { HOSTS = 200, END_POLLS = 100, END_POLL_MS = 20 };

bool storm_init(struct storm *storm, const struct target *target) {
    *storm = (struct storm){0};
    storm->address_bytes = target_address(target, &storm->address);
    return storm->address_bytes != 0;
}

void storm_begin(struct storm *storm, double rate) {
    storm->rate = rate;
    storm->due = storm->came = storm->went = 0;
}

static bool is_loopback(const struct sockaddr_storage *address) {
    const struct sockaddr_in *in = (const struct sockaddr_in *)address;
    return address->ss_family == AF_INET && ntohl(in->sin_addr.s_addr) >> 24 == 127;
}

static void choose_host(const struct storm *storm, int fd) {
    if (!is_loopback(&storm->address)) return;
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl((127U << 24) + 2 + (uint32_t)(storm->visits % HOSTS));
    int one = 1;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    (void)!bind(fd, (struct sockaddr *)&from, sizeof(from)); /* or from wherever it likes */
}

/* A connected socket that has asked; -1. */
static int come(const struct storm *storm) {
    int fd = socket(storm->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -1;
    choose_host(storm, fd);
    bool is_connected =
        connect(fd, (const struct sockaddr *)&storm->address, storm->address_bytes) == 0 ||
        errno == EINPROGRESS;
    /* On the way to a loopback, or a listener with room, it is connected at once; else it doesn't count. */
    if (is_connected && send(fd, ping, sizeof(ping) - 1, MSG_NOSIGNAL) == (ssize_t)sizeof(ping) - 1)
        return fd;
    close(fd);
    return -1;
}

static void admit(struct storm *storm) {
    storm->came++;
    storm->visits++;
    int fd = storm->guest_count < STORM_GUESTS_MAX ? come(storm) : -1;
    if (fd < 0) {
        storm->failed++;
    } else {
        storm->guests[storm->guest_count++] = fd;
    }
}

static void see_off(struct storm *storm) {
    for (uint32_t i = 0; i < storm->guest_count;) {
        char reply[64];
        ssize_t size = recv(storm->guests[i], reply, sizeof(reply), MSG_DONTWAIT);
        if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
            i++;
            continue;
        }
        storm->failed += size <= 0 || reply[0] != '+';
        storm->went++;
        close(storm->guests[i]);
        storm->guests[i] = storm->guests[--storm->guest_count];
    }
}

void storm_tend(struct storm *storm, int64_t elapsed_us) {
    if (storm->rate == 0) return;
    storm->due = (uint64_t)((double)elapsed_us * storm->rate / 1e6);
    for (int i = 0; i < STORM_AT_ONCE_MAX && storm->came < storm->due; i++) {
        admit(storm);
    }
    see_off(storm);
}

void storm_end(struct storm *storm) {
    for (int i = 0; i < END_POLLS && storm->guest_count != 0; i++) {
        struct pollfd first = {.fd = storm->guests[0], .events = POLLIN};
        poll(&first, 1, END_POLL_MS);
        see_off(storm);
    }
    for (; storm->guest_count != 0; storm->failed++) {
        close(storm->guests[--storm->guest_count]);
    }
}
