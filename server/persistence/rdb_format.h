/* What both sides of an RDB file agree on: the numbers of Redis's format.
 *
 *      "REDIS" "0009"                                  magic, version in four digits; or "VALKEY" "080"
 *      250 name value                                  facts about the file: any number
 *      254 number   251 keys deadlines                 the keys that follow are this database's; how many, as a hint
 *      [252 8 bytes]  type  key  value                 a key, with a deadline in Unix milliseconds if it has one
 *      255 8 bytes                                     the end, and the CRC-64 of all before (0: not taken)
 *
 * A length is 1, 2, 5 or 9 bytes, told apart by the upper two bits of the first; a string is a length and its
 * bytes, or, when those bits are both set, a number of 1, 2 or 4 bytes, or compressed (LZF). Numbers are
 * little-endian but the lengths' own. Sources: redis/src/rdb.h; "Redis RDB file format" (Sripathi Krishnan's
 * rdbtools). */
#pragma once

enum {
    RDB_MAGIC_BYTES = 9, /* with the version */
    /* What we write: the oldest that has all we need, so that every Redis since 5 and every Valkey loads it. */
    RDB_VERSION_WRITTEN = 9,
    RDB_VERSION_READ_MAX = 12, /* Redis 7.4 and 8.0; Valkey 8 writes 11 */
    RDB_VERSION_VALKEY = 80,   /* of Valkey 9, which leaves what is between to Redis */
    RDB_VERSION_CHECKSUM = 5,  /* the first that ends with a checksum */
    RDB_CHECKSUM_BYTES = 8,
};

enum rdb_opcode {
    RDB_OPCODE_SLOTS = 244,
    RDB_OPCODE_FUNCTION = 245,
    RDB_OPCODE_MODULE = 247,
    RDB_OPCODE_IDLE = 248,
    RDB_OPCODE_FREQUENCY = 249,
    RDB_OPCODE_FACT = 250,
    RDB_OPCODE_SIZES = 251,
    RDB_OPCODE_DEADLINE_MS = 252,
    RDB_OPCODE_DEADLINE_S = 253,
    RDB_OPCODE_DATABASE = 254,
    RDB_OPCODE_END = 255,
};

enum { RDB_TYPE_STRING = 0 };

/* The first byte of a length, and of a string that isn't plain. */
enum {
    RDB_LENGTH_6 = 0x00,
    RDB_LENGTH_14 = 0x40,
    RDB_LENGTH_32 = 0x80,
    RDB_LENGTH_64 = 0x81,
    RDB_ENCODED_8 = 0xc0,
    RDB_ENCODED_16 = 0xc1,
    RDB_ENCODED_32 = 0xc2,
    RDB_ENCODED_LZF = 0xc3,
};
