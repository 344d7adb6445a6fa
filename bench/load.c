/* A load that costs little: requests are pre-built text with a key's digits written in, replies are
 * counted rather than parsed, and the bytes travel through sherd's own engines (net/engine.h), so one core
 * of it fills one core of a server.
 *
 * Closed loop: each connection sends `depth` requests at once and the next ones when all are answered, as
 * redis-benchmark -P does. Open loop (--rate): requests are due at fixed times whether or not earlier ones
 * were answered; latency counts from when a request was due, so a stall is felt by all that it delayed (no
 * "coordinated omission", Gil Tene). The clock is read once a turn. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/histogram.h"
#include "bench/keys.h"
#include "bench/options.h"
#include "bench/protocol.h"
#include "bench/target.h"
#include "net/engine.h"
#include "server/clock.h"
#include "shards/base/memory.h"

enum {
    OPEN_LOOP_DEPTH_MAX =
        1024, /* requests in flight a connection before the open loop counts as overrun */
    WARM_UP_MS = 300,
    FILL_DEPTH = 64,
    VALUE_BYTES_MAX = 1024 * 1024,
};

struct load_options {
    struct target target;
    long long threads, connections, depth, keys, value_bytes, get_percent, seconds;
    double zipf, rate;
    bool fills, prints_json;
};

struct load;

struct load_connection {
    struct connection connection; /* first */
    struct reply_reader replies;
    uint32_t in_flight;
    uint32_t oldest;  /* of `sent_ns` */
    int64_t *sent_ns; /* a ring of `depth_max` */
};

/* A request that is sent over and over, with another key written in. */
struct request_text {
    char *text;
    size_t size, key; /* where the key stands */
};

/* One thread. */
struct load {
    const struct load_options *options;
    struct engine *engine;
    struct buffer_pool buffers;
    struct load_connection *connections;
    uint32_t connection_count, depth_max, next_connection;
    struct keys keys;
    struct random coin;
    struct request_text get, set;
    int64_t now_ns, start_ns, end_ns;
    double interval_ns, due_ns; /* open loop */
    uint64_t fill_next, fill_end;
    uint64_t done, errors, overruns;
    struct histogram histogram;
    bool is_measuring, is_filling, has_failed;
};

/* ---- Requests -------------------------------------------------------------------------------- */

static bool build_request(struct request_text *built, const struct protocol *protocol,
                          enum request_kind kind, size_t value_bytes) {
    char key[KEYS_NAME_BYTES];
    keys_write_name(key, 0);
    struct request request = {
        .kind = kind, .key = bytes_of(key, sizeof(key)), .value_bytes = value_bytes};
    built->text = malloc(REQUEST_HEAD_MAX + value_bytes + PROTOCOL_LINE_END.size);
    if (built->text == NULL) return false;
    built->size = protocol->write_head(built->text, &request);
    const char *written = memmem(built->text, built->size, key, sizeof(key));
    built->key = (size_t)(written - built->text);
    if (kind != REQUEST_SET) return true;
    for (size_t i = 0; i < value_bytes; i++) {
        built->text[built->size++] = (char)('a' + i % 26);
    }
    memcpy(built->text + built->size, PROTOCOL_LINE_END.data, PROTOCOL_LINE_END.size);
    built->size += PROTOCOL_LINE_END.size;
    return true;
}

static bool build_requests(struct load *load) {
    const struct protocol *protocol = load->options->target.protocol;
    return build_request(&load->get, protocol, REQUEST_GET, 0) &&
           build_request(&load->set, protocol, REQUEST_SET, (size_t)load->options->value_bytes);
}

static void add_request(struct load *load, struct load_connection *to, int64_t sent_ns) {
    uint64_t key;
    bool is_set;
    if (load->is_filling) {
        key = load->fill_next++;
        is_set = true;
    } else {
        key = keys_next(&load->keys);
        is_set = random_below(&load->coin, 100) >= (uint64_t)load->options->get_percent;
    }
    const struct request_text *request = is_set ? &load->set : &load->get;
    keys_write_name(request->text + request->key, key);
    buffer_append(&to->connection.output, bytes_of(request->text, request->size));
    to->sent_ns[(to->oldest + to->in_flight++) % load->depth_max] = sent_ns;
}

static void send_round(struct load *load, struct load_connection *to) {
    uint32_t depth = load->is_filling ? FILL_DEPTH : (uint32_t)load->options->depth;
    for (uint32_t i = 0; i < depth; i++) {
        if (load->is_filling && load->fill_next == load->fill_end) break;
        add_request(load, to, load->now_ns);
    }
    if (to->in_flight != 0) engine_send(load->engine, &to->connection);
}

/* What is due by now, over the connections in turn. */
static void send_due(struct load *load) {
    while (load->due_ns <= (double)load->now_ns) {
        struct load_connection *to =
            &load->connections[load->next_connection++ % load->connection_count];
        if (to->in_flight == load->depth_max) {
            load->overruns++;
        } else {
            add_request(load, to, (int64_t)load->due_ns);
            engine_send(load->engine, &to->connection);
        }
        load->due_ns += load->interval_ns;
    }
}

/* ---- Replies --------------------------------------------------------------------------------- */

static void count_reply(struct load *load, struct load_connection *from, enum reply_kind kind) {
    int64_t sent_ns = from->sent_ns[from->oldest];
    from->oldest = (from->oldest + 1) % load->depth_max;
    from->in_flight--;
    if (kind == REPLY_ERROR) load->errors++;
    if (!load->is_measuring) return;
    load->done++;
    histogram_add(&load->histogram, (uint64_t)(load->now_ns - sent_ns), 1);
}

static void on_received(void *context, struct connection *connection, struct bytes bytes) {
    struct load *load = context;
    struct load_connection *from = (struct load_connection *)connection;
    load->now_ns = clock_monotonic_ns();
    enum reply_kind kind;
    while (reply_next(&from->replies, load->options->target.protocol, &bytes, &kind)) {
        count_reply(load, from, kind);
    }
    bool is_open = load->interval_ns > 0 && !load->is_filling;
    if (from->in_flight == 0 && !is_open) send_round(load, from);
}

static void on_ended(void *context, struct connection *connection, int error) {
    struct load *load = context;
    (void)connection;
    if (!load->has_failed) target_complain_ended(error);
    load->has_failed = true;
}

static void on_nothing(void *context, struct connection *connection) {
    (void)context, (void)connection;
}
static void on_woken(void *context) {
    (void)context;
}

static const struct engine_events events = {.received = on_received,
                                            .ended = on_ended,
                                            .sent = on_nothing,
                                            .released = on_nothing,
                                            .woken = on_woken};

/* ---- Connecting ------------------------------------------------------------------------------ */

static bool connect_all(struct load *load) {
    for (uint32_t i = 0; i < load->connection_count; i++) {
        struct load_connection *made = &load->connections[i];
        made->sent_ns = calloc(load->depth_max, sizeof(*made->sent_ns));
        if (made->sent_ns == NULL ||
            !target_attach(&load->options->target, load->engine, &load->buffers, &made->connection))
            return false;
    }
    return true;
}

/* ---- One thread ------------------------------------------------------------------------------ */

static bool in_flight_any(const struct load *load) {
    for (uint32_t i = 0; i < load->connection_count; i++) {
        if (load->connections[i].in_flight != 0) return true;
    }
    return false;
}

static void turn(struct load *load, int timeout_ms) {
    if (engine_turn(load->engine, timeout_ms) != STATUS_OK) load->has_failed = true;
    load->now_ns = clock_monotonic_ns();
}

static void start_rounds(struct load *load) {
    load->now_ns = clock_monotonic_ns();
    for (uint32_t i = 0; i < load->connection_count; i++) {
        send_round(load, &load->connections[i]);
    }
}

static void fill(struct load *load) {
    load->is_filling = true;
    start_rounds(load);
    while (!load->has_failed && in_flight_any(load)) {
        turn(load, 100);
    }
    load->is_filling = false;
}

static void measure(struct load *load) {
    bool is_open = load->interval_ns > 0;
    if (!is_open) start_rounds(load);
    load->now_ns = clock_monotonic_ns();
    load->due_ns = (double)load->now_ns;
    load->start_ns = load->now_ns + WARM_UP_MS * INT64_C(1000000);
    load->end_ns = load->start_ns + load->options->seconds * INT64_C(1000000000);
    while (!load->has_failed && load->now_ns < load->end_ns) {
        if (is_open) send_due(load);
        turn(load, is_open ? 0 : 100);
        if (!load->is_measuring && load->now_ns >= load->start_ns) {
            load->is_measuring = true;
            load->start_ns = load->now_ns;
        }
    }
    load->end_ns = load->now_ns;
}

static void *run_thread(void *argument) {
    struct load *load = argument;
    buffer_pool_init(&load->buffers, 256);
    load->engine = target_engine(&events, load);
    if (load->engine == NULL || !build_requests(load) || !connect_all(load)) {
        load->has_failed = true;
        return NULL;
    }
    if (load->options->fills) fill(load);
    measure(load);
    return NULL;
}

/* ---- All of them ----------------------------------------------------------------------------- */

static void print_result(const struct load_options *options, const struct load *sum,
                         double seconds) {
    double rate = (double)sum->done / seconds;
    double p50 = (double)histogram_percentile(&sum->histogram, 50) / 1000;
    double p99 = (double)histogram_percentile(&sum->histogram, 99) / 1000;
    double p999 = (double)histogram_percentile(&sum->histogram, 99.9) / 1000;
    double p9999 = (double)histogram_percentile(&sum->histogram, 99.99) / 1000;
    double max = (double)sum->histogram.max / 1000;
    const char *format =
        options->prints_json
            ? "{\"requests\":%llu,\"seconds\":%.3f,\"rate\":%.0f,\"p50_us\":%.1f,\"p99_us\":%.1f,"
              "\"p999_us\":%.1f,"
              "\"p9999_us\":%.1f,\"max_us\":%.1f,\"errors\":%llu,\"overruns\":%llu}\n"
            : "%llu requests in %.3f s: %.0f a second\nlatency in us: p50 %.1f, p99 %.1f, p99.9 "
              "%.1f, p99.99 %.1f, max "
              "%.1f\nerrors %llu, overruns %llu\n";
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    printf(format, (unsigned long long)sum->done, seconds, rate, p50, p99, p999, p9999, max,
           (unsigned long long)sum->errors, (unsigned long long)sum->overruns);
#pragma GCC diagnostic pop
}

static void prepare(struct load *load, const struct load_options *options, uint32_t index) {
    uint32_t threads = (uint32_t)options->threads;
    load->options = options;
    load->connection_count = (uint32_t)(options->connections / threads);
    if (load->connection_count == 0) load->connection_count = 1;
    load->depth_max = options->rate > 0 ? OPEN_LOOP_DEPTH_MAX : (uint32_t)options->depth;
    if (load->depth_max < FILL_DEPTH) load->depth_max = FILL_DEPTH;
    load->interval_ns = options->rate > 0 ? 1e9 * threads / options->rate : 0;
    load->fill_next = (uint64_t)options->keys * index / threads;
    load->fill_end = (uint64_t)options->keys * (index + 1) / threads;
    keys_init(&load->keys, (uint64_t)options->keys, options->zipf, index + 1);
    random_init(&load->coin, index + 1001);
    load->connections = calloc(load->connection_count, sizeof(*load->connections));
}

int load_run(int argc, char **argv) {
    struct load_options options = {.target = target_default(),
                                   .threads = 1,
                                   .connections = 50,
                                   .depth = 1,
                                   .keys = 1000000,
                                   .value_bytes = 64,
                                   .get_percent = 90,
                                   .seconds = 5};
    const struct option_row rows[] = {
        {"--host", OPTION_TEXT, &options.target.host},
        {"--port", OPTION_NUMBER, &options.target.port},
        {"--unix", OPTION_TEXT, &options.target.unix_path},
        {"--protocol", OPTION_TEXT, &options.target.protocol_name},
        {"--threads", OPTION_NUMBER, &options.threads},
        {"--connections", OPTION_NUMBER, &options.connections},
        {"--depth", OPTION_NUMBER, &options.depth},
        {"--keys", OPTION_NUMBER, &options.keys},
        {"--zipf", OPTION_FRACTION, &options.zipf},
        {"--value-bytes", OPTION_NUMBER, &options.value_bytes},
        {"--get-percent", OPTION_NUMBER, &options.get_percent},
        {"--seconds", OPTION_NUMBER, &options.seconds},
        {"--rate", OPTION_FRACTION, &options.rate},
        {"--fill", OPTION_SWITCH, &options.fills},
        {"--json", OPTION_SWITCH, &options.prints_json},
    };
    if (!options_read(argc, argv, rows, sizeof(rows) / sizeof(rows[0]))) return EXIT_FAILURE;
    if (!target_is_known(&options.target)) return EXIT_FAILURE;
    if (options.threads < 1 || options.depth < 1 || options.keys < 1 || options.value_bytes < 0 ||
        options.value_bytes > VALUE_BYTES_MAX || options.connections < 1 || options.seconds < 0) {
        fputs("sherd-bench: threads, depth, keys and connections are at least 1, values at most 1 "
              "MiB\n",
              stderr);
        return EXIT_FAILURE;
    }

    size_t count = (size_t)options.threads;
    struct load *loads = calloc(count + 1, sizeof(*loads)); /* the last is the sum */
    pthread_t *threads = calloc(count, sizeof(*threads));
    if (loads == NULL || threads == NULL) return EXIT_FAILURE;
    struct load *sum = &loads[count];
    double seconds = 0;
    for (size_t i = 0; i < count; i++) {
        prepare(&loads[i], &options, (uint32_t)i);
        if (loads[i].connections == NULL ||
            pthread_create(&threads[i], NULL, run_thread, &loads[i]) != 0)
            return EXIT_FAILURE;
    }
    for (size_t i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
        sum->done += loads[i].done;
        sum->errors += loads[i].errors;
        sum->overruns += loads[i].overruns;
        sum->has_failed |= loads[i].has_failed;
        histogram_merge(&sum->histogram, &loads[i].histogram);
        double took = (double)(loads[i].end_ns - loads[i].start_ns) / 1e9;
        if (took > seconds) seconds = took;
    }
    if (!sum->has_failed) print_result(&options, sum, seconds);
    return sum->has_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
