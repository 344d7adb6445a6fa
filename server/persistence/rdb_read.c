/* A cursor that remembers its first failure, so that what reads an item is a straight line: after a failure every
 * further step gives zeros and moves nothing, and the end looks once.
 *
 * Types that we lack are passed over by their shape, a word a type:
 *
 *      s a string   l a length   d 8 bytes   i 16 bytes (the id of a stream's entry)   f a number as text (old sorted sets)
 *      m what a module wrote   n(…) a length, and that many times what is in the parentheses
 *
 * So a reader that lacks a type still finds where the next key begins, and can say which keys it could not take.
 *
 * What a length claims is believed only as far as there are bytes: nothing is reserved for it, and repeating stops
 * where the input does, for every shape takes at least a byte. LZF can't make more than LZF_RATIO_MAX bytes of one, so
 * a damaged size asks for no more memory than that. */
#include "rdb_read.h"

#include <lzf.h>
#include <string.h>

#include "rdb_format.h"
#include "rdb_write.h"
#include "shards/base/number.h"

enum { LZF_RATIO_MAX = 88 /* three bytes stand for 264 at most */ };

/* ---- The cursor ------------------------------------------------------------------------------ */

struct cursor {
    const unsigned char *at, *end;
    uint64_t missing; /* of RDB_INCOMPLETE: bytes behind `end`, at the least */
    enum rdb_outcome outcome;
    const char *error; /* of RDB_INVALID */
};

static void fail(struct cursor *cursor, enum rdb_outcome outcome, const char *error) {
    if (cursor->outcome != RDB_WHOLE) return;
    cursor->outcome = outcome;
    cursor->error = error;
}

static struct bytes take(struct cursor *cursor, uint64_t size) {
    if (cursor->outcome != RDB_WHOLE) return BYTES("");
    if (size > (size_t)(cursor->end - cursor->at)) {
        cursor->missing = size - (size_t)(cursor->end - cursor->at);
        fail(cursor, RDB_INCOMPLETE, NULL);
        return BYTES("");
    }
    struct bytes taken = bytes_of(cursor->at, size);
    cursor->at += size;
    return taken;
}

static unsigned take_byte(struct cursor *cursor) {
    struct bytes taken = take(cursor, 1);
    return taken.size == 0 ? 0 : (unsigned char)taken.data[0];
}

static uint64_t take_little(struct cursor *cursor, unsigned size) {
    struct bytes taken = take(cursor, size);
    uint64_t number = 0;
    for (size_t i = 0; i < taken.size; i++) {
        number |= (uint64_t)(unsigned char)taken.data[i] << 8 * i;
    }
    return number;
}

static uint64_t take_big(struct cursor *cursor, unsigned size) {
    struct bytes taken = take(cursor, size);
    uint64_t number = 0;
    for (size_t i = 0; i < taken.size; i++) {
        number = number << 8 | (unsigned char)taken.data[i];
    }
    return number;
}

/* ---- Lengths and strings --------------------------------------------------------------------- */

/* A length that began with `first`. */
static uint64_t take_length_after(struct cursor *cursor, unsigned first) {
    switch (first & 0xc0) {
    case RDB_LENGTH_6:
        return first & 0x3f;
    case RDB_LENGTH_14:
        return (uint64_t)(first & 0x3f) << 8 | take_byte(cursor);
    default:
        if (first == RDB_LENGTH_32) return take_big(cursor, 4);
        if (first == RDB_LENGTH_64) return take_big(cursor, 8);
        fail(cursor, RDB_INVALID, "a length that is none");
        return 0;
    }
}

static uint64_t take_length(struct cursor *cursor) {
    return take_length_after(cursor, take_byte(cursor));
}

static struct rdb_string take_number(struct cursor *cursor, unsigned size) {
    unsigned unused_bits = 64 - 8 * size;
    int64_t number = (int64_t)(take_little(cursor, size) << unused_bits) >> unused_bits;
    return (struct rdb_string){.form = RDB_NUMBER, .number = number, .size = number_width(number)};
}

static struct rdb_string take_compressed(struct cursor *cursor) {
    uint64_t compressed = take_length(cursor);
    uint64_t size = take_length(cursor);
    if (cursor->outcome == RDB_WHOLE &&
        (size == 0 || size > UINT32_MAX || compressed > UINT32_MAX ||
         size > compressed * LZF_RATIO_MAX)) {
        fail(cursor, RDB_INVALID, "a compressed string of an impossible size");
    }
    struct bytes bytes = take(cursor, compressed);
    return (struct rdb_string){.form = RDB_COMPRESSED, .bytes = bytes, .size = size};
}

static struct rdb_string take_string(struct cursor *cursor) {
    unsigned first = take_byte(cursor);
    switch (first) {
    case RDB_ENCODED_8:
        return take_number(cursor, 1);
    case RDB_ENCODED_16:
        return take_number(cursor, 2);
    case RDB_ENCODED_32:
        return take_number(cursor, 4);
    case RDB_ENCODED_LZF:
        return take_compressed(cursor);
    default:
        break;
    }
    struct bytes bytes = take(cursor, take_length_after(cursor, first));
    return (struct rdb_string){.form = RDB_PLAIN, .bytes = bytes, .size = bytes.size};
}

bool rdb_string_decode(const struct rdb_string *string, char *out) {
    switch (string->form) {
    case RDB_PLAIN:
        if (string->size != 0) memcpy(out, string->bytes.data, string->size);
        return true;
    case RDB_NUMBER: {
        char text[NUMBER_TEXT_MAX];
        memcpy(out, text, number_write(string->number, text));
        return true;
    }
    case RDB_COMPRESSED:
        return lzf_decompress(string->bytes.data, (unsigned)string->bytes.size, out,
                              (unsigned)string->size) == string->size;
    }
    return false;
}

/* ---- Types that we lack ---------------------------------------------------------------------- */

struct shape {
    unsigned type;
    const char *name;
    const char *parts;
};

static const struct shape shapes[] = {
    {1, "list", "n(s)"},
    {2, "set", "n(s)"},
    {3, "sorted set", "n(sf)"},
    {4, "hash", "n(ss)"},
    {5, "sorted set", "n(sd)"},
    {7, "module value", "lm"},
    {9, "hash", "s"},
    {10, "list", "s"},
    {11, "set", "s"},
    {12, "sorted set", "s"},
    {13, "hash", "s"},
    {14, "list", "n(s)"},
    {15, "stream", "n(ss)llln(slln(idl)n(sdn(i)))"},
    {16, "hash", "s"},
    {17, "sorted set", "s"},
    {18, "list", "n(ls)"},
    {19, "stream", "n(ss)lllllllln(sllln(idl)n(sdn(i)))"},
    {20, "set", "s"},
    {21, "stream", "n(ss)lllllllln(sllln(idl)n(sddn(i)))"},
    {22, "hash with deadlines", "n(lss)"},
    {23, "hash with deadlines", "s"},
    {24, "hash with deadlines", "dn(lss)"},
    {25, "hash with deadlines", "ds"},
};

static const struct shape *find_shape(unsigned type) {
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        if (shapes[i].type == type) return &shapes[i];
    }
    return NULL;
}

/* Parts, each led by a number that says what it is, up to one that says there are no more. */
static void pass_module(struct cursor *cursor) {
    enum { END, SIGNED, UNSIGNED, FLOAT, DOUBLE, STRING };
    while (cursor->outcome == RDB_WHOLE) {
        switch (take_length(cursor)) {
        case END:
            return;
        case SIGNED:
        case UNSIGNED:
            take_length(cursor);
            break;
        case FLOAT:
            take(cursor, 4);
            break;
        case DOUBLE:
            take(cursor, 8);
            break;
        case STRING:
            take_string(cursor);
            break;
        default:
            fail(cursor, RDB_INVALID, "a part of a module's value that is none");
        }
    }
}

/* Its size comes first; three sizes stand for not a number and the infinities. */
static void pass_number_text(struct cursor *cursor) {
    unsigned size = take_byte(cursor);
    if (size < 253) take(cursor, size);
}

static const char *pass_shape(struct cursor *cursor, const char *parts);

/* "n(…)": returns what comes after. */
static const char *pass_repeated(struct cursor *cursor, const char *parts) {
    uint64_t count = take_length(cursor);
    const char *end = parts + 2;
    for (int depth = 1; depth > 0; end++) {
        depth += (*end == '(') - (*end == ')');
    }
    for (; count > 0 && cursor->outcome == RDB_WHOLE; count--) {
        pass_shape(cursor, parts + 2);
    }
    return end;
}

/* Up to the end of the shape, or the parenthesis that closes what we are in. */
static const char *pass_shape(struct cursor *cursor, const char *parts) {
    while (*parts != 0 && *parts != ')' && cursor->outcome == RDB_WHOLE) {
        switch (*parts) {
        case 's':
            take_string(cursor);
            break;
        case 'l':
            take_length(cursor);
            break;
        case 'd':
            take(cursor, 8);
            break;
        case 'i':
            take(cursor, 16);
            break;
        case 'f':
            pass_number_text(cursor);
            break;
        case 'm':
            pass_module(cursor);
            break;
        case 'n':
            parts = pass_repeated(cursor, parts);
            continue;
        }
        parts++;
    }
    return parts;
}

/* ---- Items ----------------------------------------------------------------------------------- */

static void take_value(struct cursor *cursor, unsigned type, struct rdb_item *item) {
    const struct shape *shape = type == RDB_TYPE_STRING ? NULL : find_shape(type);
    if (type != RDB_TYPE_STRING && shape == NULL) {
        fail(cursor, RDB_INVALID, "a type of value that is not known");
        return;
    }
    item->key = take_string(cursor);
    if (shape == NULL) {
        item->kind = RDB_ITEM_KEY;
        item->value = take_string(cursor);
    } else {
        item->kind = RDB_ITEM_STRANGER;
        item->type = shape->name;
        item->has_key = true;
        pass_shape(cursor, shape->parts);
    }
}

static void take_stranger(struct cursor *cursor, struct rdb_item *item, const char *type,
                          const char *parts) {
    item->kind = RDB_ITEM_STRANGER;
    item->type = type;
    pass_shape(cursor, parts);
}

static void take_deadline(struct cursor *cursor, struct rdb_item *item, int64_t deadline_ms) {
    if (deadline_ms < 0) fail(cursor, RDB_INVALID, "a deadline before 1970");
    item->deadline_ms = deadline_ms;
}

/* What begins with an opcode that may stand before a key's type; true when it does, and the type is still to come. */
static bool take_prefix(struct cursor *cursor, unsigned opcode, struct rdb_item *item) {
    switch (opcode) {
    case RDB_OPCODE_DEADLINE_MS:
        take_deadline(cursor, item, (int64_t)take_little(cursor, 8));
        return true;
    case RDB_OPCODE_DEADLINE_S:
        take_deadline(cursor, item, (int64_t)(int32_t)take_little(cursor, 4) * 1000);
        return true;
    case RDB_OPCODE_IDLE:
        take_length(cursor);
        return true;
    case RDB_OPCODE_FREQUENCY:
        take_byte(cursor);
        return true;
    default:
        return false;
    }
}

static void take_item(struct cursor *cursor, struct rdb_item *item) {
    bool has_prefix = false;
    unsigned opcode = take_byte(cursor);
    while (cursor->outcome == RDB_WHOLE && take_prefix(cursor, opcode, item)) {
        has_prefix = true;
        opcode = take_byte(cursor);
    }
    if (cursor->outcome != RDB_WHOLE) return;
    if (has_prefix && opcode >= RDB_OPCODE_SLOTS) {
        fail(cursor, RDB_INVALID, "a deadline without a key");
        return;
    }
    switch (opcode) {
    case RDB_OPCODE_FACT:
        item->kind = RDB_ITEM_FACT;
        item->key = take_string(cursor);
        item->value = take_string(cursor);
        return;
    case RDB_OPCODE_DATABASE:
        item->kind = RDB_ITEM_DATABASE;
        item->number = take_length(cursor);
        return;
    case RDB_OPCODE_SIZES:
        item->kind = RDB_ITEM_HINT;
        pass_shape(cursor, "ll");
        return;
    case RDB_OPCODE_SLOTS:
        item->kind = RDB_ITEM_HINT;
        pass_shape(cursor, "lll");
        return;
    case RDB_OPCODE_FUNCTION:
        take_stranger(cursor, item, "function library", "s");
        return;
    case RDB_OPCODE_MODULE:
        take_stranger(cursor, item, "module's data", "lm");
        return;
    case RDB_OPCODE_END:
        item->kind = RDB_ITEM_END;
        return;
    default:
        take_value(cursor, opcode, item);
    }
}

enum rdb_outcome rdb_read_item(struct bytes input, struct rdb_item *item, const char **error) {
    const unsigned char *start = (const unsigned char *)input.data;
    struct cursor cursor = {.at = start, .end = start + input.size};
    *item = (struct rdb_item){.deadline_ms = RDB_NO_DEADLINE};
    take_item(&cursor, item);
    item->size = (uint64_t)(cursor.at - start);
    if (cursor.outcome == RDB_INCOMPLETE) {
        if (__builtin_add_overflow(input.size, cursor.missing, &item->size))
            item->size = UINT64_MAX;
    }
    *error = cursor.error;
    return cursor.outcome;
}

/* `magic` and digits. */
static enum rdb_outcome read_head_of(struct bytes input, const char *magic, int *version) {
    size_t size = strlen(magic);
    size_t seen = input.size < size ? input.size : size;
    if (seen != 0 && memcmp(input.data, magic, seen) != 0) return RDB_INVALID;
    if (input.size < RDB_MAGIC_BYTES) return RDB_INCOMPLETE;
    *version = 0;
    for (size_t i = size; i < RDB_MAGIC_BYTES; i++) {
        if (input.data[i] < '0' || input.data[i] > '9') return RDB_INVALID;
        *version = *version * 10 + (input.data[i] - '0');
    }
    return RDB_WHOLE;
}

enum rdb_outcome rdb_read_head(struct bytes input, int *version) {
    enum rdb_outcome outcome = read_head_of(input, "REDIS", version);
    return outcome != RDB_INVALID ? outcome : read_head_of(input, "VALKEY", version);
}

uint64_t rdb_read_checksum(const char *data) {
    struct cursor cursor = {.at = (const unsigned char *)data,
                            .end = (const unsigned char *)data + RDB_CHECKSUM_BYTES};
    return take_little(&cursor, RDB_CHECKSUM_BYTES);
}
