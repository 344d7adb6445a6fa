/* Replays a trace as a cache in front of something slow would see it: GET, and after a miss SET.
 *
 * Nothing is evicted yet, so what this reports is the hit ratio of an unbounded cache: every key misses
 * once, and the ratio is 1 - keys / gets, the ceiling for any policy. There is no option for a capacity
 * until the store can be bounded; a number that pretended to be one would be compared with real ones.
 *
 * A trace is a file, a request a line, either a key alone (a GET) or
 *
 *     get|set|del key [size]            size: bytes of the value, as far as the trace knows it
 *
 * or, without a file, one of three that are made up, each hard for another kind of policy:
 *
 *     zipf      the same few keys are asked for most of the time, forever
 *     scans     the same, but one request in five belongs to a walk over all keys in order: what is read once
 *               and never again, and drives out the rest when recency alone decides
 *     shifting  Zipf's law over a window of a tenth of the keys, which moves on by a tenth of itself every hundredth of
 *               the trace: what was hot gets cold, and drives in nothing when frequency alone decides
 *
 * What to read from it: hit_percent and misses; ns_per_request, everything included (drawing or reading
 * the request, too); used_mb, what the store took to keep it all. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bench/access.h"
#include "bench/bench.h"
#include "bench/keys.h"
#include "bench/options.h"
#include "bench/report.h"
#include "server/clock.h"
#include "shards/base/memory.h"

enum {
    VALUE_BYTES_MAX = 1024 * 1024, /* a larger one counts as this large */
    SCAN_EVERY = 5,
    WINDOW_PART = 10, /* of the keys */
    MOVES = 100,      /* of the window over the trace */
    PROGRESS_EVERY = 1 << 20,
};

struct trace_options {
    const char *file;
    long long keys, requests, value_bytes;
    double zipf;
    bool prints_json;
};

enum operation { OPERATION_GET, OPERATION_SET, OPERATION_DELETE };

struct trace_request {
    enum operation operation;
    struct bytes key; /* valid until the next request */
    size_t value_bytes;
};

/* Where requests come from. */
struct trace {
    const struct trace_options *options;
    const struct trace_row *row;
    uint64_t position; /* requests so far */
    uint64_t scanned;  /* where the walk is */
    struct keys keys;
    char name[KEYS_NAME_BYTES];
    FILE *file;
    char *line;
    size_t line_capacity;
};

struct trace_row {
    const char *name;
    uint64_t part; /* it draws from so small a part of the keys: 1 is all of them */
    bool (*next)(struct trace *trace, struct trace_request *request);
};

/* ---- Made-up traces -------------------------------------------------------------------------- */

static bool give(struct trace *trace, uint64_t key, struct trace_request *request) {
    if (trace->position == (uint64_t)trace->options->requests) return false;
    trace->position++;
    keys_write_name(trace->name, key);
    *request = (struct trace_request){.key = bytes_of(trace->name, sizeof(trace->name)),
                                      .value_bytes = (size_t)trace->options->value_bytes};
    return true;
}

static bool next_zipf(struct trace *trace, struct trace_request *request) {
    return give(trace, keys_next(&trace->keys), request);
}

static bool next_with_scans(struct trace *trace, struct trace_request *request) {
    if (trace->position % SCAN_EVERY != 0) return next_zipf(trace, request);
    return give(trace, trace->scanned++ % (uint64_t)trace->options->keys, request);
}

static bool next_shifting(struct trace *trace, struct trace_request *request) {
    uint64_t keys = (uint64_t)trace->options->keys, window = trace->keys.count;
    uint64_t moves = trace->position * MOVES / (uint64_t)trace->options->requests;
    uint64_t rank = keys_next(&trace->keys);
    return give(trace, (moves * (window / 10 + 1) + rank) % keys, request);
}

/* ---- A file ---------------------------------------------------------------------------------- */

static bool read_operation(const char *word, enum operation *operation) {
    static const char *const words[] = {
        [OPERATION_GET] = "get", [OPERATION_SET] = "set", [OPERATION_DELETE] = "del"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(word, words[i]) == 0) {
            *operation = (enum operation)i;
            return true;
        }
    }
    return false;
}

/* "key", or "op key [size]". False when it is neither. */
static bool read_line(const struct trace_options *options, char *line,
                      struct trace_request *request) {
    enum { WORDS = 3 };
    char *words[WORDS], *rest = NULL;
    for (size_t i = 0; i < WORDS; i++) {
        words[i] = strtok_r(i == 0 ? line : NULL, " \t\r\n", &rest);
    }
    *request = (struct trace_request){.value_bytes = (size_t)options->value_bytes};
    if (words[0] == NULL) return false;
    if (words[1] == NULL) {
        request->key = bytes_of_text(words[0]);
        return true;
    }
    request->key = bytes_of_text(words[1]);
    if (words[2] != NULL) request->value_bytes = strtoull(words[2], NULL, 10);
    if (request->value_bytes > VALUE_BYTES_MAX) request->value_bytes = VALUE_BYTES_MAX;
    return read_operation(words[0], &request->operation);
}

static bool next_of_file(struct trace *trace, struct trace_request *request) {
    while (getline(&trace->line, &trace->line_capacity, trace->file) > 0) {
        trace->position++;
        if (read_line(trace->options, trace->line, request)) return true;
        fprintf(stderr, "sherd-bench: line %llu is no request, and passed over\n",
                (unsigned long long)trace->position);
    }
    return false;
}

static const struct trace_row made_up[] = {{"zipf", 1, next_zipf},
                                           {"scans", 1, next_with_scans},
                                           {"shifting", WINDOW_PART, next_shifting}};
enum { MADE_UP_COUNT = sizeof(made_up) / sizeof(made_up[0]) };

static const struct trace_row from_file = {"file", 1, next_of_file};

/* ---- Replaying ------------------------------------------------------------------------------- */

struct replay {
    struct shards shards;
    struct access access;
    char *value, *reply;
    uint64_t gets, hits, sets;
};

static bool replay_init(struct replay *replay) {
    *replay = (struct replay){.value = malloc(VALUE_BYTES_MAX), .reply = malloc(VALUE_BYTES_MAX)};
    struct shards_options shape = {.shard_count = 1,
                                   .database_count = 1,
                                   .worker_count = 1,
                                   .seed = 1,
                                   .now_ms = clock_unix_ms()};
    if (replay->value == NULL || replay->reply == NULL ||
        shards_init(&replay->shards, &shape) != STATUS_OK) {
        free(replay->value);
        free(replay->reply);
        return false;
    }
    memset(replay->value, 'v', VALUE_BYTES_MAX);
    replay->access = (struct access){.shards = &replay->shards,
                                     .counters = counters_of_worker(&replay->shards.counters, 0),
                                     .now_ms = shape.now_ms,
                                     .reply = replay->reply};
    return true;
}

static void replay_release(struct replay *replay) {
    shards_release(&replay->shards);
    free(replay->value);
    free(replay->reply);
}

/* False when the store is full. */
static bool replay_one(struct replay *replay, const struct trace_request *request) {
    struct access_key at = access_route(&replay->access, request->key);
    if (request->operation == OPERATION_DELETE) {
        access_remove(&replay->access, &at);
        return true;
    }
    if (request->operation == OPERATION_GET) {
        replay->gets++;
        if (access_get(&replay->access, &at)) {
            replay->hits++;
            return true;
        }
    }
    replay->sets++;
    return access_set(&replay->access, &at, bytes_of(replay->value, request->value_bytes)) ==
           STATUS_OK;
}

static void report(const struct replay *replay, const struct trace *trace, double took_ns,
                   size_t used_bytes, struct report *results) {
    double requests = (double)trace->position;
    double misses = (double)(replay->gets - replay->hits);
    const struct report_field fields[] = {
        {.name = "trace", .text = trace->row->name},
        {.name = "evicts", .text = "nothing"},
        {.name = "requests", .number = requests},
        {.name = "gets", .number = (double)replay->gets},
        {.name = "hit_percent",
         .number = replay->gets == 0 ? 0 : 100.0 * (double)replay->hits / (double)replay->gets,
         .decimals = 2},
        {.name = "misses", .number = misses},
        {.name = "keys", .number = (double)shards_key_count(&replay->shards, 0)},
        {.name = "used_mb", .number = (double)used_bytes / 1e6, .decimals = 1},
        {.name = "ns_per_request", .number = requests > 0 ? took_ns / requests : 0, .decimals = 1},
    };
    report_row(results, fields, sizeof(fields) / sizeof(fields[0]));
}

static bool replay_all(struct replay *replay, struct trace *trace, struct report *results) {
    struct trace_request request;
    while (trace->row->next(trace, &request)) {
        if (!replay_one(replay, &request)) {
            fputs("sherd-bench: the store is full\n", stderr);
            return false;
        }
        if (trace->position % PROGRESS_EVERY == 0) report_progress(results, trace->row->name);
    }
    return true;
}

static uint64_t part_of(uint64_t keys, uint64_t part) {
    return keys > part ? keys / part : 1;
}

static bool measure(const struct trace_options *options, const struct trace_row *row,
                    struct report *results) {
    struct trace trace = {.options = options, .row = row};
    keys_init(&trace.keys, part_of((uint64_t)options->keys, row->part), options->zipf, 1);
    if (options->file != NULL && (trace.file = fopen(options->file, "r")) == NULL) {
        perror(options->file);
        return false;
    }
    size_t used_before = memory_used();
    struct replay replay;
    bool is_well = replay_init(&replay);
    if (is_well) {
        int64_t begun_ns = clock_monotonic_ns();
        is_well = replay_all(&replay, &trace, results);
        double took_ns = (double)(clock_monotonic_ns() - begun_ns);
        if (is_well) report(&replay, &trace, took_ns, memory_used() - used_before, results);
        replay_release(&replay);
    }
    free(trace.line);
    if (trace.file != NULL) fclose(trace.file);
    return is_well;
}

int trace_run(int argc, char **argv) {
    struct trace_options options = {
        .keys = 1000000, .requests = 5000000, .value_bytes = 64, .zipf = 0.99};
    const struct option_row rows[] = {
        {"--file", OPTION_TEXT, &options.file},
        {"--keys", OPTION_COUNT, &options.keys},
        {"--requests", OPTION_COUNT, &options.requests},
        {"--zipf", OPTION_FRACTION, &options.zipf},
        {"--value-bytes", OPTION_COUNT, &options.value_bytes},
        {"--json", OPTION_SWITCH, &options.prints_json},
    };
    if (!options_read(argc, argv, rows, sizeof(rows) / sizeof(rows[0]))) return EXIT_FAILURE;
    if (options.value_bytes > VALUE_BYTES_MAX) {
        fputs("sherd-bench: values are at most 1 MiB\n", stderr);
        return EXIT_FAILURE;
    }
    struct report results;
    report_init(&results, "trace", options.prints_json, options.file != NULL ? 1 : MADE_UP_COUNT);
    if (options.file != NULL)
        return measure(&options, &from_file, &results) ? EXIT_SUCCESS : EXIT_FAILURE;
    for (size_t i = 0; i < MADE_UP_COUNT; i++) {
        if (!measure(&options, &made_up[i], &results)) return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
