/* The body of an entry, part by part: [deadline][key or pointer to it][value or pointer to it].
 *
 * Invariants:
 *   1. slabs_slot_bytes(entry_bytes(entry)) is what it needs of the slot it lies in, all or most of it. So a slot's size
 *      need not be stored, an entry is written in place only if it still needs a slot of this size, and a value that
 *      shrinks gives its memory back.
 *   2. A key of ENTRY_KEY_INLINE_MAX bytes or more is outside, any other inline.
 *   3. An entry never passes SLABS_OBJECT_MAX; a value that would make it do so is a blob.
 * Pointers in the body may be unaligned and are copied with memcpy. */
#include "entry.h"

#include "base/check.h"
#include "base/memory.h"

/* A key that lives outside of its entry, which owns it. */
struct long_key {
    size_t size;
    char data[];
};

enum {
    KIND_TYPE_MASK = 7,
    KIND_ENCODING_SHIFT = 3,
    KIND_HAS_EXPIRY = 32,
    POINTER_BYTES = sizeof(void *)
};
static_assert(SLABS_OBJECT_MAX <= UINT16_MAX, "the size of an inline value fits 16 bits");
static_assert(offsetof(struct entry, body) % _Alignof(int64_t) == 0, "the deadline is aligned");
static_assert(offsetof(struct entry, kind) == 4 && KIND_HAS_EXPIRY * 2 < UINT8_MAX,
              "no entry looks like a free slot, whose fifth byte is UINT8_MAX");

/* ---- Where the parts lie --------------------------------------------------------------------- */

static uint8_t kind_of(enum entry_type type, enum entry_encoding encoding, bool has_expiry) {
    return (uint8_t)(type | encoding << KIND_ENCODING_SHIFT | (has_expiry ? KIND_HAS_EXPIRY : 0));
}

static size_t expiry_bytes(bool has_expiry) {
    return has_expiry ? sizeof(int64_t) : 0;
}

static bool key_is_outside(const struct entry *entry) {
    return entry->key_size == ENTRY_KEY_INLINE_MAX;
}

/* Bytes a key takes in the body. */
static size_t key_bytes(size_t key_size) {
    return key_size >= ENTRY_KEY_INLINE_MAX ? POINTER_BYTES : key_size;
}

static bool value_is_blob(const struct entry *entry) {
    return entry_encoding(entry) == ENTRY_BLOB;
}

static size_t key_offset(const struct entry *entry) {
    return expiry_bytes(entry_has_expiry(entry));
}

static size_t value_offset(const struct entry *entry) {
    return key_offset(entry) + key_bytes(entry->key_size);
}

/* Inline here: an overwrite asks for it. */
inline size_t entry_bytes(const struct entry *entry) {
    size_t value = value_is_blob(entry) ? POINTER_BYTES : entry->value_size;
    return sizeof(struct entry) + value_offset(entry) + value;
}

static void *read_pointer(const struct entry *entry, size_t offset) {
    void *pointer;
    memcpy(&pointer, entry->body + offset, sizeof(pointer));
    return pointer;
}

static void write_pointer(struct entry *entry, size_t offset, const void *pointer) {
    memcpy(entry->body + offset, &pointer, sizeof(pointer));
}

/* Slices of nothing may have no address, which memcpy does not allow. */
static void write_bytes(char *to, struct bytes from) {
    if (from.size != 0) memmove(to, from.data, from.size);
}

/* ---- Creation -------------------------------------------------------------------------------- */

/* What has been allocated for an entry on its way; NULL where nothing is needed. */
struct parts {
    struct long_key *key;
    struct blob *blob;
    bool owns_blob; /* made here, not given by the caller */
};

static struct long_key *long_key_create(struct bytes key) {
    if (key.size > SIZE_MAX - sizeof(struct long_key)) return NULL;
    struct long_key *outside = memory_allocate(sizeof(*outside) + key.size);
    if (outside == NULL) return NULL;
    outside->size = key.size;
    write_bytes(outside->data, key);
    return outside;
}

static struct blob *blob_of(struct bytes value) {
    struct blob *blob = blob_create(value.size, value.size);
    if (blob != NULL) write_bytes(blob->data, value);
    return blob;
}

static bool fits_inline(const struct entry_content *content) {
    size_t before =
        sizeof(struct entry) + expiry_bytes(content->has_expiry) + key_bytes(content->key.size);
    return content->value.size <= SLABS_OBJECT_MAX - before;
}

static void parts_discard(struct parts *parts) {
    memory_free(parts->key);
    if (parts->owns_blob) blob_release(parts->blob);
}

static bool parts_create(struct parts *parts, const struct entry_content *content) {
    *parts = (struct parts){.blob = content->blob};
    if (content->key.size >= ENTRY_KEY_INLINE_MAX) {
        parts->key = long_key_create(content->key);
        if (parts->key == NULL) return false;
    }
    if (parts->blob == NULL && !fits_inline(content)) {
        parts->blob = blob_of(content->value);
        parts->owns_blob = parts->blob != NULL;
        if (parts->blob == NULL) {
            parts_discard(parts);
            return false;
        }
    }
    return true;
}

static void entry_fill(struct entry *entry, const struct entry_content *content,
                       const struct parts *parts) {
    enum entry_encoding encoding = parts->blob != NULL ? ENTRY_BLOB : content->encoding;
    atomic_init(&entry->access, 0);
    entry->kind = kind_of(content->type, encoding, content->has_expiry);
    if (content->has_expiry) *entry_deadline(entry) = ENTRY_NO_EXPIRY; /* not set yet */
    if (parts->key != NULL) {
        entry->key_size = ENTRY_KEY_INLINE_MAX;
        write_pointer(entry, key_offset(entry), parts->key);
    } else {
        entry->key_size = (uint8_t)content->key.size;
        write_bytes(entry->body + key_offset(entry), content->key);
    }
    if (parts->blob != NULL) {
        entry->value_size = 0;
        write_pointer(entry, value_offset(entry), parts->blob);
    } else {
        entry->value_size = (uint16_t)content->value.size;
        write_bytes(entry->body + value_offset(entry), content->value);
    }
}

uint32_t entry_create(struct slabs *slabs, const struct entry_content *content) {
    check_debug(content->encoding != ENTRY_BLOB || content->blob != NULL);
    struct parts parts;
    if (!parts_create(&parts, content)) return 0;
    size_t value = parts.blob != NULL ? POINTER_BYTES : content->value.size;
    size_t bytes = sizeof(struct entry) + expiry_bytes(content->has_expiry) +
                   key_bytes(content->key.size) + value;
    uint32_t reference = slabs_allocate(slabs, bytes);
    if (reference == 0) {
        parts_discard(&parts);
        return 0;
    }
    entry_fill(slabs_at(slabs, reference), content, &parts);
    slabs->outside_bytes += memory_usable(parts.key) + memory_usable(parts.blob);
    return reference;
}

void entry_destroy(struct slabs *slabs, uint32_t reference, struct blob **orphan) {
    struct entry *entry = slabs_at(slabs, reference);
    struct blob *blob = entry_blob(entry);
    slabs->outside_bytes -= entry_footprint_outside(entry);
    if (orphan != NULL) {
        *orphan = blob;
    } else if (blob != NULL) {
        blob_release(blob);
    }
    if (key_is_outside(entry)) memory_free(read_pointer(entry, key_offset(entry)));
    slabs_free(slabs, reference);
}

/* ---- What it holds --------------------------------------------------------------------------- */

struct bytes entry_key(const struct entry *entry) {
    size_t offset = key_offset(entry);
    if (!key_is_outside(entry)) return bytes_of(entry->body + offset, entry->key_size);
    const struct long_key *key = read_pointer(entry, offset);
    return bytes_of(key->data, key->size);
}

struct bytes entry_value(const struct entry *entry) {
    size_t offset = value_offset(entry);
    if (!value_is_blob(entry)) return bytes_of(entry->body + offset, entry->value_size);
    const struct blob *blob = read_pointer(entry, offset);
    return bytes_of(blob->data, blob->size);
}

struct blob *entry_blob(const struct entry *entry) {
    return value_is_blob(entry) ? read_pointer(entry, value_offset(entry)) : NULL;
}

/* ---- Change ---------------------------------------------------------------------------------- */

bool entry_overwrite(struct entry *entry, struct bytes value, enum entry_encoding encoding) {
    if (value_is_blob(entry) || encoding == ENTRY_BLOB) return false;
    size_t offset = value_offset(entry);
    size_t before = sizeof(struct entry) + offset;
    if (value.size > SLABS_OBJECT_MAX - before) return false;
    if (slabs_slot_bytes(before + value.size) != slabs_slot_bytes(entry_bytes(entry))) return false;
    write_bytes(entry->body + offset, value);
    entry->value_size = (uint16_t)value.size;
    entry->kind = kind_of(entry_type(entry), encoding, entry_has_expiry(entry));
    return true;
}

/* Key and value are copied as they lie in the body, pointers included. */
static uint32_t reshape_as_it_lies(struct slabs *slabs, const struct entry *from, bool has_expiry) {
    size_t rest = entry_bytes(from) - sizeof(struct entry) - key_offset(from);
    uint32_t reference =
        slabs_allocate(slabs, sizeof(struct entry) + expiry_bytes(has_expiry) + rest);
    if (reference == 0) return 0;
    struct entry *to = slabs_at(slabs, reference);
    to->kind = kind_of(entry_type(from), entry_encoding(from), has_expiry);
    to->key_size = from->key_size;
    to->value_size = from->value_size;
    if (has_expiry) *entry_deadline(to) = ENTRY_NO_EXPIRY;
    memcpy(to->body + key_offset(to), from->body + key_offset(from), rest);
    return reference;
}

/* An inline value that has no room left beside the deadline moves out into a blob. */
static uint32_t reshape_into_blob(struct slabs *slabs, const struct entry *from) {
    struct blob *blob = blob_of(entry_value(from));
    if (blob == NULL) return 0;
    size_t key = key_bytes(from->key_size);
    size_t bytes = sizeof(struct entry) + expiry_bytes(true) + key + POINTER_BYTES;
    uint32_t reference = slabs_allocate(slabs, bytes);
    if (reference == 0) {
        blob_release(blob);
        return 0;
    }
    struct entry *to = slabs_at(slabs, reference);
    to->kind = kind_of(entry_type(from), ENTRY_BLOB, true);
    to->key_size = from->key_size;
    to->value_size = 0;
    *entry_deadline(to) = ENTRY_NO_EXPIRY;
    memcpy(to->body + key_offset(to), from->body + key_offset(from), key);
    write_pointer(to, value_offset(to), blob);
    slabs->outside_bytes += memory_usable(blob);
    return reference;
}

uint32_t entry_reshape(struct slabs *slabs, uint32_t reference, bool has_expiry) {
    const struct entry *from = slabs_at(slabs, reference);
    size_t bytes = entry_bytes(from) - key_offset(from) + expiry_bytes(has_expiry);
    uint32_t to = bytes <= SLABS_OBJECT_MAX ? reshape_as_it_lies(slabs, from, has_expiry)
                                            : reshape_into_blob(slabs, from);
    if (to == 0) return 0;
    uint32_t access = atomic_load_explicit(&from->access, memory_order_relaxed);
    atomic_init(&((struct entry *)slabs_at(slabs, to))->access, access);
    return to;
}

uint32_t entry_move(struct slabs *slabs, uint32_t reference) {
    const struct entry *from = slabs_at(slabs, reference);
    size_t bytes = entry_bytes(from);
    uint32_t to = slabs_allocate(slabs, bytes);
    if (to != 0) memcpy(slabs_at(slabs, to), from, bytes);
    return to;
}

size_t entry_footprint_outside(const struct entry *entry) {
    size_t bytes = 0;
    if (key_is_outside(entry)) bytes += memory_usable(read_pointer(entry, key_offset(entry)));
    return bytes + memory_usable(entry_blob(entry));
}

size_t entry_footprint(const struct entry *entry) {
    return slabs_slot_bytes(entry_bytes(entry)) + entry_footprint_outside(entry);
}
