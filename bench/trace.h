/* Where the requests of a replay come from: a file, or one of the traces that are made up. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "bench/keys.h"
#include "bench/protocol.h"

enum { TRACE_VALUE_MAX = 1024 * 1024 }; /* a larger value counts as this large */

struct trace_options {
    const char *file;         /* NULL: made up */
    long long keys, requests; /* the made-up ones' */
    long long loop_keys;      /* the loop's */
    long long seed;           /* of what they draw */
    long long value_bytes;    /* of values that the trace gives no size for */
    bool has_mixed_sizes;     /* instead: log-uniform from 64 B to 8 KiB, by the key */
};

struct trace_row;

/* One thread's. */
struct trace {
    const struct trace_options *options;
    const struct trace_row *row;
    uint64_t position; /* requests so far; lines, in a file */
    uint64_t scanned;  /* keys of scans so far */
    struct keys keys;
    char name[KEYS_NAME_BYTES];
    FILE *file;
    char *line;
    size_t line_capacity;
};

enum { TRACE_COUNT = 7 }; /* made up */

/* Begin made-up trace `index` below TRACE_COUNT, or the options' file, whatever the index. False, with a message on
 * standard error, when the file can't be opened. `options` outlives the trace. */
bool trace_open(struct trace *trace, const struct trace_options *options, size_t index);
void trace_close(struct trace *trace);
/* The next GET, SET or DEL; its key is valid until the next call. False at the end. Deterministic. */
bool trace_next(struct trace *trace, struct request *request);
/* "file" for all that are no made-up one. */
const char *trace_name(const struct trace *trace);
/* The index of the made-up trace of that name; TRACE_COUNT when there is none. */
size_t trace_named(const char *name);
