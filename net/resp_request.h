/* Bytes -> requests: RESP arrays of bulk strings, and inline commands. Pure: no socket, no clock, no copy.
 *
 * A request's arguments are slices into the input. The parser keeps no copy of it: it answers INCOMPLETE,
 * and is called again with the same input grown at its end (it may have moved). A large request that
 * arrives in many pieces isn't parsed from the start each time: the parser remembers how far it came, so
 * the work is linear in the bytes, however they are cut. Limits and error texts are those of Redis. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shards/base/bytes.h"
#include "shards/base/status.h"

enum {
    RESP_INLINE_MAX = 64 * 1024, /* bytes of an inline command, or of a header line */
    RESP_ARGUMENTS_MAX = 1024 * 1024,
    RESP_ARGUMENTS_UNTRUSTED_MAX = 10, /* before authentication */
    RESP_BULK_UNTRUSTED_MAX = 16 * 1024,
    RESP_ERROR_MAX = 128,
};

struct resp_limits {
    uint64_t bulk_bytes_max; /* proto-max-bulk-len */
    bool is_trusted;         /* false before authentication */
};

/* A growing array of argument slices that many requests share; one worker's. Growing moves it: requests name their
 * arguments by index. The owner empties it by setting `count` to 0. */
struct resp_arguments {
    struct bytes *data;
    size_t count, capacity;
};
void resp_arguments_init(struct resp_arguments *arguments);
void resp_arguments_release(struct resp_arguments *arguments);
/* They have been run: none is left, nor the room that a request of very many needed. */
void resp_arguments_clear(struct resp_arguments *arguments);

enum resp_outcome {
    RESP_COMPLETE,
    RESP_INCOMPLETE,
    RESP_INVALID, /* protocol error: `error` has Redis's text, without "-ERR " and line end */
    RESP_NO_MEMORY,
};

struct resp_slice;

/* Where a request stands that isn't whole yet. All zero at the start of a request, and again after COMPLETE. A
 * connection's own. */
struct resp_parser {
    uint64_t
        needed_bytes; /* parsing on is of no use before the input has so many bytes; 0: unknown */
    size_t position;  /* bytes of the input that are done; 0: begin at the start */
    struct resp_slice
        *saved; /* arguments so far, as offsets, once they are too many to parse again; heap */
    uint32_t saved_count, saved_capacity;
    uint32_t remaining; /* arguments still to come, when `position` isn't 0 */
    uint32_t scanned;   /* bytes of the line at `position` that are known to hold no line end */
};
void resp_parser_release(struct resp_parser *parser);
/* Heap bytes that it holds, which are told to memory_account_clients, as are the arguments'. */
size_t resp_parser_bytes(const struct resp_parser *parser);

struct resp_request {
    size_t first;   /* index of its first argument in `arguments` */
    uint32_t count; /* arguments; 0 for an empty line or "*0", which is skipped without a reply */
    size_t size;    /* bytes of the input it took; set on COMPLETE */
    char error[RESP_ERROR_MAX]; /* set on INVALID */
};

/* Parse one request from the start of `input`, appending its arguments to `arguments` (COMPLETE), or leaving them as
 * they were (otherwise). An inline command's quoted arguments are decoded in place inside `input`, which is why it is
 * writable. After INVALID or NO_MEMORY the connection is past saving: only resp_parser_release is left to call. */
enum resp_outcome resp_parse(struct resp_parser *parser, char *input, size_t size,
                             const struct resp_limits *limits, struct resp_arguments *arguments,
                             struct resp_request *request);
