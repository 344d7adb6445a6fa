/* sherd-bench trace: every made-up trace, or a file, replayed. What to read from it:
 *
 *     hit_percent          of the GETs: what the something slow behind the cache is spared
 *     byte_hit_percent     of the bytes asked for: what its network is spared; the two differ when sizes are mixed
 *     ns_per_request       everything included: drawing or reading the request, and, on a server, the way there */
#include "bench/replay.h"

#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/options.h"
#include "server/clock.h"

enum { PROGRESS_EVERY = 1 << 20, WINDOW_MAX = 65536, STORE_RATE = 50000, IN_STORE_ONLY = 2 };

bool replay_next(struct replay *replay, struct request *request) {
    if (!trace_next(&replay->trace, request)) return false;
    replay->requests++;
    if (replay->requests % PROGRESS_EVERY == 0)
        report_progress(replay->report, trace_name(&replay->trace));
    return true;
}

void replay_count(struct replay *replay, size_t value_bytes, bool is_hit) {
    if (replay->warm_up > 0) {
        replay->warm_up--;
        return;
    }
    replay->gets++;
    replay->get_bytes += value_bytes;
    if (!is_hit) return;
    replay->hits++;
    replay->hit_bytes += value_bytes;
}

static double percent(uint64_t part, uint64_t whole) {
    return whole == 0 ? 0 : 100.0 * (double)part / (double)whole;
}

static void print(const struct replay *replay, double took_ns, bool is_in_store) {
    double requests = (double)replay->requests;
    const struct report_field fields[] = {
        {.name = "trace", .text = trace_name(&replay->trace)},
        {.name = "requests", .number = requests},
        {.name = "gets", .number = (double)replay->gets},
        {.name = "hit_percent", .number = percent(replay->hits, replay->gets), .decimals = 2},
        {.name = "byte_hit_percent",
         .number = percent(replay->hit_bytes, replay->get_bytes),
         .decimals = 2},
        {.name = "misses", .number = (double)(replay->gets - replay->hits)},
        {.name = "errors", .number = (double)replay->errors},
        {.name = "ns_per_request", .number = requests > 0 ? took_ns / requests : 0, .decimals = 1},
        /* IN_STORE_ONLY: */
        {.name = "keys", .number = (double)replay->keys},
        {.name = "used_mb", .number = (double)replay->used_bytes / 1e6, .decimals = 1},
    };
    size_t count = sizeof(fields) / sizeof(fields[0]);
    report_row(replay->report, fields, is_in_store ? count : count - IN_STORE_ONLY);
}

struct choice {
    struct trace_options trace;
    struct replay_store_options store;
    size_t first, end; /* of the traces */
    long long warm_up;
    bool prints_json;
};

/* `server` is NULL for the store in process. */
static bool replay_one(struct replay *replay, const struct choice *choice,
                       struct replay_server *server) {
    int64_t begun_ns = clock_monotonic_ns();
    bool is_well =
        server == NULL ? replay_in_store(replay, &choice->store) : replay_on_server(replay, server);
    double took_ns = (double)(clock_monotonic_ns() - begun_ns);
    if (is_well) print(replay, took_ns, server == NULL);
    return is_well;
}

static bool replay_all(const struct choice *choice, struct replay_server *server) {
    char *value = malloc(TRACE_VALUE_MAX);
    if (value == NULL) return false;
    memset(value, 'v', TRACE_VALUE_MAX);
    struct report report;
    report_init(&report, "trace", choice->prints_json, choice->end - choice->first);
    bool is_well = true;
    for (size_t i = choice->first; is_well && i < choice->end; i++) {
        struct replay replay = {
            .report = &report, .value = value, .warm_up = (uint64_t)choice->warm_up};
        is_well = trace_open(&replay.trace, &choice->trace, i);
        if (!is_well) break;
        is_well = replay_one(&replay, choice, server);
        trace_close(&replay.trace);
    }
    free(value);
    return is_well;
}

/* Which traces: the one that was named, the file alone, or all that are made up. */
static bool choose(struct choice *choice, const char *only) {
    choice->end = choice->trace.file != NULL ? 1 : TRACE_COUNT;
    if (only == NULL) return true;
    choice->first = trace_named(only);
    choice->end = choice->first + 1;
    if (choice->first < TRACE_COUNT && choice->trace.file == NULL) return true;
    fprintf(stderr, "sherd-bench: no made-up trace '%s'\n", only);
    return false;
}

int trace_run(int argc, char **argv) {
    struct choice choice = {
        .trace = {.keys = 1000000, .requests = 5000000, .seed = 1, .value_bytes = 64},
        .store = {.shards = 16, .policy = "allkeys-adaptive", .rate = STORE_RATE}};
    struct replay_server_options options = {
        .target = target_default(), .connections = 4, .depth = 16};
    options.target.port = 0; /* in process */
    const char *only = NULL;
    const struct option_row rows[] = {
        {"--host", OPTION_TEXT, &options.target.host},
        {"--port", OPTION_COUNT, &options.target.port},
        {"--unix", OPTION_TEXT, &options.target.unix_path},
        {"--protocol", OPTION_TEXT, &options.target.protocol_name},
        {"--connections", OPTION_COUNT, &options.connections},
        {"--depth", OPTION_COUNT, &options.depth},
        {"--rate", OPTION_FRACTION, &options.rate},
        {"--file", OPTION_TEXT, &choice.trace.file},
        {"--only", OPTION_TEXT, &only},
        {"--keys", OPTION_COUNT, &choice.trace.keys},
        {"--loop-keys", OPTION_COUNT, &choice.trace.loop_keys},
        {"--seed", OPTION_NUMBER, &choice.trace.seed},
        {"--warm-up", OPTION_NUMBER, &choice.warm_up},
        {"--limit-bytes", OPTION_NUMBER, &choice.store.limit_bytes},
        {"--policy", OPTION_TEXT, &choice.store.policy},
        {"--shards", OPTION_COUNT, &choice.store.shards},
        {"--requests", OPTION_COUNT, &choice.trace.requests},
        {"--value-bytes", OPTION_COUNT, &choice.trace.value_bytes},
        {"--mixed-sizes", OPTION_SWITCH, &choice.trace.has_mixed_sizes},
        {"--json", OPTION_SWITCH, &choice.prints_json},
    };
    if (!options_read(argc, argv, rows, sizeof(rows) / sizeof(rows[0])) ||
        !target_is_known(&options.target) || !choose(&choice, only))
        return EXIT_FAILURE;
    if (choice.trace.loop_keys == 0) choice.trace.loop_keys = choice.trace.keys;
    if (options.rate > 0) choice.store.rate = options.rate;
    if (choice.trace.value_bytes > TRACE_VALUE_MAX || options.connections > WINDOW_MAX ||
        options.depth > WINDOW_MAX / options.connections) {
        fputs("sherd-bench: values are at most 1 MiB, and 65536 requests in flight\n", stderr);
        return EXIT_FAILURE;
    }
    struct replay_server *server = NULL;
    if (options.target.port != 0 || options.target.unix_path != NULL) {
        server = replay_server_create(&options);
        if (server == NULL) return EXIT_FAILURE;
    }
    bool is_well = replay_all(&choice, server);
    if (server != NULL) replay_server_destroy(server);
    return is_well ? EXIT_SUCCESS : EXIT_FAILURE;
}
