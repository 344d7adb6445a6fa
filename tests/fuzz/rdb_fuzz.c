/* Any bytes as the items of an RDB file: what is read ends within them; who has less of an item is told so, and asked
 * for no more than it takes; and what a key says can be written and read again.
 *
 * The first byte chooses where each item is cut; the rest are the items. Each look is at memory of just its
 * size, so that the address sanitizer sees a byte read too far. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "server/persistence/rdb_read.h"
#include "server/persistence/rdb_write.h"
#include "shards/base/check.h"
#include "tests/support/sink.h"

enum { DECODED_MAX = 1 << 20, WRITTEN_MAX = DECODED_MAX * 2 + 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* `size` bytes in memory of their own; the caller frees `data`. */
static struct bytes copy_of(const char *data, size_t size) {
    char *copy = malloc(size);
    check(copy != NULL || size == 0);
    if (size != 0) memcpy(copy, data, size);
    return bytes_of(copy, size);
}

static void free_copy(struct bytes copy) {
    free((char *)(uintptr_t)copy.data);
}

/* Whoever has only `size` bytes of an item of `whole` must wait for more, but for no more than there is. */
static void check_cut(const char *data, size_t size, uint64_t whole) {
    struct bytes copy = copy_of(data, size);
    struct rdb_item item;
    const char *error;
    check(rdb_read_item(copy, &item, &error) == RDB_INCOMPLETE && error == NULL);
    check(item.size > size && item.size <= whole);
    free_copy(copy);
}

/* ---- A key, once more ------------------------------------------------------------------------ */

/* False when it is damaged. */
static bool decode(const struct rdb_string *string, char *out) {
    return string->size <= DECODED_MAX && rdb_string_decode(string, out);
}

static void check_reads_back(const struct rdb_item *item, struct bytes key, struct bytes value,
                             bool compresses) {
    static char data[WRITTEN_MAX], again[DECODED_MAX];
    struct sink written = {.data = data, .capacity = sizeof data};
    struct rdb_writer_options options = {
        .write = sink_write, .context = &written, .compresses = compresses};
    struct rdb_writer writer;
    struct rdb_item other;
    const char *error;
    check(rdb_writer_init(&writer, &options) == STATUS_OK);
    rdb_write_key(&writer, key, value, item->deadline_ms);
    check(rdb_write_end(&writer) == STATUS_OK);
    rdb_writer_release(&writer);
    check(rdb_read_item(bytes_of(written.data, written.size), &other, &error) == RDB_WHOLE);
    check(other.kind == RDB_ITEM_KEY && other.deadline_ms == item->deadline_ms);
    check(decode(&other.key, again) && bytes_equal(bytes_of(again, other.key.size), key));
    check(decode(&other.value, again) && bytes_equal(bytes_of(again, other.value.size), value));
}

static void look_at_key(const struct rdb_item *item, bool compresses) {
    static char key[DECODED_MAX], value[DECODED_MAX];
    if (!decode(&item->key, key) || !decode(&item->value, value)) return;
    check_reads_back(item, bytes_of(key, item->key.size), bytes_of(value, item->value.size),
                     compresses);
}

/* Returns its size; 0 when it is not whole, or the last. */
static uint64_t look_at_item(struct bytes input, unsigned cut) {
    struct bytes copy = copy_of(input.data, input.size);
    struct rdb_item item;
    const char *error;
    enum rdb_outcome outcome = rdb_read_item(copy, &item, &error);
    check((outcome == RDB_INVALID) == (error != NULL));
    if (outcome == RDB_INCOMPLETE) check(item.size > input.size);
    if (outcome == RDB_WHOLE) {
        check(item.size > 0 && item.size <= input.size);
        check_cut(input.data, item.size * cut / 256, item.size);
        if (item.kind == RDB_ITEM_KEY) look_at_key(&item, cut % 2 != 0);
    }
    free_copy(copy);
    return outcome == RDB_WHOLE && item.kind != RDB_ITEM_END ? item.size : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    struct bytes rest = bytes_of(data + 1, size - 1);
    for (uint64_t taken = 1; taken != 0;) {
        taken = look_at_item(rest, data[0]);
        rest = bytes_of(rest.data + taken, rest.size - taken);
    }
    return 0;
}
