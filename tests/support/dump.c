#include "tests/support/dump.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "server/persistence/rdb_format.h"

struct dump dump_read(const char *path) {
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    struct dump dump = {.size = (size_t)ftell(file)};
    rewind(file);
    dump.data = malloc(dump.size + 1);
    assert_non_null(dump.data);
    assert_int_equal(fread(dump.data, 1, dump.size, file), dump.size);
    fclose(file);
    return dump;
}

static void expect_checksum(const struct dump *dump, size_t at) {
    struct crc64 crc64;
    assert_int_equal(dump->size, at + RDB_CHECKSUM_BYTES);
    crc64_init(&crc64);
    assert_int_equal(crc64_update(&crc64, 0, bytes_of(dump->data, at)),
                     rdb_read_checksum(dump->data + at));
}

int dump_visit(const char *path, dump_visitor visit, void *context) {
    struct dump dump = dump_read(path);
    struct rdb_item item = {.kind = RDB_ITEM_HINT};
    const char *error;
    uint64_t database = UINT64_MAX;
    size_t at = RDB_MAGIC_BYTES;
    int version;
    assert_int_equal(rdb_read_head(bytes_of(dump.data, dump.size), &version), RDB_WHOLE);
    while (item.kind != RDB_ITEM_END) {
        struct bytes rest = bytes_of(dump.data + at, dump.size - at);
        assert_int_equal(rdb_read_item(rest, &item, &error), RDB_WHOLE);
        at += item.size;
        if (item.kind == RDB_ITEM_DATABASE) database = item.number;
        visit(context, &item, database);
    }
    expect_checksum(&dump, at);
    free(dump.data);
    return version;
}

bool dump_string_is(const struct rdb_string *string, struct bytes text) {
    char *decoded = malloc(string->size + 1);
    assert_non_null(decoded);
    assert_true(rdb_string_decode(string, decoded));
    bool is_it = bytes_equal(bytes_of(decoded, string->size), text);
    free(decoded);
    return is_it;
}

static enum status write_to_file(void *context, struct bytes bytes) {
    return fwrite(bytes.data, 1, bytes.size, context) == bytes.size ? STATUS_OK : STATUS_FAILED;
}

void dump_start(struct rdb_writer *writer, const char *path, bool compresses) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    struct rdb_writer_options options = {
        .write = write_to_file, .context = file, .compresses = compresses, .checksums = true};
    assert_int_equal(rdb_writer_init(writer, &options), STATUS_OK);
    rdb_write_head(writer);
}

void dump_finish(struct rdb_writer *writer) {
    assert_int_equal(rdb_write_end(writer), STATUS_OK);
    assert_int_equal(fclose(writer->options.context), 0);
    rdb_writer_release(writer);
}
