/* A connection's output: text in chunks, with references cut into it.
 *
 * Nearly every reply is a few bytes, so the road of a small reply is one comparison and one copy, inline
 * in the header; this file is what happens once in 16 KiB, once a large value, and once a send.
 *
 * A chunk is one allocation of BUFFER_CHUNK_BYTES. Text grows up from its front. A reference doesn't end
 * it: it is a *cut*, a note of what is to be sent between two bytes of the text, and cuts grow down from
 * the chunk's back:
 *
 *     chunk                     cut 0's at   cut 1's at        cursor        end
 *      │                            │            │               │            │
 *      ▼                            ▼            ▼               ▼            ▼
 *      [header│ text that was sent ▸ text │ text │ text waiting  │ … room …   │ cut 1 │ cut 0]
 *                                  ▲ sent
 *     on the wire:   text ─▸ cut 0's bytes ─▸ text ─▸ cut 1's bytes ─▸ text
 *
 * Why cuts: a pipeline of large values is "header, value, header, value"; with one list node a piece, each
 * header of 30 bytes would hold a chunk of its own, 100 replies 1.6 MiB. So 100 replies take 8 KiB of one
 * chunk, no allocation but the chunk's, and what was sent is freed by the chunk. 16 KiB hold about 400
 * small replies, stay within the first cache level, and are a size class of their own in jemalloc.
 *
 * The hard limit is looked at when text needs a new chunk or a reference is queued, never for what still
 * fits a chunk. So waiting bytes pass it by less than a chunk, and the fast path knows no limit.
 *
 * After a failure the cursor points into the pool's scratch place, and is set back whenever that is full:
 * writers go on without a branch, and nobody reads what they write.
 *
 * Invariants (buffer_validate):
 *   1. The tail is the last chunk; its text ends at the cursor. Of every other chunk, the end is in `text_end`. No tail: no
 *      chunk (cursor, end, counted are NULL), or failed.
 *   2. chunk text <= sent <= at of the first cut that isn't sent <= … <= end of text <= lowest cut.
 *   3. waiting = counted_bytes + (cursor - counted): the unsent text before `counted`, the unsent bytes of all cuts, and
 *      the text after it. `counted` catches up with the cursor when a chunk is left and when something was sent.
 *   4. A cut's bytes are never empty, and its release is called once: when its last byte was sent, or on drop.
 *   5. Nothing waits: no chunk is held (but for a place that was reserved and not committed). */
#include "buffer.h"

#include <assert.h>

#include "shards/base/check.h"
#include "shards/base/memory.h"

struct cut {
    const char *at;     /* sent before the text from here on */
    struct bytes bytes; /* of the reference; what wasn't sent */
    struct buffer_owner owner;
};

struct buffer_chunk {
    struct buffer_chunk *next; /* younger; in the pool: the one below */
    const char *sent;          /* text before it was sent */
    const char *text_end;      /* of every chunk but the tail, whose text ends at the cursor */
    uint32_t cut_count;
    uint32_t cut_sent; /* the first cuts, sent and released */
    char text[];
};
static_assert(sizeof(struct buffer_chunk) + BUFFER_RESERVE_MAX <= BUFFER_CHUNK_BYTES,
              "a new chunk has room for every reservation");
static_assert(BUFFER_CHUNK_BYTES % _Alignof(struct cut) == 0, "cuts are aligned from the back");

static struct cut *cut_at(struct buffer_chunk *chunk, uint32_t index) {
    void *back = (char *)chunk + BUFFER_CHUNK_BYTES;
    return (struct cut *)back - 1 - index;
}

static char *room_end(struct buffer_chunk *chunk) {
    return (char *)chunk + BUFFER_CHUNK_BYTES - chunk->cut_count * sizeof(struct cut);
}

static const char *text_end(const struct buffer *buffer, const struct buffer_chunk *chunk) {
    return chunk == buffer->tail ? buffer->cursor : chunk->text_end;
}

static void release(const struct buffer_owner *owner) {
    owner->release(owner->context, owner->subject);
}

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

/* ---- The pool -------------------------------------------------------------------------------- */

void buffer_pool_init(struct buffer_pool *pool, size_t free_max) {
    pool->free = NULL;
    pool->free_count = 0;
    pool->free_max = free_max;
    pool->allocations = 0;
}

static void free_chunk(struct buffer_chunk *chunk) {
    memory_account_clients(-(int64_t)memory_usable(chunk));
    memory_free(chunk);
}

void buffer_pool_release(struct buffer_pool *pool) {
    while (pool->free != NULL) {
        struct buffer_chunk *chunk = pool->free;
        pool->free = chunk->next;
        free_chunk(chunk);
    }
    pool->free_count = 0;
}

static struct buffer_chunk *pool_take(struct buffer_pool *pool) {
    struct buffer_chunk *chunk = pool->free;
    if (chunk != NULL) {
        pool->free = chunk->next;
        pool->free_count--;
    } else {
        chunk = memory_allocate(BUFFER_CHUNK_BYTES);
        if (chunk == NULL) return NULL;
        memory_account_clients((int64_t)memory_usable(chunk));
        pool->allocations++;
    }
    chunk->next = NULL;
    chunk->sent = chunk->text;
    chunk->text_end = chunk->text;
    chunk->cut_count = 0;
    chunk->cut_sent = 0;
    return chunk;
}

static void pool_give(struct buffer_pool *pool, struct buffer_chunk *chunk) {
    if (pool->free_count >= pool->free_max) {
        free_chunk(chunk);
        return;
    }
    chunk->next = pool->free;
    pool->free = chunk;
    pool->free_count++;
}

/* ---- Chunks of a buffer ---------------------------------------------------------------------- */

/* Text up to the cursor is counted. Not after a failure: there the cursor is in the scratch place. */
static void count_text(struct buffer *buffer) {
    if (buffer->has_failed) return;
    buffer->counted_bytes += (size_t)(buffer->cursor - buffer->counted);
    buffer->counted = buffer->cursor;
}

static void set_room(struct buffer *buffer, char *cursor, char *end) {
    buffer->cursor = cursor;
    buffer->counted = cursor;
    buffer->end = end;
}

static void close_tail(struct buffer *buffer) {
    count_text(buffer);
    if (buffer->tail != NULL) buffer->tail->text_end = buffer->cursor;
}

static void rewind_scratch(struct buffer *buffer) {
    char *scratch = buffer->pool->scratch;
    set_room(buffer, scratch, scratch + sizeof buffer->pool->scratch);
}

/* What waits stays: the engine may be sending from it just now. */
static void fail(struct buffer *buffer) {
    close_tail(buffer);
    buffer->tail = NULL;
    buffer->has_failed = true;
    rewind_scratch(buffer);
}

static bool is_at_limit(const struct buffer *buffer) {
    return buffer->bytes_max != 0 && buffer->chunk_count != 0 &&
           buffer_footprint(buffer) >= buffer->bytes_max;
}

/* False: the limit is reached or memory was refused, and the buffer has failed. */
static bool begin_chunk(struct buffer *buffer) {
    bool may_grow = !is_at_limit(buffer);
    struct buffer_chunk *chunk = may_grow ? pool_take(buffer->pool) : NULL;
    if (chunk == NULL) {
        buffer->lacks_memory = may_grow;
        fail(buffer);
        return false;
    }
    close_tail(buffer);
    if (buffer->tail != NULL) {
        buffer->tail->next = chunk;
    } else {
        buffer->head = chunk;
    }
    buffer->tail = chunk;
    buffer->chunk_count++;
    set_room(buffer, chunk->text, room_end(chunk));
    return true;
}

static void drop_head(struct buffer *buffer) {
    struct buffer_chunk *chunk = buffer->head;
    buffer->head = chunk->next;
    buffer->chunk_count--;
    if (chunk == buffer->tail) {
        buffer->tail = NULL;
        set_room(buffer, NULL, NULL);
    }
    pool_give(buffer->pool, chunk);
}

/* ---- Appending ------------------------------------------------------------------------------- */

void buffer_init(struct buffer *buffer, struct buffer_pool *pool, size_t bytes_max) {
    *buffer = (struct buffer){.pool = pool, .bytes_max = bytes_max};
}

char *buffer_reserve_slow(struct buffer *buffer, size_t size) {
    check(size <= BUFFER_RESERVE_MAX);
    if (buffer->has_failed) {
        rewind_scratch(buffer);
    } else {
        (void)begin_chunk(buffer); /* refused: the cursor is in the scratch place */
    }
    return buffer->cursor;
}

void buffer_append_slow(struct buffer *buffer, struct bytes bytes) {
    if (buffer->has_failed || bytes.size == 0) return;
    while (bytes.size > 0) {
        if (buffer->cursor == buffer->end && !begin_chunk(buffer)) return;
        size_t size = smaller(bytes.size, (size_t)(buffer->end - buffer->cursor));
        memcpy(buffer->cursor, bytes.data, size);
        buffer->cursor += size;
        bytes = bytes_of(bytes.data + size, bytes.size - size);
    }
}

/* The tail chunk has room for one more cut; false: the buffer has failed. */
static bool reserve_cut(struct buffer *buffer) {
    if (buffer->has_failed) return false;
    return (size_t)(buffer->end - buffer->cursor) >= sizeof(struct cut) || begin_chunk(buffer);
}

void buffer_append_reference(struct buffer *buffer, struct bytes bytes, struct buffer_owner owner) {
    if (bytes.size == 0 || !reserve_cut(buffer)) {
        release(&owner);
        return;
    }
    struct buffer_chunk *chunk = buffer->tail;
    *cut_at(chunk, chunk->cut_count) =
        (struct cut){.at = buffer->cursor, .bytes = bytes, .owner = owner};
    chunk->cut_count++;
    buffer->end = room_end(chunk);
    buffer->counted_bytes += bytes.size;
}

/* ---- Sending --------------------------------------------------------------------------------- */

struct gathering {
    struct iovec *slices;
    int filled;
    int count;
};

static void gather_slice(struct gathering *gathering, const char *data, size_t size) {
    if (size == 0 || gathering->filled == gathering->count) return;
    /* The system's slices are of writable bytes, also where it only reads. */
    gathering->slices[gathering->filled++] =
        (struct iovec){.iov_base = (void *)(uintptr_t)data, .iov_len = size};
}

static void gather_chunk(struct gathering *gathering, struct buffer_chunk *chunk, const char *end) {
    const char *text = chunk->sent;
    for (uint32_t i = chunk->cut_sent; i < chunk->cut_count; i++) {
        if (gathering->filled == gathering->count) return;
        const struct cut *cut = cut_at(chunk, i);
        gather_slice(gathering, text, (size_t)(cut->at - text));
        gather_slice(gathering, cut->bytes.data, cut->bytes.size);
        text = cut->at;
    }
    gather_slice(gathering, text, (size_t)(end - text));
}

int buffer_gather(const struct buffer *buffer, struct iovec *slices, int count) {
    struct gathering gathering = {.slices = slices, .count = count};
    struct buffer_chunk *chunk = buffer->head;
    for (; chunk != NULL && gathering.filled < count; chunk = chunk->next) {
        gather_chunk(&gathering, chunk, text_end(buffer, chunk));
    }
    return gathering.filled;
}

/* Consume at most `size` bytes of the chunk, whose text ends at `end`; returns how many are left over. */
static size_t consume_chunk(struct buffer_chunk *chunk, const char *end, size_t size) {
    for (;;) {
        bool has_cut = chunk->cut_sent < chunk->cut_count;
        struct cut *cut = has_cut ? cut_at(chunk, chunk->cut_sent) : NULL;
        const char *stop = has_cut ? cut->at : end;
        size_t text_size = smaller(size, (size_t)(stop - chunk->sent));
        chunk->sent += text_size;
        size -= text_size;
        if (!has_cut) return size;
        size_t cut_size = smaller(size, cut->bytes.size);
        cut->bytes = bytes_of(cut->bytes.data + cut_size, cut->bytes.size - cut_size);
        size -= cut_size;
        if (cut->bytes.size > 0) return size;
        chunk->cut_sent++;
        release(&cut->owner);
    }
}

static bool is_sent_whole(const struct buffer *buffer, const struct buffer_chunk *chunk) {
    return chunk->cut_sent == chunk->cut_count && chunk->sent == text_end(buffer, chunk);
}

void buffer_consume(struct buffer *buffer, size_t size) {
    check(size <= buffer_waiting(buffer));
    count_text(buffer);
    buffer->counted_bytes -= size;
    while (buffer->head != NULL) {
        size = consume_chunk(buffer->head, text_end(buffer, buffer->head), size);
        if (!is_sent_whole(buffer, buffer->head)) break;
        drop_head(buffer);
    }
}

void buffer_release(struct buffer *buffer) {
    while (buffer->head != NULL) {
        struct buffer_chunk *chunk = buffer->head;
        for (uint32_t i = chunk->cut_sent; i < chunk->cut_count; i++) {
            struct cut *cut = cut_at(chunk, i);
            release(&cut->owner);
        }
        drop_head(buffer);
    }
    buffer_init(buffer, buffer->pool, buffer->bytes_max);
}

/* ---- Looking --------------------------------------------------------------------------------- */

/* Bytes of the chunk that wait. */
static size_t validate_chunk(const struct buffer *buffer, struct buffer_chunk *chunk) {
    const char *text = chunk->sent;
    const char *end = text_end(buffer, chunk);
    size_t waiting = (size_t)(end - text);
    check(chunk->text <= text && text <= end && end <= room_end(chunk));
    check(chunk->cut_sent <= chunk->cut_count);
    for (uint32_t i = chunk->cut_sent; i < chunk->cut_count; i++) {
        const struct cut *cut = cut_at(chunk, i);
        check(text <= cut->at && cut->at <= end);
        check(cut->bytes.size > 0);
        waiting += cut->bytes.size;
        text = cut->at;
    }
    return waiting;
}

void buffer_validate(const struct buffer *buffer) {
    size_t waiting = 0;
    uint32_t chunks = 0;
    struct buffer_chunk *last = NULL;
    for (struct buffer_chunk *chunk = buffer->head; chunk != NULL; chunk = chunk->next) {
        waiting += validate_chunk(buffer, chunk);
        chunks++;
        last = chunk;
    }
    check(chunks == buffer->chunk_count);
    check(waiting == buffer_waiting(buffer));
    check(buffer->counted <= buffer->cursor && buffer->cursor <= buffer->end);
    if (buffer->has_failed) {
        check(buffer->tail == NULL);
    } else {
        check(buffer->tail == last);
        check(buffer->end == (last == NULL ? NULL : room_end(last)));
    }
}
