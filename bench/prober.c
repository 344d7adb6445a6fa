/* What is measured, and what isn't.
 *
 * A latency runs from just before a request is given to the kernel until the kernel has its reply, by the stamp
 * that it puts on arriving packets (SO_TIMESTAMPNS): when the prober comes round to look at it makes no
 * difference. So a prober that shares its processor with whatever disturbs, or loses it, doesn't pass that on as
 * the server's. (A Unix socket has no stamps: there, it is when we look.) Of replies that are read together the
 * stamp is the last's.
 *
 * Requests are due at fixed times, and go on being sent while the server stalls: a stall is felt by all requests
 * that fall into it (no "coordinated omission", Gil Tene).
 *
 * A round never waits for the server: it takes some microseconds, with a burst of replies some tens, and sleeps
 * until the next request is due. So if the next begins PROBER_GAP_US late, that is a gap: the prober had no
 * processor, which is not the server's doing. (Spinning instead of sleeping would use up its share of a busy
 * processor, and lose it for milliseconds.) What is due in a gap is not asked (asked late, it would come as a
 * burst), and what was asked in the round that became one is answered, but not counted: it may have lain on our
 * side. Both are told apart (`away_us`, `skipped`); whoever evaluates leaves out slices in which that was too
 * much of it. Nothing else is left out: what was under way when the gap began counts, stamped as it came. What
 * `tend` does in a round has to stay well below PROBER_GAP_US.
 *
 * That leaves out too much where server and prober compete for a processor and the server wins. Give each one of
 * its own, and compare how often it was away on both sides. */
#include "bench/prober.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "server/clock.h"

enum {
    RECEIVE_BYTES = 64 * 1024,
    REST_US = 50,                   /* between two looks at what is still to come */
    PATIENCE_US = 20 * 1000 * 1000, /* for the last reply of a slice */
};

static const int64_t UNCOUNTED = -1; /* in the place of when a request was sent */

static bool give_up(struct prober *prober, const char *why) {
    if (!prober->has_failed) fprintf(stderr, "sherd-bench: a probed connection: %s\n", why);
    prober->has_failed = true;
    return false;
}

/* ---- Requests -------------------------------------------------------------------------------- */

/* A request of a key, its name's place told; NULL: no memory. */
static char *build(const struct prober_options *options, enum request_kind kind, size_t *bytes,
                   size_t *key) {
    char name[KEYS_NAME_BYTES];
    keys_write_name(name, 0);
    size_t value_bytes = kind == REQUEST_SET ? options->value_bytes : 0;
    struct request request = {
        .kind = kind, .key = bytes_of(name, sizeof(name)), .value_bytes = value_bytes};
    char *text = malloc(REQUEST_HEAD_MAX + value_bytes + PROTOCOL_LINE_END.size);
    if (text == NULL) return NULL;
    *bytes = options->target->protocol->write_head(text, &request);
    *key = (size_t)((char *)memmem(text, *bytes, name, sizeof(name)) - text);
    if (kind != REQUEST_SET) return text;
    memset(text + *bytes, 'v', value_bytes);
    memcpy(text + *bytes + value_bytes, PROTOCOL_LINE_END.data, PROTOCOL_LINE_END.size);
    *bytes += value_bytes + PROTOCOL_LINE_END.size;
    return text;
}

static bool keep_unsent(struct prober *prober, struct probed *to, const char *bytes, size_t size) {
    if (to->unsent_bytes + size > to->unsent_max) {
        size_t grown_max = 2 * (to->unsent_bytes + size);
        char *grown = realloc(to->unsent, grown_max);
        if (grown == NULL) return give_up(prober, "no memory for what can't be sent");
        to->unsent = grown;
        to->unsent_max = grown_max;
    }
    memcpy(to->unsent + to->unsent_bytes, bytes, size);
    to->unsent_bytes += size;
    return true;
}

/* How many of the bytes the kernel took; 0 where the connection is broken, too. */
static size_t send_some(struct prober *prober, struct probed *to, const char *bytes, size_t size) {
    ssize_t sent = send(to->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) return (size_t)sent;
    if (errno != EAGAIN && errno != EINTR) give_up(prober, strerror(errno));
    return 0;
}

static void send_unsent(struct prober *prober, struct probed *to) {
    if (to->unsent_bytes == 0) return;
    size_t sent = send_some(prober, to, to->unsent, to->unsent_bytes);
    to->unsent_bytes -= sent;
    if (sent != 0) memmove(to->unsent, to->unsent + sent, to->unsent_bytes);
}

static void ask(struct prober *prober, struct probed *to, bool is_set, uint64_t key) {
    char *text = is_set ? prober->set : prober->get;
    size_t size = is_set ? prober->set_bytes : prober->get_bytes;
    keys_write_name(text + (is_set ? prober->set_key : prober->get_key), key);
    to->sent_us[(to->oldest + to->in_flight++) % PROBER_DEPTH_MAX] = clock_unix_us();
    size_t sent = to->unsent_bytes == 0 ? send_some(prober, to, text, size) : 0;
    if (sent < size) keep_unsent(prober, to, text + sent, size - sent);
}

/* ---- Replies --------------------------------------------------------------------------------- */

/* When the last of what a message holds had come; now, where there is no stamp. */
static int64_t stamp_us(struct msghdr *message) {
    for (struct cmsghdr *note = CMSG_FIRSTHDR(message); note != NULL;
         note = CMSG_NXTHDR(message, note)) {
        if (note->cmsg_level != SOL_SOCKET || note->cmsg_type != SCM_TIMESTAMPNS) continue;
        struct timespec time;
        memcpy(&time, CMSG_DATA(note), sizeof(time));
        return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
    }
    return clock_unix_us();
}

static void take_replies(struct prober *prober, struct probed *from, struct bytes bytes,
                         int64_t came_us, struct probing *probing) {
    enum reply_kind kind;
    while (reply_next(&from->replies, prober->options.target->protocol, &bytes, &kind)) {
        if (from->in_flight == 0) {
            give_up(prober, "a reply that nobody asked for");
            return;
        }
        int64_t sent_us = from->sent_us[from->oldest], took_us = came_us - sent_us;
        from->oldest = (from->oldest + 1) % PROBER_DEPTH_MAX;
        from->in_flight--;
        probing->errors += kind == REPLY_ERROR;
        if (sent_us != UNCOUNTED)
            histogram_add(&probing->latencies, took_us > 0 ? (uint64_t)took_us * 1000 : 0, 1);
    }
}

static void receive(struct prober *prober, struct probed *from, struct probing *probing) {
    char bytes[RECEIVE_BYTES], notes[256];
    struct iovec where = {bytes, sizeof(bytes)};
    struct msghdr message = {
        .msg_iov = &where, .msg_iovlen = 1, .msg_control = notes, .msg_controllen = sizeof(notes)};
    ssize_t received = recvmsg(from->fd, &message, MSG_DONTWAIT);
    if (received > 0) {
        take_replies(prober, from, bytes_of(bytes, (size_t)received), stamp_us(&message), probing);
    } else if (received == 0) {
        give_up(prober, "the server closed it");
    } else if (errno != EAGAIN && errno != EINTR) {
        give_up(prober, strerror(errno));
    }
}

/* ---- A slice --------------------------------------------------------------------------------- */

static void ask_due(struct prober *prober, const struct probes *probes, uint64_t due,
                    struct probing *probing) {
    for (; probing->due < due; probing->due++) {
        uint64_t key = probes->is_in_turn
                           ? probing->next_key++
                           : probes->first + random_below(&prober->random, probes->count);
        struct probed *to =
            &prober->connections[prober->next_connection++ % prober->options.connections];
        if (to->in_flight == PROBER_DEPTH_MAX) {
            probing->overruns++;
            continue;
        }
        ask(prober, to, probes->is_set, key);
        probing->asked++;
    }
}

/* What was sent since then is not counted. */
static void discount(struct prober *prober, int64_t since_us, struct probing *probing) {
    for (uint32_t i = 0; i < prober->options.connections; i++) {
        struct probed *connection = &prober->connections[i];
        for (uint32_t left = connection->in_flight; left > 0; left--) {
            int64_t *sent_us =
                &connection->sent_us[(connection->oldest + left - 1) % PROBER_DEPTH_MAX];
            if (*sent_us < since_us) break;
            *sent_us = UNCOUNTED;
            probing->skipped++;
        }
    }
}

/* True: some are not answered yet. */
static bool take_all(struct prober *prober, struct probing *probing) {
    bool has_more = false;
    for (uint32_t i = 0; i < prober->options.connections; i++) {
        struct probed *connection = &prober->connections[i];
        if (connection->in_flight == 0) continue;
        send_unsent(prober, connection);
        receive(prober, connection, probing);
        has_more |= connection->in_flight != 0;
    }
    return has_more;
}

/* When a request is due, since the slice began. */
static int64_t due_us(const struct prober *prober, uint64_t number) {
    return (int64_t)((double)number * 1e6 / prober->options.rate);
}

/* How many requests are due before then. */
static uint64_t due_by(const struct prober *prober, int64_t elapsed_us) {
    return (uint64_t)((double)elapsed_us * prober->options.rate / 1e6) + 1;
}

/* It is later than the round was to end: was the prober away? Then go on from here. */
static void note_gap(struct prober *prober, int64_t round_us, int64_t late_us, int64_t elapsed_us,
                     struct probing *probing) {
    if (late_us < PROBER_GAP_US) return;
    probing->away_us += late_us;
    discount(prober, round_us, probing);
    uint64_t due = due_by(prober, elapsed_us);
    probing->skipped += due - probing->due;
    probing->due = due;
}

bool prober_run(struct prober *prober, const struct probes *probes, int64_t slice_us,
                void (*tend)(void *context, int64_t elapsed_us), void *context,
                struct probing *probing) {
    *probing = (struct probing){.next_key = probes->first};
    int64_t begun_ns = clock_monotonic_ns(), elapsed_us = 0;
    for (bool has_more = true; has_more && !prober->has_failed;) {
        bool is_asking = elapsed_us < slice_us;
        int64_t round_us = clock_unix_us();
        /* First: what is asked in this round is not answered in it, and may still be discounted. */
        has_more = take_all(prober, probing) || is_asking;
        if (is_asking) ask_due(prober, probes, due_by(prober, elapsed_us), probing);
        if (tend != NULL) tend(context, elapsed_us);
        int64_t wake_us = is_asking ? due_us(prober, probing->due) : elapsed_us + REST_US;
        int64_t left_us = wake_us - (clock_monotonic_ns() - begun_ns) / 1000;
        if (left_us > 0) usleep((useconds_t)left_us);
        elapsed_us = (clock_monotonic_ns() - begun_ns) / 1000;
        if (elapsed_us > slice_us + PATIENCE_US) return give_up(prober, "no reply for 20 s");
        if (is_asking) note_gap(prober, round_us, elapsed_us - wake_us, elapsed_us, probing);
    }
    return !prober->has_failed;
}

/* ---- Lifetime -------------------------------------------------------------------------------- */

bool prober_open(struct prober *prober, const struct prober_options *options) {
    *prober = (struct prober){.options = *options};
    random_init(&prober->random, 1);
    prctl(PR_SET_TIMERSLACK, 1UL); /* the kernel's default is 50 us: as long as we sleep */
    prober->get = build(options, REQUEST_GET, &prober->get_bytes, &prober->get_key);
    prober->set = build(options, REQUEST_SET, &prober->set_bytes, &prober->set_key);
    prober->connections = calloc(options->connections, sizeof(*prober->connections));
    if (prober->get == NULL || prober->set == NULL || prober->connections == NULL)
        return give_up(prober, "no memory");
    for (uint32_t i = 0; i < options->connections; i++) {
        int fd = prober->connections[i].fd = target_connect(options->target), one = 1;
        if (fd < 0) return false;
        setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one)); /* Unix sockets have none */
    }
    return true;
}

void prober_close(struct prober *prober) {
    for (uint32_t i = 0; prober->connections != NULL && i < prober->options.connections; i++) {
        if (prober->connections[i].fd > 0) close(prober->connections[i].fd);
        free(prober->connections[i].unsent);
    }
    free(prober->connections);
    free(prober->get);
    free(prober->set);
}
