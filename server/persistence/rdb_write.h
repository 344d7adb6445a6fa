/* The encoder of RDB files: values in, blocks of bytes out. Knows no file and no server.
 *
 *      rdb_writer_init ─▶ rdb_write_head ─▶ rdb_write_fact … ─▶ (rdb_write_database ─▶ rdb_write_key …) … ─▶ rdb_write_end
 *                                                               └─ of a snapshot: rdb_write_entry …
 *
 * What goes wrong (the sink fails, memory is refused) is kept in `status`, and nothing is written from then on; so only
 * rdb_write_end needs to be asked, and whoever writes much looks at `status` now and then. One thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "shards/base/bytes.h"
#include "shards/base/crc64.h"
#include "shards/base/status.h"

struct snapshot_entry;

enum { RDB_NO_DEADLINE = -1 };

struct rdb_writer_options {
    /* Takes the bytes, in order; how many at a time is up to us. */
    enum status (*write)(void *context, struct bytes bytes);
    void *context;
    bool compresses; /* strings of more than 20 bytes, by LZF, where that makes them shorter */
    bool checksums;
};

struct rdb_writer {
    struct rdb_writer_options options;
    char *block; /* bytes that the sink hasn't got yet */
    size_t used;
    char *scratch; /* what LZF writes to */
    size_t scratch_capacity;
    uint64_t checksum; /* of what the sink got */
    uint64_t size;     /* the same, in bytes */
    int64_t database;  /* selected; -1: none */
    enum status status;
    struct crc64 crc64;
};

/* STATUS_NO_MEMORY: nothing is held. */
must_use enum status rdb_writer_init(struct rdb_writer *writer,
                                     const struct rdb_writer_options *options);
void rdb_writer_release(struct rdb_writer *writer);

void rdb_write_head(struct rdb_writer *writer);
/* A fact about the file, such as "ctime" and "1700000000". */
void rdb_write_fact(struct rdb_writer *writer, const char *name, struct bytes value);
/* What follows belongs to this database; `keys` and how many of them have a deadline are hints for the reader. */
void rdb_write_database(struct rdb_writer *writer, uint32_t database, uint64_t keys,
                        uint64_t deadlines);
/* The same without the hints; nothing when it is selected already. */
void rdb_write_selection(struct rdb_writer *writer, uint32_t database);
/* A string in the selected database. */
void rdb_write_key(struct rdb_writer *writer, struct bytes key, struct bytes value,
                   int64_t deadline_ms);
/* An entry of a snapshot (shards/snapshot.h), its database selected where that's needed. */
void rdb_write_entry(struct rdb_writer *writer, const struct snapshot_entry *entry);
/* The end mark, the checksum, and what is left in the block. Returns `status`. */
must_use enum status rdb_write_end(struct rdb_writer *writer);
