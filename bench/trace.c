/* A trace is a file, a request a line, either a key alone (a GET) or
 *
 *     get|set|del key [size]            size: bytes of the value, as far as the trace knows it
 *
 * or, without a file, one of those that are made up, each hard for another kind of policy:
 *
 *     zipf-0.7, zipf-0.99, zipf-1.2     the same few keys are asked for most of the time, forever; the exponent says
 *                                       how few
 *     scans       one request in five belongs to a walk over keys that are read once and never again, and drive out the
 *                 rest when recency alone decides; the walks come in runs of a hundredth of the keys
 *     shifting    Zipf's law over a window of a tenth of the keys, which moves on by a tenth of itself every hundredth
 *                 of the trace: what was hot gets cold, and stays when frequency alone decides
 *     loop        keys in order, again and again, as many as --loop-keys says: a cache a little too small for them hits
 *                 nothing when the least recently used goes first
 *     ttl         zipf-0.99, but every other key's value expires, by the key after 2, 4 or 8 seconds
 *
 * Sizes of values may be mixed: log-uniform, so that as many lie between 64 and 128 bytes as between 4 and 8 KiB, and
 * a hash of the key decides, so a key's value has one size in every run and on every server. */
#include "bench/trace.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shards/base/check.h"
#include "shards/base/hash.h"

enum {
    SCAN_EVERY = 5,   /* run of requests is a walk */
    SCAN_PART = 100,  /* of the keys: the length of a run */
    WINDOW_PART = 10, /* of the keys */
    MOVES = 100,      /* of the window over the trace */
    MIXED_BYTES_MIN = 64,
    MIXED_DOUBLINGS = 7, /* up to 8 KiB */
    SIZE_SEED = 1,
    TTL_SEED = 2,
    TTL_MIN_S = 2,
    TTL_DOUBLINGS = 3, /* 2, 4, 8 */
};

struct trace_row {
    const char *name;
    double exponent; /* Zipf's */
    uint64_t part;   /* it draws from so small a part of the keys: 1 is all of them */
    bool (*next)(struct trace *trace, struct request *request);
};

static uint64_t part_of(long long keys, uint64_t part) {
    return (uint64_t)keys > part ? (uint64_t)keys / part : 1;
}

static size_t value_size(const struct trace_options *options, struct bytes key) {
    if (!options->has_mixed_sizes) return (size_t)options->value_bytes;
    double fraction = (double)(hash_seeded(key, SIZE_SEED) >> 11) * 0x1p-53;
    return (size_t)(MIXED_BYTES_MIN * exp2(MIXED_DOUBLINGS * fraction));
}

/* ---- Made-up traces -------------------------------------------------------------------------- */

static bool give(struct trace *trace, uint64_t key, struct request *request) {
    if (trace->position == (uint64_t)trace->options->requests) return false;
    trace->position++;
    keys_write_name(trace->name, key);
    struct bytes name = bytes_of(trace->name, sizeof(trace->name));
    *request = (struct request){
        .kind = REQUEST_GET, .key = name, .value_bytes = value_size(trace->options, name)};
    return true;
}

static bool next_zipf(struct trace *trace, struct request *request) {
    return give(trace, keys_next(&trace->keys), request);
}

static bool next_with_scans(struct trace *trace, struct request *request) {
    uint64_t run = trace->position / part_of(trace->options->keys, SCAN_PART);
    if (run % SCAN_EVERY != SCAN_EVERY - 1) return next_zipf(trace, request);
    return give(trace, (uint64_t)trace->options->keys + trace->scanned++, request);
}

static bool next_shifting(struct trace *trace, struct request *request) {
    uint64_t keys = (uint64_t)trace->options->keys, window = trace->keys.count;
    uint64_t moves = trace->position * MOVES / (uint64_t)trace->options->requests;
    uint64_t rank = keys_next(&trace->keys);
    return give(trace, (moves * (window / 10 + 1) + rank) % keys, request);
}

static bool next_of_loop(struct trace *trace, struct request *request) {
    return give(trace, trace->position % (uint64_t)trace->options->loop_keys, request);
}

/* A bit of the key's hash says whether, the next ones how soon. */
static bool next_expiring(struct trace *trace, struct request *request) {
    if (!next_zipf(trace, request)) return false;
    uint64_t hash = hash_seeded(request->key, TTL_SEED);
    if (hash % 2 == 0) request->ttl_s = TTL_MIN_S << hash / 2 % TTL_DOUBLINGS;
    return true;
}

static const struct trace_row made_up[] = {
    {"zipf-0.7", 0.7, 1, next_zipf},
    {"zipf-0.99", 0.99, 1, next_zipf},
    {"zipf-1.2", 1.2, 1, next_zipf},
    {"scans", 0.99, 1, next_with_scans},
    {"shifting", 0.99, WINDOW_PART, next_shifting},
    {"loop", 0, 1, next_of_loop},
    {"ttl", 0.99, 1, next_expiring},
};
static_assert(sizeof(made_up) / sizeof(made_up[0]) == TRACE_COUNT, "the header says how many");

/* ---- A file ---------------------------------------------------------------------------------- */

static bool read_kind(const char *word, enum request_kind *kind) {
    static const char *const words[] = {
        [REQUEST_GET] = "get", [REQUEST_SET] = "set", [REQUEST_DELETE] = "del"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(word, words[i]) == 0) {
            *kind = (enum request_kind)i;
            return true;
        }
    }
    return false;
}

/* "key", or "op key [size]". False when it is neither, or the key longer than every server takes. */
static bool read_line(const struct trace_options *options, char *line, struct request *request) {
    enum { WORDS = 3 };
    char *words[WORDS], *rest = NULL;
    for (size_t i = 0; i < WORDS; i++) {
        words[i] = strtok_r(i == 0 ? line : NULL, " \t\r\n", &rest);
    }
    if (words[0] == NULL) return false;
    bool has_kind = words[1] != NULL;
    *request = (struct request){.kind = REQUEST_GET, .key = bytes_of_text(words[has_kind ? 1 : 0])};
    if (request->key.size > REQUEST_KEY_MAX) return false;
    request->value_bytes = has_kind && words[2] != NULL ? strtoull(words[2], NULL, 10)
                                                        : value_size(options, request->key);
    if (request->value_bytes > TRACE_VALUE_MAX) request->value_bytes = TRACE_VALUE_MAX;
    return !has_kind || read_kind(words[0], &request->kind);
}

static bool next_of_file(struct trace *trace, struct request *request) {
    while (getline(&trace->line, &trace->line_capacity, trace->file) > 0) {
        trace->position++;
        if (read_line(trace->options, trace->line, request)) return true;
        fprintf(stderr, "sherd-bench: line %llu is no request, and passed over\n",
                (unsigned long long)trace->position);
    }
    return false;
}

static const struct trace_row from_file = {"file", 0, 1, next_of_file};

/* ---- Both ------------------------------------------------------------------------------------ */

bool trace_open(struct trace *trace, const struct trace_options *options, size_t index) {
    check(options->file != NULL || index < TRACE_COUNT);
    *trace = (struct trace){.options = options,
                            .row = options->file != NULL ? &from_file : &made_up[index]};
    keys_init(&trace->keys, part_of(options->keys, trace->row->part), trace->row->exponent,
              (uint64_t)options->seed);
    if (options->file == NULL) return true;
    trace->file = fopen(options->file, "r");
    if (trace->file == NULL) perror(options->file);
    return trace->file != NULL;
}

void trace_close(struct trace *trace) {
    free(trace->line);
    if (trace->file != NULL) fclose(trace->file);
}

bool trace_next(struct trace *trace, struct request *request) {
    return trace->row->next(trace, request);
}

const char *trace_name(const struct trace *trace) {
    return trace->row->name;
}

size_t trace_named(const char *name) {
    size_t index = 0;
    while (index < TRACE_COUNT && strcmp(name, made_up[index].name) != 0) {
        index++;
    }
    return index;
}
