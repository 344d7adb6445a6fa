#include "blob.h"

#include "base/check.h"
#include "base/memory.h"

static struct blob *blob_set(struct blob *blob, size_t size, size_t capacity) {
    blob->size = size;
    blob->capacity = capacity;
    return blob;
}

/* The bytes of a blob; 0 for a capacity that no allocator grants, and that might wrap. */
static size_t blob_bytes(size_t capacity) {
    return capacity <= PTRDIFF_MAX - sizeof(struct blob) ? sizeof(struct blob) + capacity : 0;
}

struct blob *blob_create(size_t size, size_t capacity) {
    check(size <= capacity);
    size_t bytes = blob_bytes(capacity);
    struct blob *blob = bytes != 0 ? memory_allocate(bytes) : NULL;
    if (blob == NULL) return NULL;
    atomic_init(&blob->references, 1);
    return blob_set(blob, size, capacity);
}

struct blob *blob_retain(struct blob *blob) {
    /* Relaxed: whoever retains holds a reference, or the lock under which the entry holds one. */
    atomic_fetch_add_explicit(&blob->references, 1, memory_order_relaxed);
    return blob;
}

/* True: it was the last one, and the blob is the caller's to free. */
static bool release(struct blob *blob) {
    /* Release: our reads of the data come before the free. Acquire: the freeing thread sees all others' releases. */
    uint32_t before = atomic_fetch_sub_explicit(&blob->references, 1, memory_order_acq_rel);
    check(before > 0);
    return before == 1;
}

void blob_release(struct blob *blob) {
    if (release(blob)) memory_free(blob);
}

void blob_release_in_pieces(struct blob *blob, void (*between)(void *context), void *context) {
    if (release(blob)) memory_free_in_pieces(blob, between, context);
}

bool blob_release_shared(struct blob *blob) {
    /* Acquire: whoever finds itself the last sees all others' releases; the exchange: as in `release`. */
    uint32_t count = atomic_load_explicit(&blob->references, memory_order_acquire);
    while (count > 1) {
        if (atomic_compare_exchange_weak_explicit(&blob->references, &count, count - 1,
                                                  memory_order_acq_rel, memory_order_acquire))
            return true;
    }
    return false;
}

bool blob_is_unshared(const struct blob *blob) {
    /* Acquire: pairs with the release in `blob_release`; whoever read the data has finished. */
    return atomic_load_explicit(&blob->references, memory_order_acquire) == 1;
}

struct blob *blob_resize(struct blob *blob, size_t size, size_t capacity) {
    check(size <= capacity);
    check_debug(blob_is_unshared(blob));
    size_t bytes = blob_bytes(capacity);
    struct blob *resized = bytes != 0 ? memory_resize(blob, bytes) : NULL;
    if (resized == NULL) return NULL;
    return blob_set(resized, size, capacity);
}
