/* The encoder and the decoder of RDB files against each other, and the decoder against torn and damaged bytes.
 * The input ends where memory does, so that a byte read past it stops the test. What Redis says to our files,
 * and we to its, is in rdb_judges_test.c. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "server/persistence/rdb_format.h"
#include "server/persistence/rdb_read.h"
#include "server/persistence/rdb_write.h"
#include "shards/base/memory.h"
#include "tests/support/foreign_items.h"
#include "tests/support/sink.h"

enum { FILE_MAX = 1024 * 1024, PAGE = 4096 };

/* ---- A file in memory, that ends at a guarded page ------------------------------------------- */

struct file {
    char *pages; /* FILE_MAX bytes, then one that may not be touched */
    char bytes[FILE_MAX];
    struct sink sink; /* writes to `bytes` */
};

static int make_file(void **state) {
    struct file *file = calloc(1, sizeof *file);
    assert_non_null(file);
    file->pages =
        mmap(NULL, FILE_MAX + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(file->pages != MAP_FAILED);
    assert_int_equal(mprotect(file->pages + FILE_MAX, PAGE, PROT_NONE), 0);
    file->sink = (struct sink){.data = file->bytes, .capacity = FILE_MAX};
    *state = file;
    return 0;
}

static int free_file(void **state) {
    struct file *file = *state;
    munmap(file->pages, FILE_MAX + PAGE);
    free(file);
    return 0;
}

/* These bytes, so that they end where memory does. */
static struct bytes guarded(struct file *file, const char *data, size_t size) {
    char *start = file->pages + FILE_MAX - size;
    if (size != 0) memcpy(start, data, size);
    return bytes_of(start, size);
}

/* ---- Keys of every kind ---------------------------------------------------------------------- */

#define RAW(text)                                                                                  \
    { text, sizeof(text) - 1 }

static char long_text[5000], noise[5000];

struct sample {
    uint32_t database;
    struct bytes key, value;
    int64_t deadline_ms;
};

static const struct sample samples[] = {
    {0, RAW("plain"), RAW("value"), RDB_NO_DEADLINE},
    {0, RAW(""), RAW(""), RDB_NO_DEADLINE},
    {0, RAW("12"), RAW("-128"), RDB_NO_DEADLINE},
    {0, RAW("int8"), RAW("127"), RDB_NO_DEADLINE},
    {0, RAW("int16"), RAW("128"), RDB_NO_DEADLINE},
    {0, RAW("-int16"), RAW("-32768"), RDB_NO_DEADLINE},
    {0, RAW("int32"), RAW("32768"), RDB_NO_DEADLINE},
    {0, RAW("-int32"), RAW("-2147483648"), RDB_NO_DEADLINE},
    {0, RAW("too large for 32 bits"), RAW("2147483648"), RDB_NO_DEADLINE},
    {0, RAW("no number"), RAW("007"), RDB_NO_DEADLINE},
    {0, RAW("compressed"), {long_text, sizeof long_text}, 1},
    {0, RAW("noise"), {noise, sizeof noise}, INT64_MAX},
    {3, RAW("14 bits"), {long_text, 64}, 1700000000123},
    {3, {long_text, 300}, {noise, 63}, RDB_NO_DEADLINE},
    {15, RAW("last"), RAW("\0\xff\r\n"), RDB_NO_DEADLINE},
};
enum { SAMPLES = sizeof samples / sizeof *samples };

static int fill_texts(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof long_text; i++) {
        long_text[i] = "abcabd"[i % 6];
        noise[i] = (char)(i * i * 2654435761u >> 13);
    }
    return 0;
}

static void write_samples(struct file *file, bool compresses, bool checksums) {
    struct rdb_writer writer;
    struct rdb_writer_options options = {.write = sink_write,
                                         .context = &file->sink,
                                         .compresses = compresses,
                                         .checksums = checksums};
    assert_int_equal(rdb_writer_init(&writer, &options), STATUS_OK);
    rdb_write_head(&writer);
    rdb_write_fact(&writer, "redis-ver", BYTES("7.4.0"));
    rdb_write_database(&writer, 0, 12, 2);
    for (size_t i = 0; i < SAMPLES; i++) {
        const struct sample *sample = &samples[i];
        rdb_write_selection(&writer, sample->database);
        rdb_write_key(&writer, sample->key, sample->value, sample->deadline_ms);
    }
    assert_int_equal(rdb_write_end(&writer), STATUS_OK);
    assert_int_equal(writer.size, file->sink.size);
    rdb_writer_release(&writer);
}

/* ---- Reading a whole file -------------------------------------------------------------------- */

static void expect_text(const struct rdb_string *string, struct bytes text) {
    assert_int_equal(string->size, text.size);
    char *decoded = malloc(string->size + 1);
    assert_non_null(decoded);
    assert_true(rdb_string_decode(string, decoded));
    if (text.size != 0) assert_memory_equal(decoded, text.data, text.size);
    free(decoded);
}

static void expect_samples(struct file *file) {
    struct bytes rest = guarded(file, file->bytes, file->sink.size);
    struct crc64 crc64;
    struct rdb_item item;
    const char *error;
    int version;
    crc64_init(&crc64);
    size_t checked = rest.size - RDB_CHECKSUM_BYTES;
    uint64_t checksum = rdb_read_checksum(rest.data + checked);
    if (checksum != 0) {
        assert_int_equal(checksum, crc64_update(&crc64, 0, bytes_of(rest.data, checked)));
    }
    assert_int_equal(rdb_read_head(rest, &version), RDB_WHOLE);
    assert_int_equal(version, RDB_VERSION_WRITTEN);
    rest = bytes_of(rest.data + RDB_MAGIC_BYTES, rest.size - RDB_MAGIC_BYTES);
    uint64_t database = UINT64_MAX;
    size_t found = 0;
    do {
        assert_int_equal(rdb_read_item(rest, &item, &error), RDB_WHOLE);
        rest = bytes_of(rest.data + item.size, rest.size - item.size);
        if (item.kind == RDB_ITEM_DATABASE) database = item.number;
        if (item.kind != RDB_ITEM_KEY) continue;
        assert_in_range(found, 0, SAMPLES - 1);
        const struct sample *sample = &samples[found++];
        assert_int_equal(database, sample->database);
        assert_int_equal(item.deadline_ms, sample->deadline_ms);
        expect_text(&item.key, sample->key);
        expect_text(&item.value, sample->value);
    } while (item.kind != RDB_ITEM_END);
    assert_int_equal(found, SAMPLES);
    assert_int_equal(rest.size, RDB_CHECKSUM_BYTES);
}

static void what_is_written_is_read_again(void **state) {
    for (unsigned choice = 0; choice < 4; choice++) {
        struct file *file = *state;
        file->sink.size = 0;
        write_samples(file, choice & 1, choice & 2);
        expect_samples(file);
    }
}

static void compressing_makes_it_shorter(void **state) {
    struct file *file = *state;
    write_samples(file, false, true);
    size_t plain = file->sink.size;
    file->sink.size = 0;
    write_samples(file, true, true);
    assert_true(file->sink.size + 4000 < plain);
}

static void a_sink_that_fails_is_told_at_the_end(void **state) {
    struct file *file = *state;
    struct rdb_writer writer;
    struct rdb_writer_options options = {.write = sink_write, .context = &file->sink};
    assert_int_equal(rdb_writer_init(&writer, &options), STATUS_OK);
    file->sink.capacity = 100000;
    rdb_write_head(&writer);
    for (int i = 0; i < 100; i++) {
        rdb_write_key(&writer, BYTES("noise"), bytes_of(noise, sizeof noise), RDB_NO_DEADLINE);
    }
    assert_int_equal(rdb_write_end(&writer), STATUS_FAILED);
    rdb_writer_release(&writer);
}

static void refused_memory_is_told_or_does_without(void **state) {
    struct file *file = *state;
    struct rdb_writer writer;
    struct rdb_writer_options options = {
        .write = sink_write, .context = &file->sink, .compresses = true};
    memory_refuse_after(0);
    assert_int_equal(rdb_writer_init(&writer, &options), STATUS_NO_MEMORY);
    memory_refuse_after(1);
    assert_int_equal(rdb_writer_init(&writer, &options), STATUS_OK);
    rdb_write_head(&writer);
    rdb_write_key(&writer, BYTES("k"), bytes_of(long_text, sizeof long_text), RDB_NO_DEADLINE);
    memory_refuse_after(-1);
    assert_int_equal(rdb_write_end(&writer), STATUS_OK); /* not compressed */
    assert_true(file->sink.size > sizeof long_text);
    rdb_writer_release(&writer);
}

/* ---- Torn and damaged ------------------------------------------------------------------------ */

/* Walk all items there are, decoding every string; returns how that ended. */
static enum rdb_outcome walk(struct bytes rest, size_t *items) {
    enum rdb_outcome outcome = RDB_WHOLE;
    struct rdb_item item = {.kind = RDB_ITEM_HINT};
    const char *error = NULL;
    for (*items = 0; outcome == RDB_WHOLE && item.kind != RDB_ITEM_END; ++*items) {
        outcome = rdb_read_item(rest, &item, &error);
        assert_int_equal(outcome == RDB_INVALID, error != NULL);
        if (outcome != RDB_WHOLE) break;
        assert_in_range(item.size, 1, rest.size);
        rest = bytes_of(rest.data + item.size, rest.size - item.size);
        if (item.kind != RDB_ITEM_KEY) continue;
        char *text = malloc(item.value.size + 1);
        assert_non_null(text);
        rdb_string_decode(&item.value, text); /* may well say that it is damaged */
        free(text);
    }
    return outcome;
}

static void a_torn_file_is_incomplete_wherever_it_is_torn(void **state) {
    struct file *file = *state;
    write_samples(file, true, true);
    size_t items;
    for (size_t size = RDB_MAGIC_BYTES; size < file->sink.size - RDB_CHECKSUM_BYTES; size++) {
        struct bytes torn = guarded(file, file->bytes + RDB_MAGIC_BYTES, size - RDB_MAGIC_BYTES);
        assert_int_equal(walk(torn, &items), RDB_INCOMPLETE);
    }
    int version;
    for (size_t size = 0; size < RDB_MAGIC_BYTES; size++) {
        assert_int_equal(rdb_read_head(guarded(file, file->bytes, size), &version), RDB_INCOMPLETE);
    }
}

static void a_flipped_bit_is_read_without_harm(void **state) {
    struct file *file = *state;
    write_samples(file, true, true);
    struct crc64 crc64;
    crc64_init(&crc64);
    size_t items, checked = file->sink.size - RDB_CHECKSUM_BYTES;
    uint64_t checksum = rdb_read_checksum(file->bytes + checked);
    for (size_t bit = 0; bit < file->sink.size * 8; bit += bit / 8 < 400 ? 1 : 7) {
        file->bytes[bit / 8] ^= (char)(1 << bit % 8);
        walk(guarded(file, file->bytes + RDB_MAGIC_BYTES, file->sink.size - RDB_MAGIC_BYTES),
             &items);
        if (bit / 8 < checked) {
            assert_true(crc64_update(&crc64, 0, bytes_of(file->bytes, checked)) != checksum);
        }
        file->bytes[bit / 8] ^= (char)(1 << bit % 8);
    }
}

struct damaged {
    const char *name;
    struct bytes bytes;
    enum rdb_outcome outcome;
};

static const struct damaged damaged[] = {
    {"a type that nobody knows", RAW("\x1a\1k\1v"), RDB_INVALID},
    {"a length that is none", RAW("\0\x82\0\0\0\0"), RDB_INVALID},
    {"a string in an encoding that is none", RAW("\0\1k\xc4\0"), RDB_INVALID},
    {"more than LZF can make of one byte", RAW("\0\1k\xc3\1\x7f\xff\0"), RDB_INVALID},
    {"nothing, compressed", RAW("\0\1k\xc3\1\0\0"), RDB_INVALID},
    {"a deadline before a database", RAW("\xfc\0\0\0\0\0\0\0\0\xfe\0"), RDB_INVALID},
    {"a deadline before 1970", RAW("\xfc\0\0\0\0\0\0\0\x80\0\1k\1v"), RDB_INVALID},
    {"a part of a module's value that is none", RAW("\7\1k\1\x09"), RDB_INVALID},
    {"a list longer than memory", RAW("\1\1k\x81\xff\xff\xff\xff\xff\xff\xff\xff\1a"),
     RDB_INCOMPLETE},
    {"a string longer than memory", RAW("\0\1k\x81\xff\xff\xff\xff\xff\xff\xff\xff"),
     RDB_INCOMPLETE},
    {"nothing", RAW(""), RDB_INCOMPLETE},
};

static void damaged_items_are_told(void **state) {
    struct rdb_item item;
    const char *error;
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        struct bytes input = guarded(*state, damaged[i].bytes.data, damaged[i].bytes.size);
        enum rdb_outcome outcome = rdb_read_item(input, &item, &error);
        if (outcome != damaged[i].outcome) fail_msg("%s: %d", damaged[i].name, (int)outcome);
    }
}

static void what_is_no_rdb_file_is_told(void **state) {
    int version;
    assert_int_equal(rdb_read_head(guarded(*state, "REDIS00x9", 9), &version), RDB_INVALID);
    assert_int_equal(rdb_read_head(guarded(*state, "RADIS0009", 9), &version), RDB_INVALID);
    assert_int_equal(rdb_read_head(guarded(*state, "VALKEY08x", 9), &version), RDB_INVALID);
    assert_int_equal(rdb_read_head(guarded(*state, "VALKEY08", 8), &version), RDB_INCOMPLETE);
    assert_int_equal(rdb_read_head(guarded(*state, "VALKEY080", 9), &version), RDB_WHOLE);
    assert_int_equal(version, 80);
    assert_int_equal(rdb_read_head(guarded(*state, "X", 1), &version), RDB_INVALID);
}

/* ---- What only others write ------------------------------------------------------------------ */

static void a_type_that_we_lack_is_named_and_passed_over(void **state) {
    struct rdb_item item;
    const char *error;
    for (size_t i = 0; i < foreign_item_count; i++) {
        const char *type = foreign_items[i].type;
        struct bytes whole = foreign_items[i].bytes;
        if (rdb_read_item(guarded(*state, whole.data, whole.size), &item, &error) != RDB_WHOLE)
            fail_msg("foreign item %zu: %s", i, error != NULL ? error : "incomplete");
        assert_int_equal(item.size, whole.size);
        assert_int_equal(item.kind, type == NULL ? RDB_ITEM_KEY : RDB_ITEM_STRANGER);
        if (type != NULL) {
            assert_string_equal(item.type, type);
            assert_int_equal(item.has_key, (unsigned char)whole.data[0] < RDB_OPCODE_SLOTS);
        }
        for (size_t size = 0; size < whole.size; size++) {
            assert_int_equal(rdb_read_item(guarded(*state, whole.data, size), &item, &error),
                             RDB_INCOMPLETE);
        }
    }
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, make_file, free_file)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_is_written_is_read_again),
        TEST(compressing_makes_it_shorter),
        TEST(a_sink_that_fails_is_told_at_the_end),
        TEST(refused_memory_is_told_or_does_without),
        TEST(a_torn_file_is_incomplete_wherever_it_is_torn),
        TEST(a_flipped_bit_is_read_without_harm),
        TEST(damaged_items_are_told),
        TEST(what_is_no_rdb_file_is_told),
        TEST(a_type_that_we_lack_is_named_and_passed_over),
    };
    return cmocka_run_group_tests(tests, fill_texts, NULL);
}
