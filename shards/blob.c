#include "blob.h"

#include "base/check.h"
#include "base/memory.h"

static struct blob *blob_set(struct blob *blob, size_t size, size_t capacity) {
    blob->size = size;
    blob->capacity = capacity;
    return blob;
}

/* SIZE_MAX is what no allocator grants: a capacity that would wrap is refused like any other too large one. */
static size_t blob_bytes(size_t capacity) {
    return capacity > SIZE_MAX - sizeof(struct blob) ? SIZE_MAX : sizeof(struct blob) + capacity;
}

struct blob *blob_create(size_t size, size_t capacity) {
    check(size <= capacity);
    struct blob *blob = memory_allocate(blob_bytes(capacity));
    if (blob == NULL) return NULL;
    atomic_init(&blob->references, 1);
    return blob_set(blob, size, capacity);
}

struct blob *blob_retain(struct blob *blob) {
    /* Relaxed: whoever retains holds a reference, or the lock under which the entry holds one. */
    atomic_fetch_add_explicit(&blob->references, 1, memory_order_relaxed);
    return blob;
}

void blob_release(struct blob *blob) {
    /* Release: our reads of the data come before the free. Acquire: the freeing thread sees all others' releases. */
    uint32_t before = atomic_fetch_sub_explicit(&blob->references, 1, memory_order_acq_rel);
    check(before > 0);
    if (before == 1) memory_free(blob);
}

void blob_release_owner(void *blob) {
    blob_release(blob);
}

bool blob_is_unshared(const struct blob *blob) {
    /* Acquire: pairs with the release in `blob_release`; whoever read the data has finished. */
    return atomic_load_explicit(&blob->references, memory_order_acquire) == 1;
}

struct blob *blob_resize(struct blob *blob, size_t size, size_t capacity) {
    check(size <= capacity);
    check_debug(blob_is_unshared(blob));
    struct blob *resized = memory_resize(blob, blob_bytes(capacity));
    if (resized == NULL) return NULL;
    return blob_set(resized, size, capacity);
}
