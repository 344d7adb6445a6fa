/* Bytes gather in a block and go to the sink when it is full; what is larger than a block goes there directly.
 *
 * Strings are written as Redis writes them: text that is a number of 32 bits as that number, longer text
 * compressed where that saves anything. Compressed in one piece, so values above COMPRESS_MAX stay plain: the
 * scratch memory is bounded. */
#include "rdb_write.h"

#include <lzf.h>
#include <stdio.h>
#include <string.h>

#include "rdb_format.h"
#include "shards/base/memory.h"
#include "shards/base/number.h"
#include "shards/snapshot.h"

enum {
    BLOCK_BYTES = 16 * 1024,
    COMPRESS_MIN = 21, /* bytes; below, LZF never wins */
    COMPRESS_MAX = 16 * 1024 * 1024,
    COMPRESS_GAIN = 4,  /* bytes that it must save */
    NUMBER_DIGITS = 11, /* of a number of 32 bits, and its sign */
};

/* ---- Bytes ----------------------------------------------------------------------------------- */

static void hand_over(struct rdb_writer *writer, struct bytes bytes) {
    if (writer->status != STATUS_OK || bytes.size == 0) return;
    if (writer->options.checksums) {
        writer->checksum = crc64_update(&writer->crc64, writer->checksum, bytes);
    }
    writer->size += bytes.size;
    writer->status = writer->options.write(writer->options.context, bytes);
}

static void empty_block(struct rdb_writer *writer) {
    hand_over(writer, bytes_of(writer->block, writer->used));
    writer->used = 0;
}

static void write_bytes(struct rdb_writer *writer, struct bytes bytes) {
    if (bytes.size > BLOCK_BYTES - writer->used) empty_block(writer);
    if (bytes.size > BLOCK_BYTES) {
        hand_over(writer, bytes);
    } else if (bytes.size != 0) {
        memcpy(writer->block + writer->used, bytes.data, bytes.size);
        writer->used += bytes.size;
    }
}

static void write_byte(struct rdb_writer *writer, unsigned byte) {
    char one = (char)byte;
    write_bytes(writer, bytes_of(&one, 1));
}

static void write_little(struct rdb_writer *writer, uint64_t number, unsigned size) {
    char bytes[8];
    for (unsigned i = 0; i < size; i++) {
        bytes[i] = (char)(number >> 8 * i);
    }
    write_bytes(writer, bytes_of(bytes, size));
}

static void write_big(struct rdb_writer *writer, uint64_t number, unsigned size) {
    char bytes[8];
    for (unsigned i = 0; i < size; i++) {
        bytes[i] = (char)(number >> 8 * (size - 1 - i));
    }
    write_bytes(writer, bytes_of(bytes, size));
}

/* ---- Lengths and strings --------------------------------------------------------------------- */

static void write_length(struct rdb_writer *writer, uint64_t length) {
    if (length < 1 << 6) {
        write_byte(writer, RDB_LENGTH_6 | (unsigned)length);
    } else if (length < 1 << 14) {
        write_big(writer, RDB_LENGTH_14 << 8 | length, 2);
    } else if (length <= UINT32_MAX) {
        write_byte(writer, RDB_LENGTH_32);
        write_big(writer, length, 4);
    } else {
        write_byte(writer, RDB_LENGTH_64);
        write_big(writer, length, 8);
    }
}

static bool write_as_number(struct rdb_writer *writer, struct bytes text) {
    int64_t number;
    if (text.size > NUMBER_DIGITS || !number_read(text, &number)) return false;
    if (number != (int32_t)number) return false;
    if (number == (int8_t)number) {
        write_byte(writer, RDB_ENCODED_8);
        write_little(writer, (uint64_t)number, 1);
    } else if (number == (int16_t)number) {
        write_byte(writer, RDB_ENCODED_16);
        write_little(writer, (uint64_t)number, 2);
    } else {
        write_byte(writer, RDB_ENCODED_32);
        write_little(writer, (uint64_t)number, 4);
    }
    return true;
}

static bool reserve_scratch(struct rdb_writer *writer, size_t size) {
    if (size <= writer->scratch_capacity) return true;
    char *grown = memory_allocate(size);
    if (grown == NULL) return false;
    memory_free(writer->scratch);
    writer->scratch = grown;
    writer->scratch_capacity = size;
    return true;
}

/* Memory refused means plain, not failed. */
static bool write_compressed(struct rdb_writer *writer, struct bytes text) {
    if (!writer->options.compresses) return false;
    if (text.size < COMPRESS_MIN || text.size > COMPRESS_MAX) return false;
    if (!reserve_scratch(writer, text.size)) return false;
    unsigned size = lzf_compress(text.data, (unsigned)text.size, writer->scratch,
                                 (unsigned)(text.size - COMPRESS_GAIN));
    if (size == 0) return false;
    write_byte(writer, RDB_ENCODED_LZF);
    write_length(writer, size);
    write_length(writer, text.size);
    write_bytes(writer, bytes_of(writer->scratch, size));
    return true;
}

static void write_string(struct rdb_writer *writer, struct bytes text) {
    if (write_as_number(writer, text) || write_compressed(writer, text)) return;
    write_length(writer, text.size);
    write_bytes(writer, text);
}

/* ---- The interface --------------------------------------------------------------------------- */

enum status rdb_writer_init(struct rdb_writer *writer, const struct rdb_writer_options *options) {
    *writer = (struct rdb_writer){.options = *options, .database = -1};
    if (options->checksums) crc64_init(&writer->crc64);
    writer->block = memory_allocate(BLOCK_BYTES);
    return writer->block != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

void rdb_writer_release(struct rdb_writer *writer) {
    memory_free(writer->block);
    memory_free(writer->scratch);
    writer->block = writer->scratch = NULL;
}

void rdb_write_head(struct rdb_writer *writer) {
    char head[RDB_MAGIC_BYTES + 1];
    snprintf(head, sizeof(head), "REDIS%04d", RDB_VERSION_WRITTEN);
    write_bytes(writer, bytes_of(head, RDB_MAGIC_BYTES));
}

void rdb_write_fact(struct rdb_writer *writer, const char *name, struct bytes value) {
    write_byte(writer, RDB_OPCODE_FACT);
    write_string(writer, bytes_of_text(name));
    write_string(writer, value);
}

void rdb_write_selection(struct rdb_writer *writer, uint32_t database) {
    if (writer->database == database) return;
    writer->database = database;
    write_byte(writer, RDB_OPCODE_DATABASE);
    write_length(writer, database);
}

void rdb_write_database(struct rdb_writer *writer, uint32_t database, uint64_t keys,
                        uint64_t deadlines) {
    rdb_write_selection(writer, database);
    write_byte(writer, RDB_OPCODE_SIZES);
    write_length(writer, keys);
    write_length(writer, deadlines);
}

void rdb_write_key(struct rdb_writer *writer, struct bytes key, struct bytes value,
                   int64_t deadline_ms) {
    if (deadline_ms != RDB_NO_DEADLINE) {
        write_byte(writer, RDB_OPCODE_DEADLINE_MS);
        write_little(writer, (uint64_t)deadline_ms, 8);
    }
    write_byte(writer, RDB_TYPE_STRING);
    write_string(writer, key);
    write_string(writer, value);
}

void rdb_write_entry(struct rdb_writer *writer, const struct snapshot_entry *entry) {
    bool expires = entry->deadline_ms != ENTRY_NO_EXPIRY;
    rdb_write_selection(writer, entry->database);
    rdb_write_key(writer, entry->key, entry->value, expires ? entry->deadline_ms : RDB_NO_DEADLINE);
}

enum status rdb_write_end(struct rdb_writer *writer) {
    write_byte(writer, RDB_OPCODE_END);
    empty_block(writer); /* the checksum is of all before itself */
    uint64_t checksum = writer->checksum;
    write_little(writer, checksum, RDB_CHECKSUM_BYTES);
    empty_block(writer);
    return writer->status;
}
