#include "message.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/clock.h"

static_assert(sizeof(struct message) == MESSAGE_BYTES, "the layout is the same for all versions");

enum { PASSED_MAX = 4 /* descriptors that a stranger may send along; all are closed */ };

static const char magic[] = "sherd-to";
static_assert(sizeof(magic) - 1 == sizeof(((struct message *)0)->magic),
              "all of it, without its end");

struct message message_of(enum message_kind kind) {
    struct message message = {.format = MESSAGE_FORMAT, .kind = kind};
    memcpy(message.magic, magic, sizeof message.magic);
    snprintf(message.version, sizeof message.version, "%s", SHERD_VERSION);
    return message;
}

bool message_send(int fd, const struct message *message, int passed_fd) {
    struct iovec bytes = {.iov_base = (void *)(uintptr_t)message, .iov_len = sizeof *message};
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr head = {.msg_iov = &bytes, .msg_iovlen = 1};
    if (passed_fd >= 0) {
        head.msg_control = &control;
        head.msg_controllen = sizeof control;
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.header), &passed_fd, sizeof passed_fd);
    }
    return sendmsg(fd, &head, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof *message;
}

/* Keep the first descriptor that came, if one is wanted; close all others. */
static void take_passed(struct msghdr *head, int *passed_fd) {
    for (struct cmsghdr *control = CMSG_FIRSTHDR(head); control != NULL;
         control = CMSG_NXTHDR(head, control)) {
        if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS) continue;
        size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(control) + i * sizeof fd, sizeof fd);
            if (passed_fd != NULL && *passed_fd < 0) {
                *passed_fd = fd;
            } else {
                close(fd);
            }
        }
    }
}

/* More of the message, of which `size` bytes are here; 0 and less as recv has it. */
static ssize_t receive_more(int fd, struct message *message, size_t size, int *passed_fd) {
    struct iovec bytes = {.iov_base = (char *)message + size, .iov_len = sizeof *message - size};
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(PASSED_MAX * sizeof(int))];
    } control;
    struct msghdr head = {.msg_iov = &bytes,
                          .msg_iovlen = 1,
                          .msg_control = &control,
                          .msg_controllen = sizeof control};
    ssize_t got = recvmsg(fd, &head, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got >= 0) take_passed(&head, passed_fd);
    return got;
}

static enum message_outcome receive_whole(int fd, int64_t wait_ms, struct message *message,
                                          int *passed_fd) {
    int64_t end_ns = clock_monotonic_ns() + wait_ms * 1000000;
    for (size_t size = 0; size < sizeof *message;) {
        ssize_t got = receive_more(fd, message, size, passed_fd);
        if (got == 0) return MESSAGE_GONE;
        if (got > 0) {
            size += (size_t)got;
            continue;
        }
        if (errno == EINTR) continue;
        if (errno != EAGAIN) return MESSAGE_GONE;
        int64_t left_ms = (end_ns - clock_monotonic_ns()) / 1000000;
        if (left_ms <= 0) return MESSAGE_LATE;
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        poll(&waiting, 1, (int)left_ms);
    }
    return MESSAGE_CAME;
}

enum message_outcome message_receive(int fd, int64_t wait_ms, struct message *message,
                                     int *passed_fd) {
    if (passed_fd != NULL) *passed_fd = -1;
    enum message_outcome outcome = receive_whole(fd, wait_ms, message, passed_fd);
    if (outcome == MESSAGE_CAME) {
        message->version[sizeof message->version - 1] = '\0';
        message->text[sizeof message->text - 1] = '\0';
        bool is_ours = memcmp(message->magic, magic, sizeof message->magic) == 0;
        /* A refusal is understood whoever says it. */
        if (is_ours && (message->format == MESSAGE_FORMAT || message->kind == MESSAGE_REFUSED))
            return MESSAGE_CAME;
        outcome = MESSAGE_STRANGE;
    }
    if (passed_fd != NULL && *passed_fd >= 0) {
        close(*passed_fd);
        *passed_fd = -1;
    }
    return outcome;
}

const char *message_outcome_text(enum message_outcome outcome) {
    static const char *const texts[] = {
        [MESSAGE_CAME] = "said something unexpected",
        [MESSAGE_LATE] = "says nothing",
        [MESSAGE_GONE] = "hung up",
        [MESSAGE_STRANGE] = "speaks another protocol, or a version of it that isn't ours",
    };
    return texts[outcome];
}
