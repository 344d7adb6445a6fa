/* A large string on the heap, counted by reference, so that a reply can send from it after the lock is dropped.
 *
 * A value too large for a slot is a blob; its entry holds one reference, each reply that sends from it another. Who
 * holds the only reference and the shard's lock for writing may change it in place (APPEND, SETRANGE);
 * otherwise it is immutable, and a writer replaces it by a copy. Threads: retain and release from any; the
 * count is atomic. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"

struct blob {
    _Atomic uint32_t references;
    size_t size;
    size_t capacity; /* bytes `data` has room for */
    char data[];
};

/* One reference, `size` bytes of uninitialised data and room for `capacity` (at least `size`); NULL when refused. */
must_use struct blob *blob_create(size_t size, size_t capacity);
struct blob *blob_retain(struct blob *blob);
/* The last one frees. */
void blob_release(struct blob *blob);
/* Unless it is the last one: then false, and it still is the caller's. */
must_use bool blob_release_shared(struct blob *blob);
/* The same in the background: what is freed is freed in pieces (memory_free_in_pieces). */
void blob_release_in_pieces(struct blob *blob, void (*between)(void *context), void *context);
/* True when nobody else holds it; pairs with the release in `blob_release`. */
bool blob_is_unshared(const struct blob *blob);
/* Grow or shrink an unshared blob; may move it. On refusal NULL, and the old one is as it was. */
must_use struct blob *blob_resize(struct blob *blob, size_t size, size_t capacity);
