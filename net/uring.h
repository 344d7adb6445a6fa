/* The kernel's side of the io_uring engine: a ring with the best features it grants, tried before it is used, and the
 * receive buffers that all of its connections share. Only ring.c uses it; nothing else knows liburing.
 *
 *     buffer ring (mapped, shared with the kernel)        area: buffer_count × buffer_bytes, mapped, untouched
 *     [ id ┆ id ┆ id ┆ … ]  ──kernel takes at head──▶     [ buffer 0 │ buffer 1 │ … ┆ not given yet … ]
 *       ▲ tail: all that a turn delivered,                  ▲ `received` slices point here until the next turn
 *       └ given back by one store at the next turn's start ─┘
 *
 * A buffer is the kernel's (in the ring or being filled), in `used`, or not given yet: the ring goes round all that it has,
 * so it gets no more than were needed at once so far. One thread only, which opened it. */
#pragma once

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>

#include "net/engine.h"

enum { URING_PATIENCE_S = 1 /* what should take microseconds has failed after it */ };

struct uring {
    struct io_uring ring;
    const char *flavour; /* what the kernel granted; NULL: no ring yet */
    struct io_uring_buf_ring *buffers;
    char *area;
    uint32_t buffer_count; /* immutable after opening, like the next */
    uint32_t buffer_bytes;
    uint32_t given_count; /* buffers that the kernel was ever given */
    bool has_run_out;     /* since uring_return_buffers */
    uint32_t used_count;
    uint16_t *used; /* buffers that were delivered since uring_return_buffers */
};

/* `options` as for engine_create. True: open, and `text` (ENGINE_TEXT_MAX) names what was granted. False: nothing is
 * held, and `text` says why, and what to do. */
bool uring_open(struct uring *uring, const struct engine_options *options, char *text);
/* Nothing may be in flight that somebody waits for. */
void uring_release(struct uring *uring);
/* Make `sqe` a multishot receive into the shared buffers. */
void uring_prepare_receive(struct io_uring_sqe *sqe, int fd);
/* A completion named this buffer: it is ours until all are given back. */
void uring_use_buffer(struct uring *uring, uint32_t id);
/* A receive ended because it found no buffer. */
void uring_run_out(struct uring *uring);
/* Give the kernel all buffers that are used, and as many new ones as it has, if it ran out. */
void uring_return_buffers(struct uring *uring);
static inline char *uring_buffer(const struct uring *uring, uint32_t id) {
    return uring->area + (size_t)id * uring->buffer_bytes;
}
/* Into `text` (ENGINE_TEXT_MAX): why the system refused a ring with the error `error` (an errno). */
void uring_write_refusal(char *text, int error);
