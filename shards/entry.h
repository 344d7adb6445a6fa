/* One key and its value in one slot of the shard's slabs.
 *
 *      0        4     5         6          8                                       size
 *      ├────────┼─────┼─────────┼──────────┼──────────────────┬─────────┬───────────┤
 *      │ access │kind │key size │value size│ deadline (8 B,   │   key   │   value   │
 *      │ 32 bit │8 bit│  8 bit  │  16 bit  │ if it has one)   │         │           │
 *      └────────┴─────┴─────────┴──────────┴──────────────────┴─────────┴───────────┘
 *
 * A 16-byte key with a 64-byte string takes 88 bytes: 8 over its content. What does not fit is held outside: a key of
 * ENTRY_KEY_INLINE_MAX bytes or more, and a value that would make the entry pass SLABS_OBJECT_MAX (a `blob`), leave a
 * pointer in their place. Integers are kept as their text: a GET copies it as it is, an INCR reads and writes at most
 * 20 digits, and one encoding less exists.
 *
 * Rules: everything is read under the shard's lock for reading at least and changed under it for writing, except
 * `access`, which readers change too and is therefore atomic. An entry is referenced from exactly one place (its
 * bucket), so it may move whenever its bucket is told. */
#pragma once

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/bytes.h"
#include "base/status.h"
#include "blob.h"
#include "slabs.h"

/* 3 bits: lists, sets, hashes, sorted sets and streams have room. */
enum entry_type { ENTRY_STRING = 0 };

/* How the value lies in the entry; 2 bits. */
enum entry_encoding {
    ENTRY_INLINE = 0, /* its bytes follow the key */
    ENTRY_RAW = 1,    /* the same, but shown as "raw": a string that APPEND or SETRANGE made */
    ENTRY_BLOB = 2,   /* a pointer to a struct blob follows the key */
};

enum {
    ENTRY_KEY_INLINE_MAX = 255, /* keys of this size and longer live outside */
    ENTRY_NO_EXPIRY = -1,
};

struct entry {
    /* Atomic, relaxed: the last use, in 256ths of a second; under *-lfu in 24 bits of seconds, with a count of uses in
     * the lower 8, under allkeys-adaptive in 28 bits of 16ths, with one in the lower 4 (eviction.h). */
    _Atomic uint32_t access;
    uint8_t kind;        /* type 0-2, encoding 3-4, has expiry 5 */
    uint8_t key_size;    /* ENTRY_KEY_INLINE_MAX: the key is outside */
    uint16_t value_size; /* of an inline value */
    char body[];
};
static_assert(sizeof(struct entry) == 8, "the header is a promise of eight bytes a key");

/* What to make an entry of. `value` is copied, unless `blob` is given, whose reference the entry then takes. */
struct entry_content {
    struct bytes key;
    struct bytes value;
    struct blob *blob;
    enum entry_type type;
    enum entry_encoding encoding; /* of an inline value: ENTRY_INLINE or ENTRY_RAW */
    bool has_expiry;
};

/* A new entry, in no table, its deadline not set yet. A value too large to be inline becomes a blob. Returns its reference, or 0
 * when memory is refused (then nothing was taken). Lock: write. */
must_use uint32_t entry_create(struct slabs *slabs, const struct entry_content *content);
/* Give back the slot and what it holds outside. A blob is released, or handed to `orphan` when that isn't
 * NULL, so that the caller can free a large one elsewhere. Lock: write. */
void entry_destroy(struct slabs *slabs, uint32_t reference, struct blob **orphan);

/* Lock: read. The key; valid until the lock is dropped. */
struct bytes entry_key(const struct entry *entry);
/* Lock: read. The whole value of a string, wherever it lies. */
struct bytes entry_value(const struct entry *entry);
/* Lock: read. The blob of ENTRY_BLOB, otherwise NULL. Not retained. */
struct blob *entry_blob(const struct entry *entry);
/* Lock: write. Write a string value in place, if the slot has room and the value stays of its kind (inline stays
 * inline); otherwise false and nothing is changed. */
bool entry_overwrite(struct entry *entry, struct bytes value, enum entry_encoding encoding);
/* The same entry with or without room for a deadline, in a new slot; what lies outside goes over to it.
 * The caller then gives the old slot back with `slabs_free`, not `entry_destroy`. Returns 0 when memory is
 * refused (then nothing changed). Lock: write. */
must_use uint32_t entry_reshape(struct slabs *slabs, uint32_t reference, bool has_expiry);
/* The same entry in a new slot; the rest as with `entry_reshape`, but a deadline goes along. */
must_use uint32_t entry_move(struct slabs *slabs, uint32_t reference);
/* Its own bytes, without what it holds outside. Lock: read. */
size_t entry_bytes(const struct entry *entry);
/* Bytes this entry costs: slot, outside key, blob; its share of the table not counted. Lock: read. */
size_t entry_footprint(const struct entry *entry);
/* The same without the slot: what lies on the heap. */
size_t entry_footprint_outside(const struct entry *entry);

static inline enum entry_type entry_type(const struct entry *entry) {
    return (enum entry_type)(entry->kind & 7);
}
static inline enum entry_encoding entry_encoding(const struct entry *entry) {
    return (enum entry_encoding)(entry->kind >> 3 & 3);
}
static inline bool entry_has_expiry(const struct entry *entry) {
    return (entry->kind & 32) != 0;
}
/* Unix time; only of an entry that has one. expiry.c's to change. */
static inline int64_t *entry_deadline(const struct entry *entry) {
    return (int64_t *)(uintptr_t)entry->body;
}
static inline int64_t entry_deadline_ms(const struct entry *entry) {
    return entry_has_expiry(entry) ? *entry_deadline(entry) : ENTRY_NO_EXPIRY;
}
/* Absent to every reader from its deadline on, whether or not it was removed yet. */
static inline bool entry_is_expired(const struct entry *entry, int64_t now_ms) {
    return entry_has_expiry(entry) && *entry_deadline(entry) <= now_ms;
}
/* Is `key` this entry's key? Inline, since every lookup ends here: keys of eight bytes and more are
 * compared by words, the last of which may overlap the one before; a call of memcmp would cost more than
 * the comparison. Lock: read. */
static inline bool entry_has_key(const struct entry *entry, struct bytes key) {
    if (__builtin_expect(key.size >= ENTRY_KEY_INLINE_MAX, 0))
        return bytes_equal(entry_key(entry), key);
    if (entry->key_size != key.size) return false;
    const char *own = entry->body + (entry_has_expiry(entry) ? sizeof(int64_t) : 0);
    if (key.size < sizeof(uint64_t)) return bytes_equal(bytes_of(own, key.size), key);
    uint64_t a, b;
    for (size_t i = 0; i < key.size - sizeof(a); i += sizeof(a)) {
        memcpy(&a, own + i, sizeof(a));
        memcpy(&b, key.data + i, sizeof(b));
        if (a != b) return false;
    }
    memcpy(&a, own + key.size - sizeof(a), sizeof(a));
    memcpy(&b, key.data + key.size - sizeof(b), sizeof(b));
    return a == b;
}
/* Note a use now: the upper 24 bits of `access` are seconds. A hot key's line is dirtied once a second.
 * Lock: read. */
static inline void entry_touch(struct entry *entry, int64_t now_ms) {
    uint32_t seconds = (uint32_t)(now_ms / 1000) & 0xffffff;
    uint32_t access = atomic_load_explicit(&entry->access, memory_order_relaxed);
    if (access >> 8 == seconds) return;
    atomic_store_explicit(&entry->access, seconds << 8 | (access & 0xff), memory_order_relaxed);
}
