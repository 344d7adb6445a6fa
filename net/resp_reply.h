/* Values -> RESP2 or RESP3, straight into a connection's output.
 *
 * Each function writes one reply or one header; after reply_array(n) come n replies. What RESP2 lacks is written as
 * Redis does: a map as a flat array, a set as an array, a double as a bulk string, a boolean as 0 or 1,
 * null as "$-1". No function fails: see buffer.h. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "buffer.h"
#include "shards/base/bytes.h"

enum { REPLY_CODE_MAX = 16 /* bytes of an error's code ("WRONGTYPE"), with its end */ };

struct reply {
    struct buffer *buffer;
    uint8_t protocol;                /* 2 or 3 */
    uint32_t error_count;            /* errors written: how dispatch knows that a command failed */
    char error_code[REPLY_CODE_MAX]; /* of the last one */
};

void reply_simple_bytes(struct reply *reply, struct bytes text);
/* "OK" and its like: inline, so that the length of a literal is known when compiling. No line ends in `text`. */
static inline void reply_simple(struct reply *reply, const char *text) {
    reply_simple_bytes(reply, bytes_of_text(text));
}
/* `text` with its code ("ERR unknown command ..."); bytes that would break the line become spaces. */
void reply_error(struct reply *reply, const char *text);
__attribute__((format(printf, 2, 3))) void reply_error_format(struct reply *reply,
                                                              const char *format, ...);
void reply_integer(struct reply *reply, int64_t number);
void reply_bulk(struct reply *reply, struct bytes bytes);
void reply_bulk_text(struct reply *reply, const char *text);
/* A field of a map: its name, and a count. */
void reply_field(struct reply *reply, const char *name, uint64_t count);
__attribute__((format(printf, 2, 3))) void reply_bulk_format(struct reply *reply,
                                                             const char *format, ...);
void reply_bulk_integer(struct reply *reply, int64_t number);
/* A large value, not copied: see buffer_append_reference. */
void reply_bulk_reference(struct reply *reply, struct bytes bytes, struct buffer_owner owner);
void reply_null(struct reply *reply);       /* "$-1" or "_" */
void reply_null_array(struct reply *reply); /* "*-1" or "_" */
void reply_array(struct reply *reply, uint64_t count);
void reply_map(struct reply *reply, uint64_t pairs);
void reply_set(struct reply *reply, uint64_t count);
void reply_attribute(struct reply *reply, uint64_t pairs); /* RESP3 only */
void reply_push(struct reply *reply, uint64_t count);
void reply_double(struct reply *reply, double number);
void reply_boolean(struct reply *reply, bool value);
void reply_big_number(struct reply *reply, const char *digits);
/* `format` is three letters: "txt" or "mkd". A bulk string in RESP2. */
void reply_verbatim(struct reply *reply, const char *format, struct bytes text);
