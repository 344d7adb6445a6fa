/* The decoder of RDB files: slices of bytes in, items out. Pure: it copies nothing, allocates nothing, knows no file.
 *
 * Made like the request parser: an item is read from where it begins, and when it isn't whole the answer is
 * RDB_INCOMPLETE, to be asked again with more bytes. An item is a key with all that belongs to it, or
 * one of the marks between keys. Strings stay as they lie in the file until rdb_string_decode, so that one thread can
 * find where items begin and many decode them. Any byte is a legal input; nothing outside `input` is ever read. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shards/base/bytes.h"

enum rdb_outcome { RDB_WHOLE, RDB_INCOMPLETE, RDB_INVALID };

/* A string as the file has it. */
struct rdb_string {
    enum { RDB_PLAIN, RDB_NUMBER, RDB_COMPRESSED } form;
    struct bytes bytes; /* of RDB_PLAIN and RDB_COMPRESSED; points into the input */
    int64_t number;     /* of RDB_NUMBER */
    size_t size;        /* of the text it stands for */
};

enum rdb_item_kind {
    RDB_ITEM_KEY,      /* a string */
    RDB_ITEM_STRANGER, /* of a type that we lack: a key's value, or what belongs to the whole file */
    RDB_ITEM_FACT,     /* key and value */
    RDB_ITEM_DATABASE, /* `number`: what follows belongs to it */
    RDB_ITEM_HINT,     /* of sizes: nothing we need */
    RDB_ITEM_END,      /* the checksum, in files that have one, follows */
};

struct rdb_item {
    enum rdb_item_kind kind;
    uint64_t size;         /* bytes it takes in the input; of RDB_INCOMPLETE: needs at the least */
    struct rdb_string key; /* absent: size 0 */
    struct rdb_string value;
    int64_t deadline_ms; /* or RDB_NO_DEADLINE (rdb_write.h) */
    uint64_t number;
    const char *type; /* of a stranger: "list", "function library" */
    bool has_key;     /* of a stranger */
};

/* The magic and the version, RDB_MAGIC_BYTES in all. RDB_INVALID: it is no RDB file. The caller judges the version. */
enum rdb_outcome rdb_read_head(struct bytes input, int *version);
/* The item that `input` begins with. RDB_INVALID: `*error` says what is wrong. */
enum rdb_outcome rdb_read_item(struct bytes input, struct rdb_item *item, const char **error);
/* The text, `string->size` bytes of it to `out`. False when what is compressed is damaged. */
bool rdb_string_decode(const struct rdb_string *string, char *out);
/* RDB_CHECKSUM_BYTES as a number. */
uint64_t rdb_read_checksum(const char *data);
