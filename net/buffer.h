/* A connection's output: replies queue here in order, as text in pooled chunks and as references, until
 * they are sent.
 *
 *      head ─▶ [chunk │ sent │ waiting … reference … waiting] ─▶ [chunk │ waiting … │ room] ◀─ tail
 *
 * Chunks come from the worker's pool, last in first out, so a busy worker writes the same few kilobytes over and over
 * while they are in its cache, and an idle connection holds none. Bytes that wait never move, so the engine may send
 * from them while more is appended behind. A value too large to copy is referenced instead, and released when sent.
 *
 * Bounded: when `bytes_max` is reached and another chunk is needed, or when memory is refused, the buffer has
 * failed: it takes nothing more, and stays failed; what waited before can still be sent or dropped. The owner looks at `has_failed` once, after the replies are written, and closes. So
 * writers of replies need no error path. One worker only. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#include "shards/base/bytes.h"
#include "shards/base/status.h"

enum {
    BUFFER_CHUNK_BYTES = 16 * 1024, /* of one allocation, header and all */
    BUFFER_RESERVE_MAX = 4096,      /* the most that can be had in a row */
};

struct buffer_chunk;

/* Whose the bytes of a reference are, and how he gets them back. */
struct buffer_owner {
    void (*release)(void *context, void *subject);
    void *context, *subject;
};

/* Chunks at rest of one worker. One worker only. All chunks are told to memory_account_clients. */
struct buffer_pool {
    struct buffer_chunk *free;
    size_t free_count;
    size_t free_max;                  /* more than these go back to the allocator */
    uint64_t allocations;             /* chunks that came from the allocator, ever */
    char scratch[BUFFER_RESERVE_MAX]; /* where failed buffers write; never read */
};

struct buffer {
    char *cursor; /* where the next byte goes: inside the tail chunk; NULL without one */
    char *end;    /* of the room in the tail chunk */
    struct buffer_chunk *head; /* the oldest that isn't sent whole */
    struct buffer_chunk *tail;
    struct buffer_pool *pool;
    const char *counted;  /* text from here to the cursor isn't in `counted_bytes` yet */
    size_t counted_bytes; /* waiting: references, and text before `counted` */
    size_t
        bytes_max; /* so much heap it may take, to a chunk; 0: any. References are others' memory */
    uint32_t chunk_count; /* from head on */
    bool has_failed;
    bool lacks_memory; /* that is why; otherwise `bytes_max` was passed */
};

void buffer_pool_init(struct buffer_pool *pool, size_t free_max);
/* Frees the chunks at rest; all buffers that use the pool must have been released. */
void buffer_pool_release(struct buffer_pool *pool);

void buffer_init(struct buffer *buffer, struct buffer_pool *pool, size_t bytes_max);
/* Drops what waits, releasing its references; the buffer is as after buffer_init. Not while the kernel
 * sends from it: an engine does it at the right moment. */
void buffer_release(struct buffer *buffer);

/* The slow path of buffer_reserve: begin a chunk; the scratch place once failed. */
char *buffer_reserve_slow(struct buffer *buffer, size_t size);
/* Room for `size` bytes in a row, 1 to BUFFER_RESERVE_MAX; never NULL. Write there, then commit where you stopped,
 * before anything else is done with the buffer. Without a commit nothing was appended. */
static inline char *buffer_reserve(struct buffer *buffer, size_t size) {
    if (__builtin_expect((size_t)(buffer->end - buffer->cursor) >= size, 1)) return buffer->cursor;
    return buffer_reserve_slow(buffer, size);
}
static inline void buffer_commit(struct buffer *buffer, char *end) {
    buffer->cursor = end;
}
/* Copy any number of bytes. */
void buffer_append_slow(struct buffer *buffer, struct bytes bytes);
static inline void buffer_append(struct buffer *buffer, struct bytes bytes) {
    size_t room = (size_t)(buffer->end - buffer->cursor);
    if (__builtin_expect(room < bytes.size || bytes.size == 0, 0)) {
        buffer_append_slow(buffer, bytes);
        return;
    }
    memcpy(buffer->cursor, bytes.data, bytes.size);
    buffer->cursor += bytes.size;
}
/* Queue `bytes` without copying. The owner's `release` is called exactly once, on the worker's thread: when
 * they are sent, when they are dropped, or at once when nothing is queued (no bytes, or failed). It must
 * not touch this buffer. */
void buffer_append_reference(struct buffer *buffer, struct bytes bytes, struct buffer_owner owner);

/* Bytes that wait to be sent. O(1). */
static inline size_t buffer_waiting(const struct buffer *buffer) {
    if (buffer->has_failed) return buffer->counted_bytes;
    return buffer->counted_bytes + (size_t)(buffer->cursor - buffer->counted);
}
static inline bool buffer_is_empty(const struct buffer *buffer) {
    return buffer_waiting(buffer) == 0;
}
/* The oldest waiting bytes as at most `count` slices, none of them empty; returns how many were filled. They stay
 * where they are until they are consumed. */
int buffer_gather(const struct buffer *buffer, struct iovec *slices, int count);
/* The first `size` waiting bytes were sent: release what is done. When nothing waits any more, no chunk is held. */
void buffer_consume(struct buffer *buffer, size_t size);
/* Heap bytes it holds (chunks whole, references not). O(1). */
static inline size_t buffer_footprint(const struct buffer *buffer) {
    return (size_t)buffer->chunk_count * BUFFER_CHUNK_BYTES;
}
/* The invariants in buffer.c hold. O(chunks + references). */
void buffer_validate(const struct buffer *buffer);
