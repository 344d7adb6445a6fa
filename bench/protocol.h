/* What a client says and hears: requests as bytes, replies read as far as a measurement must know them. One row a
 * protocol; nothing else in bench/ knows how one looks.
 *
 * Requests ask for one key each, so that every reply is a header line and, when a value was found, a body whose size
 * the header tells. Pure; any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shards/base/bytes.h"

enum request_kind { REQUEST_GET, REQUEST_SET, REQUEST_DELETE, REQUEST_FLUSH };

struct request {
    enum request_kind kind;
    struct bytes key;   /* at most REQUEST_KEY_MAX; none for REQUEST_FLUSH */
    size_t value_bytes; /* REQUEST_SET's */
    uint32_t ttl_s;     /* the same; 0: it stays */
};

enum reply_kind { REPLY_DONE, REPLY_VALUE, REPLY_ABSENT, REPLY_ERROR };

enum {
    REQUEST_KEY_MAX = 250, /* memcached's limit */
    REQUEST_HEAD_MAX = REQUEST_KEY_MAX + 128,
    REPLY_HEAD_MAX =
        REQUEST_KEY_MAX + 64, /* a longer header line is cut here; only texts of errors are */
};

struct protocol {
    const char *name; /* of the option */
    /* Write the request up to where SET's value begins; returns the size. The value, and PROTOCOL_LINE_END behind it,
     * is the caller's to add. */
    size_t (*write_head)(char out[REQUEST_HEAD_MAX], const struct request *request);
    /* `head` is a header line with its end. Sets `body_bytes` to what follows it, all line ends included. */
    enum reply_kind (*read_head)(struct bytes head, uint64_t *body_bytes);
};

#define PROTOCOL_LINE_END BYTES("\r\n")

/* NULL, with a message on standard error, when there is none of that name. */
const struct protocol *protocol_named(const char *name);

/* One connection's replies, which come in pieces. All zero at first. */
struct reply_reader {
    uint64_t body_left;   /* bytes of the body still to come */
    enum reply_kind kind; /* of the reply whose body that is */
    uint32_t head_size;
    char head[REPLY_HEAD_MAX]; /* the header line that isn't whole yet */
};

/* Take the next whole reply off the front of `bytes`. False when they end before it does: all were taken, and what
 * they began is kept for the next call. */
bool reply_next(struct reply_reader *reader, const struct protocol *protocol, struct bytes *bytes,
                enum reply_kind *kind);
