/* Opening a ring: the newest flavour first, then its buffers, then a self-test with a socket pair, for no feature bit
 * tells whether a multishot receive works.
 *
 * How many and how large: 50 clients on loopback, 16 requests deep, Linux 6.18, two cores shared with
 * others; the engine's CPU a request. With PING every choice of 64 to 1024 buffers of 4 to 16 KiB lies
 * between 384 and 423 ns, without an order: no difference. With SETs of 1 KiB, which fill them, 64 x 4 KiB
 * starve 12000 times in 200000 requests, 64 x 8 KiB 5000 times, 256 never; 1024 x 16 KiB are no faster
 * (602 ns; 550 for 256 x 8 KiB) and leave 14 MiB resident instead of 4. So 256 x 8 KiB.
 *
 * But a ring is a queue: it goes round all of its buffers, however few would do, and so touches them all (2 MiB a worker, a
 * quarter of the limit of a small cache). So it begins with BUFFERS_FIRST, and gets as many again whenever it ran out. */
#ifdef SHERD_URING

#include "uring.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shards/base/check.h"
#include "shards/base/memory.h"

enum {
    SUBMISSIONS = 256,   /* entries of the submission queue; more in a turn are submitted early */
    BUFFER_GROUP = 0,    /* the one buffer ring's number */
    BUFFERS_MAX = 32768, /* the kernel's limit */
    BUFFERS_FIRST = 32,
    PROBE_COMPLETIONS = 4, /* more than any kernel posts for the self-test */
};

/* ---- The ring: the best the kernel grants ---------------------------------------------------- */

struct flavour {
    unsigned flags;
    const char *text;
};

/* Best first. Deferred task run: completions are worked off when we wait, in one batch, and never
 * interrupt a command. */
static const struct flavour flavours[] = {
    {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL,
     "single issuer, deferred task run"},
    {IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL, "cooperative task run"},
    {0, "plain"},
};

static int open_ring(struct uring *uring, uint32_t completion_entries) {
    unsigned completions = completion_entries > 0 ? completion_entries : ENGINE_COMPLETIONS;
    unsigned submissions = completions < SUBMISSIONS ? completions : SUBMISSIONS;
    int result = -EINVAL;
    for (size_t i = 0; i < sizeof flavours / sizeof *flavours && result == -EINVAL; i++) {
        struct io_uring_params parameters = {.flags = flavours[i].flags | IORING_SETUP_CQSIZE,
                                             .cq_entries = completions};
        result = io_uring_queue_init_params(submissions, &uring->ring, &parameters);
        if (result == 0) uring->flavour = flavours[i].text;
    }
    if (result != 0) return result;
    io_uring_register_ring_fd(
        &uring->ring); /* saves a look-up a call; goes without where it is unknown */
    const unsigned needed = IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE;
    return (uring->ring.features & needed) == needed ? 0 : -EOPNOTSUPP;
}

/* ---- Buffers --------------------------------------------------------------------------------- */

void uring_prepare_receive(struct io_uring_sqe *sqe, int fd) {
    io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = BUFFER_GROUP;
}

void uring_use_buffer(struct uring *uring, uint32_t id) {
    check(uring->used_count < uring->buffer_count);
    uring->used[uring->used_count++] = (uint16_t)id;
}

void uring_run_out(struct uring *uring) {
    uring->has_run_out = true;
}

static void give_new(struct uring *uring, uint32_t count) {
    uint32_t left = uring->buffer_count - uring->given_count;
    if (count > left) count = left;
    for (uint32_t i = 0; i < count; i++) {
        uring_use_buffer(uring, uring->given_count++);
    }
}

void uring_return_buffers(struct uring *uring) {
    if (uring->has_run_out) give_new(uring, uring->given_count);
    uring->has_run_out = false;
    int mask = io_uring_buf_ring_mask(uring->buffer_count);
    for (uint32_t i = 0; i < uring->used_count; i++) {
        io_uring_buf_ring_add(uring->buffers, uring_buffer(uring, uring->used[i]),
                              uring->buffer_bytes, uring->used[i], mask, (int)i);
    }
    io_uring_buf_ring_advance(uring->buffers, (int)uring->used_count);
    uring->used_count = 0;
}

static void *map(size_t bytes) {
    void *mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return mapped == MAP_FAILED ? NULL : mapped;
}

static size_t buffer_ring_bytes(const struct uring *uring) {
    return uring->buffer_count * sizeof(struct io_uring_buf);
}

static size_t area_bytes(const struct uring *uring) {
    return (size_t)uring->buffer_count * uring->buffer_bytes;
}

static int open_buffers(struct uring *uring) {
    uring->buffers = map(buffer_ring_bytes(uring));
    uring->area = map(area_bytes(uring));
    if (uring->buffers == NULL || uring->area == NULL) return -ENOMEM;
    struct io_uring_buf_reg registration = {.ring_addr = (uint64_t)(uintptr_t)uring->buffers,
                                            .ring_entries = uring->buffer_count,
                                            .bgid = BUFFER_GROUP};
    int result = io_uring_register_buf_ring(&uring->ring, &registration, 0);
    if (result != 0) return result == -EINVAL ? -EOPNOTSUPP : result;
    io_uring_buf_ring_init(uring->buffers);
    give_new(uring, BUFFERS_FIRST);
    uring_return_buffers(uring);
    return 0;
}

/* ---- The self-test --------------------------------------------------------------------------- */

static int await_probe(struct uring *uring) {
    bool has_received = false;
    for (int i = 0; i < PROBE_COMPLETIONS; i++) {
        struct __kernel_timespec timeout = {.tv_sec = URING_PATIENCE_S};
        struct io_uring_cqe *cqe;
        int result = io_uring_submit_and_wait_timeout(&uring->ring, &cqe, 1, &timeout, NULL);
        if (result < 0 && result != -EINTR) return result == -ETIME ? -EOPNOTSUPP : result;
        if (io_uring_cq_ready(&uring->ring) == 0) continue;
        uint32_t flags = cqe->flags;
        int size = cqe->res;
        io_uring_cqe_seen(&uring->ring, cqe);
        if (flags & IORING_CQE_F_BUFFER) {
            has_received = has_received || (size == 1 && (flags & IORING_CQE_F_MORE) != 0);
            uring_use_buffer(uring, flags >> IORING_CQE_BUFFER_SHIFT);
        }
        uring_return_buffers(uring);
        if ((flags & IORING_CQE_F_MORE) == 0) return has_received ? 0 : -EOPNOTSUPP;
    }
    return -EOPNOTSUPP;
}

/* Receive one byte and the end of a socket pair by multishot: what no feature bit tells. */
static int probe_multishot(struct uring *uring) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return -errno;
    int result = -EIO;
    struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);
    if (sqe != NULL && write(pair[1], "?", 1) == 1 && shutdown(pair[1], SHUT_WR) == 0) {
        uring_prepare_receive(sqe, pair[0]);
        result = await_probe(uring);
    }
    close(pair[0]);
    close(pair[1]);
    return result;
}

/* ---- Words for the log ----------------------------------------------------------------------- */

static int read_disabled_setting(void) {
    int setting = -1;
    FILE *file = fopen("/proc/sys/kernel/io_uring_disabled", "re");
    if (file == NULL) return setting;
    if (fscanf(file, "%d", &setting) != 1) setting = -1;
    fclose(file);
    return setting;
}

void uring_write_refusal(char *text, int error) {
    char error_text[64];
    const char *error_name = strerror_r(error, error_text, sizeof error_text);
    int setting = error == EPERM ? read_disabled_setting() : 0;
    const char *cause = "unexpected; please report it";
    if (error == EPERM && setting > 0) {
        snprintf(text, ENGINE_TEXT_MAX, "refused by the kernel: kernel.io_uring_disabled=%d",
                 setting);
        return;
    }
    if (error == EPERM)
        cause = "refused by a seccomp profile, as containers have; allow io_uring_* there";
    if (error == ENOMEM) cause = "out of memory, or of locked memory: raise ulimit -l";
    if (error == ENOSYS) cause = "kernel too old, or a seccomp profile hides it";
    if (error == EOPNOTSUPP) cause = "kernel too old: multishot receive needs Linux 6.0";
    if (error == EMFILE || error == ENFILE) cause = "too many open files: raise ulimit -n";
    snprintf(text, ENGINE_TEXT_MAX, "%s: %s", error_name, cause);
}

static void write_features(char *text, const struct uring *uring) {
    snprintf(text, ENGINE_TEXT_MAX,
             "io_uring: %s, multishot accept and receive, %u x %u KiB provided buffers",
             uring->flavour, (unsigned)uring->buffer_count, (unsigned)uring->buffer_bytes / 1024);
}

/* ---- Opening and releasing ------------------------------------------------------------------- */

static int open_all(struct uring *uring, uint32_t completion_entries) {
    uring->used = memory_allocate(uring->buffer_count * sizeof *uring->used);
    if (uring->used == NULL) return -ENOMEM;
    int result = open_ring(uring, completion_entries);
    if (result == 0) result = open_buffers(uring);
    if (result == 0) result = probe_multishot(uring);
    return result;
}

bool uring_open(struct uring *uring, const struct engine_options *options, char *text) {
    uint32_t count = options->receive_buffer_count;
    check(count > 0 && count <= BUFFERS_MAX && (count & (count - 1)) == 0);
    check(options->receive_buffer_bytes > 0);
    *uring = (struct uring){.buffer_count = count, .buffer_bytes = options->receive_buffer_bytes};
    int result = open_all(uring, options->completion_entries);
    if (result == 0) {
        write_features(text, uring);
        return true;
    }
    uring_write_refusal(text, -result);
    uring_release(uring);
    return false;
}

void uring_release(struct uring *uring) {
    if (uring->flavour != NULL) io_uring_queue_exit(&uring->ring);
    if (uring->area != NULL) munmap(uring->area, area_bytes(uring));
    if (uring->buffers != NULL) munmap(uring->buffers, buffer_ring_bytes(uring));
    memory_free(uring->used);
    *uring = (struct uring){0};
}

#endif
