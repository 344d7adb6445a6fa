/* A connection's output: replies queue here in order, in pooled chunks or as references, until the engine has sent them.
 *
 *      head ─▶ [chunk │ sent │ waiting … │ room] ─▶ [reference to a large value] ─▶ [chunk …] ◀─ tail
 *
 * Chunks come from the worker's pool, last in first out, so a busy worker writes the same few kilobytes over and over
 * while they are in its cache, and an idle connection holds none. Bytes that wait never move, so the engine may send
 * from them while more is appended behind. A value too large to copy is referenced instead, and released when sent.
 *
 * Bounded: past `bytes_max` (or when memory is refused) the buffer has failed, takes nothing more, and stays failed; the owner looks once, after the
 * replies are written, and closes. So writers of replies need no error path. One worker only. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#include "shards/base/bytes.h"
#include "shards/base/status.h"

enum { BUFFER_CHUNK_BYTES = 16 * 1024 };

struct buffer_segment;

/* Chunks at rest of one worker. One worker only. */
struct buffer_pool {
    struct buffer_segment *free;
    size_t free_count;
    size_t free_max; /* more than these go back to the allocator */
};

struct buffer {
    char *cursor;                /* where the next byte goes: inside the tail chunk; NULL without one */
    char *end;                   /* of the tail chunk */
    struct buffer_segment *head; /* the oldest that isn't sent whole */
    struct buffer_segment *tail;
    struct buffer_pool *pool;
    size_t closed_bytes;         /* waiting in segments before the tail chunk */
    size_t bytes_max;            /* the hard limit on waiting bytes; 0: none */
    bool has_failed;
};

void buffer_pool_init(struct buffer_pool *pool, size_t free_max);
void buffer_pool_release(struct buffer_pool *pool);

void buffer_init(struct buffer *buffer, struct buffer_pool *pool, size_t bytes_max);
/* Drops what waits. */
void buffer_release(struct buffer *buffer);

/* The slow path of buffer_reserve: begin a chunk with room for `size`; a scratch place that is thrown away once failed. */
char *buffer_reserve_slow(struct buffer *buffer, size_t size);
/* Room for `size` bytes in a row, at most BUFFER_RESERVE_MAX; never NULL. Write there, then commit where you stopped. */
enum { BUFFER_RESERVE_MAX = 4096 };
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
    if (__builtin_expect((size_t)(buffer->end - buffer->cursor) < bytes.size || bytes.size == 0, 0)) {
        buffer_append_slow(buffer, bytes);
        return;
    }
    memcpy(buffer->cursor, bytes.data, bytes.size);
    buffer->cursor += bytes.size;
}
/* Queue `bytes` without copying; `release(owner)` is called once they are sent or dropped, on the worker's thread. */
void buffer_append_reference(struct buffer *buffer, struct bytes bytes, void (*release)(void *owner), void *owner);

/* Bytes that wait to be sent. O(1). */
size_t buffer_waiting(const struct buffer *buffer);
static inline bool buffer_is_empty(const struct buffer *buffer) {
    return buffer->head == NULL;
}
/* The oldest waiting bytes as at most `count` slices; returns how many were filled. */
int buffer_gather(const struct buffer *buffer, struct iovec *slices, int count);
/* The first `size` waiting bytes were sent: release what is done. */
void buffer_consume(struct buffer *buffer, size_t size);
/* Heap bytes it holds (chunks whole, references not). */
size_t buffer_footprint(const struct buffer *buffer);
void buffer_validate(const struct buffer *buffer);
