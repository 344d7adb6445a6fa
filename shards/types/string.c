/* Strings in place where that is possible, replaced where it isn't.
 *
 * A short string is rewritten in its entry as long as its slot has room; a longer one that is appended to or patched
 * becomes a blob, which is changed in place while nobody else holds it (a reply may be sending from it) and copied
 * otherwise. A string that grows by appending gets half as much again, so n appends copy O(n) bytes in all. */
#include "string.h"

#include <math.h>
#include <string.h>

#include "shards/base/check.h"
#include "shards/base/memory.h"

enum { REWRITTEN_MAX = 1024 /* bytes; a longer string that grows or is patched becomes a blob */ };

const char *string_encoding_name(const struct entry *entry) {
    struct bytes value = entry_value(entry);
    int64_t number;
    if (entry_encoding(entry) == ENTRY_RAW) return "raw";
    if (value.size < NUMBER_TEXT_MAX && number_read(value, &number)) return "int";
    return value.size <= STRING_EMBEDDED_MAX ? "embstr" : "raw";
}

static struct bytes value_of(const struct place *place) {
    return place->entry != NULL ? entry_value(place->entry) : BYTES("");
}

static enum status put(struct place *place, const struct entry_content *content) {
    int64_t deadline_ms = place->entry != NULL ? entry_deadline_ms(place->entry) : ENTRY_NO_EXPIRY;
    struct entry_content whole = *content;
    whole.type = ENTRY_STRING;
    return place_put(place, &whole, deadline_ms);
}

/* A blob of `size` bytes that begins with the present value and is the entry's own: where it lies already,
 * if it can be. */
static enum status make_blob(struct place *place, uint64_t size, struct blob **made) {
    struct blob *present = place->entry != NULL ? entry_blob(place->entry) : NULL;
    if (present != NULL && blob_is_unshared(present) && present->capacity >= size) {
        present->size = size;
        *made = present;
        return STATUS_OK;
    }
    struct bytes before = value_of(place);
    uint64_t capacity = size + size / 2;
    if (!place_has_room(place, capacity)) capacity = place->value_max;
    struct blob *blob = blob_create(size, capacity);
    if (blob == NULL) return STATUS_NO_MEMORY;
    memcpy(blob->data, before.data, before.size);
    enum status status = put(place, &(struct entry_content){.blob = blob});
    if (status != STATUS_OK) {
        blob_release(blob);
        return status;
    }
    *made = blob;
    return STATUS_OK;
}

/* Make the value `size` bytes long, with `bytes` at `offset` and zero bytes in what is new before it. */
static enum status write_at(struct place *place, uint64_t size, uint64_t offset,
                            struct bytes bytes) {
    if (!place_has_room(place, size)) return STATUS_NO_ROOM;
    struct bytes before = value_of(place);
    if (size > REWRITTEN_MAX) {
        size_t old_size = before.size; /* `before` may die in make_blob */
        struct blob *blob;
        enum status status = make_blob(place, size, &blob);
        if (status != STATUS_OK) return status;
        if (offset > old_size) memset(blob->data + old_size, 0, offset - old_size);
        memcpy(blob->data + offset, bytes.data, bytes.size);
        return STATUS_OK;
    }
    char text[REWRITTEN_MAX];
    memcpy(text, before.data, before.size);
    if (offset > before.size) memset(text + before.size, 0, offset - before.size);
    memcpy(text + offset, bytes.data, bytes.size);
    return put(place,
               &(struct entry_content){.value = bytes_of(text, size), .encoding = ENTRY_RAW});
}

enum status string_append(struct place *place, struct bytes suffix, uint64_t size_max,
                          uint64_t *size) {
    uint64_t before = value_of(place).size;
    if (before + suffix.size > size_max) return STATUS_TOO_LONG;
    *size = before + suffix.size;
    if (place->entry == NULL) return put(place, &(struct entry_content){.value = suffix});
    /* Nothing to write, but a short one becomes "raw"; a longer one is already. */
    if (suffix.size == 0 && before > STRING_EMBEDDED_MAX) return STATUS_OK;
    return write_at(place, *size, before, suffix);
}

enum status string_set_range(struct place *place, uint64_t offset, struct bytes bytes,
                             uint64_t size_max, uint64_t *size) {
    uint64_t before = value_of(place).size;
    *size = before;
    if (bytes.size == 0) return STATUS_OK;
    if (offset > size_max || bytes.size > size_max - offset) return STATUS_TOO_LONG;
    uint64_t end = offset + bytes.size;
    *size = end > before ? end : before;
    return write_at(place, *size, offset, bytes);
}

enum status string_add(struct place *place, int64_t delta, int64_t *result) {
    int64_t number = 0;
    if (place->entry != NULL && !number_read(entry_value(place->entry), &number))
        return STATUS_NOT_NUMBER;
    if (__builtin_add_overflow(number, delta, result)) return STATUS_OVERFLOW;
    char text[NUMBER_TEXT_MAX];
    return put(place,
               &(struct entry_content){.value = bytes_of(text, number_write(*result, text))});
}

enum status string_add_fraction(struct place *place, long double delta, char *text, size_t *size) {
    long double number = 0;
    if (place->entry != NULL && !number_read_long_double(entry_value(place->entry), &number))
        return STATUS_NOT_NUMBER;
    number += delta;
    if (isnan(number) || isinf(number)) return STATUS_OVERFLOW;
    *size = number_write_long_double(number, text);
    return put(place, &(struct entry_content){.value = bytes_of(text, *size)});
}

struct bytes string_slice(struct bytes text, int64_t start, int64_t end) {
    int64_t size = (int64_t)text.size;
    if (start < 0) start += size;
    if (end < 0) end += size;
    if (start < 0) start = 0;
    if (end >= size) end = size - 1;
    if (start > end) return BYTES(""); /* also when either lies outside */
    return bytes_of(text.data + start, (size_t)(end - start + 1));
}
