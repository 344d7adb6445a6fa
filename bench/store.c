/* The shards alone, without a network: what a command costs once it has been read, and what the lock costs
 * when several workers run. Everything is done as a worker does it (access.c): route, hash, prefetch a
 * batch, lock, find or put, copy the value out, count. What the server adds above is read from
 * `sherd-bench load` and `floor`.
 *
 * Against what: `--shards 1` is the single map under one readers-writer lock, the same code, so the rows
 * of `global` and `sharded` differ by contention alone. `--batch 1` takes the prefetching away.
 *
 * What to read from it:
 *   ns_per_op       of one thread: the path's price. It is time of a thread: with perfect scaling it stays the same.
 *   scaling         operations a second over those of the first number of threads; with more threads than processors it
 *                   can't grow.
 *   waits, waited   what the locks' own profile saw: takes that had to wait, all their time, the longest of them.
 *   rss, accounted  bytes a key over key and value: as the kernel sees the process grow, and by our own books.
 *
 * Keys are inserted in a scattered order, so that the most frequent of Zipf's keys don't lie side by side.
 *
 * --grow inserts from nothing, and times every insert (two reads of the cycle counter, some 20 ns, are in
 * it). The longest is the longest time that the shard was held, and whatever else happened to the thread
 * meanwhile: `preempted` counts how often the scheduler took its processor away, which alone costs
 * milliseconds. p99.99 is beyond its reach. */
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/access.h"
#include "bench/bench.h"
#include "bench/histogram.h"
#include "bench/keys.h"
#include "bench/options.h"
#include "bench/report.h"
#include "bench/threads.h"
#include "server/clock.h"
#include "shards/base/memory.h"

enum { BATCH_MAX = 256, VALUE_BYTES_MAX = 1024 * 1024 };
static const uint64_t SEED = 20240229;
static const uint64_t SCATTER =
    2654435761; /* a prime (Knuth's): i * SCATTER % n visits all unless it divides n */

struct store_options {
    struct option_list threads, shards, get_percent, zipf;
    long long keys, value_bytes, batch;
    double seconds;
    bool is_hot, grows, prints_json;
};

/* One thread's, on its own cache lines. */
struct store_worker {
    alignas(64) struct access access;
    struct keys keys;
    struct random coin;
    uint64_t done, failed;
};

struct store {
    const struct store_options *options;
    struct shards shards;
    uint64_t key_count; /* to draw from: 1 when all use one key */
    uint64_t get_percent;
    char *value, *replies; /* `replies`: a value's room for each thread */
    struct store_worker workers[THREADS_MAX];
    size_t rss_before, used_before;
};

/* ---- Filling --------------------------------------------------------------------------------- */

static size_t resident_bytes(void) {
    long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL) return 0;
    if (fscanf(file, "%ld %ld", &pages, &resident) != 2) resident = 0;
    fclose(file);
    return (size_t)resident * (size_t)sysconf(_SC_PAGESIZE);
}

static struct bytes value_of(const struct store *store) {
    return bytes_of(store->value, (size_t)store->options->value_bytes);
}

static void worker_init(struct store *store, uint32_t index, uint64_t key_count, double zipf) {
    struct store_worker *worker = &store->workers[index];
    *worker = (struct store_worker){
        .access = {.shards = &store->shards,
                   .counters = counters_of_worker(&store->shards.counters, index),
                   .now_ms = clock_unix_ms(),
                   .reply = store->replies + (size_t)store->options->value_bytes * index}};
    keys_init(&worker->keys, key_count, zipf, index + 1);
    random_init(&worker->coin, index + 1001);
}

/* The i-th key of those to insert. */
static bool insert(struct store *store, uint64_t i) {
    char name[KEYS_NAME_BYTES];
    keys_write_name(name, i * SCATTER % (uint64_t)store->options->keys);
    struct access *access = &store->workers[0].access;
    struct access_key at = access_route(access, bytes_of(name, sizeof(name)));
    return access_set(access, &at, value_of(store)) == STATUS_OK;
}

static bool fill(struct store *store) {
    for (uint64_t i = 0; i < (uint64_t)store->options->keys; i++) {
        if (!insert(store, i)) {
            fputs("sherd-bench: the store is full: fewer --keys or smaller values\n", stderr);
            return false;
        }
    }
    return true;
}

static void close_store(struct store *store) {
    if (store == NULL) return;
    if (store->shards.shards != NULL) shards_release(&store->shards);
    free(store->value);
    free(store->replies);
    free(store);
}

/* An empty store, or NULL, with a message. */
static struct store *open_store(const struct store_options *options, uint32_t shard_count) {
    size_t used_before = memory_used(), rss_before = resident_bytes();
    uint32_t worker_count = (uint32_t)options_max(&options->threads);
    struct store *store = aligned_alloc(alignof(struct store), sizeof(*store));
    if (store == NULL) return NULL;
    memset(store, 0, sizeof(*store));
    store->options = options;
    store->used_before = used_before;
    store->rss_before = rss_before;
    store->value = malloc((size_t)options->value_bytes);
    store->replies = malloc((size_t)options->value_bytes * worker_count);
    struct shards_options shape = {.shard_count = shard_count,
                                   .database_count = 1,
                                   .worker_count = worker_count,
                                   .seed = SEED,
                                   .now_ms = clock_unix_ms()};
    if (store->value == NULL || store->replies == NULL ||
        shards_init(&store->shards, &shape) != STATUS_OK) {
        fputs("sherd-bench: no memory for the store\n", stderr);
        close_store(store);
        return NULL;
    }
    memset(store->value, 'v', (size_t)options->value_bytes);
    worker_init(store, 0, 1, 0);
    return store;
}

/* ---- A worker's turns ------------------------------------------------------------------------ */

/* One turn: what dispatch.c does with a batch, in its three passes. */
static void run_batch(struct store *store, struct store_worker *worker, uint32_t size) {
    char names[BATCH_MAX][KEYS_NAME_BYTES];
    struct access_key at[BATCH_MAX];
    for (uint32_t i = 0; i < size; i++) {
        keys_write_name(names[i], keys_next(&worker->keys));
        at[i] = access_route(&worker->access, bytes_of(names[i], KEYS_NAME_BYTES));
        if (size > 1) access_prefetch_bucket(&at[i]);
    }
    for (uint32_t i = 0; size > 1 && i < size; i++) {
        access_prefetch_entry(&at[i]);
    }
    for (uint32_t i = 0; i < size; i++) {
        if (random_below(&worker->coin, 100) < store->get_percent) {
            access_get(&worker->access, &at[i]);
        } else if (access_set(&worker->access, &at[i], value_of(store)) != STATUS_OK) {
            worker->failed++;
        }
    }
    worker->done += size;
}

static void work(void *context, uint32_t index, const _Atomic bool *is_over) {
    struct store *store = context;
    while (!threads_over(is_over)) {
        run_batch(store, &store->workers[index], (uint32_t)store->options->batch);
    }
}

/* ---- Measurements ---------------------------------------------------------------------------- */

static struct rwlock_profile sum_profiles(const struct shards *shards) {
    struct rwlock_profile sum = {0};
    for (uint32_t i = 0; i < shards->count; i++) {
        struct rwlock_profile one = rwlock_profile(&shards->shards[i].lock);
        sum.waits += one.waits;
        sum.waited_ns += one.waited_ns;
        if (one.longest_wait_ns > sum.longest_wait_ns) sum.longest_wait_ns = one.longest_wait_ns;
    }
    return sum;
}

static void reset_profiles(struct shards *shards) {
    for (uint32_t i = 0; i < shards->count; i++) {
        rwlock_profile_reset(&shards->shards[i].lock);
    }
}

/* What a key costs over its name and its value. */
static double over_content(const struct store *store, size_t before, size_t now) {
    double content = KEYS_NAME_BYTES + (double)store->options->value_bytes;
    return now < before ? 0 : (double)(now - before) / (double)store->options->keys - content;
}

/* Footprints are taken once, after the filling. */
struct footprint {
    double rss, accounted;
};

static struct footprint footprint_of(const struct store *store) {
    return (struct footprint){over_content(store, store->rss_before, resident_bytes()),
                              over_content(store, store->used_before, memory_used())};
}

/* A row's place among the threads x get-percent x zipf. */
struct cell {
    uint32_t threads;
    double get_percent, zipf;
};

/* Operations a second, or 0. */
static double measure(struct store *store, struct cell cell, double first_rate,
                      struct footprint footprint, struct report *results) {
    store->get_percent = (uint64_t)cell.get_percent;
    for (uint32_t i = 0; i < cell.threads; i++) {
        worker_init(store, i, store->key_count, cell.zipf);
    }
    reset_profiles(&store->shards);
    const char *mode = store->shards.count == 1 ? "global" : "sharded";
    report_progress(results, mode);
    double took = threads_run(&(struct threads_plan){
        .count = cell.threads, .seconds = store->options->seconds, .body = work, .context = store});
    if (took <= 0) return 0;
    double done = 0;
    for (uint32_t i = 0; i < cell.threads; i++) {
        done += (double)(store->workers[i].done - store->workers[i].failed);
    }
    struct rwlock_profile profile = sum_profiles(&store->shards);
    double rate = done / took;
    const struct report_field fields[] = {
        {.name = "mode", .text = mode},
        {.name = "shards", .number = store->shards.count},
        {.name = "zipf", .number = cell.zipf, .decimals = 2},
        {.name = "get_percent", .number = cell.get_percent},
        {.name = "threads", .number = cell.threads},
        {.name = "ops_per_s", .number = rate},
        {.name = "ns_per_op", .number = took * 1e9 * cell.threads / done, .decimals = 1},
        {.name = "scaling", .number = first_rate > 0 ? rate / first_rate : 1, .decimals = 2},
        {.name = "waits_per_s", .number = (double)profile.waits / took},
        {.name = "waited_ms", .number = (double)profile.waited_ns / 1e6, .decimals = 2},
        {.name = "longest_us", .number = (double)profile.longest_wait_ns / 1e3, .decimals = 1},
        {.name = "rss_over", .number = footprint.rss, .decimals = 1},
        {.name = "accounted_over", .number = footprint.accounted, .decimals = 1},
    };
    report_row(results, fields, sizeof(fields) / sizeof(fields[0]));
    return rate;
}

static bool measure_threads(struct store *store, struct cell cell, struct footprint footprint,
                            struct report *results) {
    double first_rate = 0;
    for (size_t i = 0; i < store->options->threads.count; i++) {
        cell.threads = (uint32_t)store->options->threads.values[i];
        double rate = measure(store, cell, first_rate, footprint, results);
        if (rate <= 0) return false;
        if (first_rate <= 0) first_rate = rate;
    }
    return true;
}

static bool measure_filled(struct store *store, struct report *results) {
    const struct store_options *options = store->options;
    report_progress(results, "filling");
    if (!fill(store)) return false;
    struct footprint footprint = footprint_of(store);
    store->key_count = options->is_hot ? 1 : (uint64_t)options->keys;
    for (size_t z = 0; z < options->zipf.count; z++) {
        for (size_t g = 0; g < options->get_percent.count; g++) {
            struct cell cell = {.zipf = options->zipf.values[z],
                                .get_percent = options->get_percent.values[g]};
            if (!measure_threads(store, cell, footprint, results)) return false;
        }
    }
    return true;
}

/* ---- Growing from nothing -------------------------------------------------------------------- */

static uint64_t times_preempted(void) {
    struct rusage usage;
    return getrusage(RUSAGE_THREAD, &usage) == 0 ? (uint64_t)usage.ru_nivcsw : 0;
}

/* Every insert's nanoseconds into `histogram`; returns all of them, or 0 when the store is full. */
static double insert_all(struct store *store, struct histogram *histogram) {
    double ns_per_tick = 1000 / clock_ticks_per_us();
    int64_t begun_ns = clock_monotonic_ns();
    for (uint64_t i = 0; i < (uint64_t)store->options->keys; i++) {
        uint64_t begun = clock_ticks();
        if (!insert(store, i)) return 0;
        histogram_add(histogram, (uint64_t)((double)(clock_ticks() - begun) * ns_per_tick), 1);
    }
    return (double)(clock_monotonic_ns() - begun_ns);
}

static bool measure_growing(struct store *store, struct report *results) {
    struct histogram *histogram = calloc(1, sizeof(*histogram));
    if (histogram == NULL) return false;
    report_progress(results, "growing");
    uint64_t preempted_before = times_preempted();
    double all_ns = insert_all(store, histogram);
    struct footprint footprint = footprint_of(store);
    const struct report_field fields[] = {
        {.name = "mode", .text = store->shards.count == 1 ? "global" : "sharded"},
        {.name = "shards", .number = store->shards.count},
        {.name = "keys", .number = (double)store->options->keys},
        {.name = "ns_per_insert", .number = all_ns / (double)store->options->keys, .decimals = 1},
        {.name = "p50_ns", .number = (double)histogram_percentile(histogram, 50)},
        {.name = "p99_ns", .number = (double)histogram_percentile(histogram, 99)},
        {.name = "p9999_us",
         .number = (double)histogram_percentile(histogram, 99.99) / 1e3,
         .decimals = 1},
        {.name = "longest_us", .number = (double)histogram->max / 1e3, .decimals = 1},
        {.name = "preempted", .number = (double)(times_preempted() - preempted_before)},
        {.name = "rss_over", .number = footprint.rss, .decimals = 1},
        {.name = "accounted_over", .number = footprint.accounted, .decimals = 1},
    };
    if (all_ns > 0) report_row(results, fields, sizeof(fields) / sizeof(fields[0]));
    free(histogram);
    return all_ns > 0;
}

/* ---- The subcommand -------------------------------------------------------------------------- */

static bool is_sensible(const struct store_options *options) {
    for (size_t i = 0; i < options->shards.count; i++) {
        uint64_t count = (uint64_t)options->shards.values[i];
        if (count > SHARDS_MAX || (count & (count - 1)) != 0) return false;
    }
    return options->batch <= BATCH_MAX && options->value_bytes <= VALUE_BYTES_MAX &&
           options_max(&options->threads) <= THREADS_MAX;
}

int store_run(int argc, char **argv) {
    struct store_options options = {.threads = {2, {1, 2}},
                                    .shards = {2, {32, 1}},
                                    .get_percent = {1, {90}},
                                    .zipf = {2, {0, 0.99}},
                                    .keys = 1000000,
                                    .value_bytes = 64,
                                    .batch = 16,
                                    .seconds = 1};
    const struct option_row rows[] = {
        {"--threads", OPTION_COUNTS, &options.threads},
        {"--shards", OPTION_COUNTS, &options.shards},
        {"--get-percent", OPTION_LIST, &options.get_percent},
        {"--zipf", OPTION_LIST, &options.zipf},
        {"--keys", OPTION_COUNT, &options.keys},
        {"--value-bytes", OPTION_COUNT, &options.value_bytes},
        {"--batch", OPTION_COUNT, &options.batch},
        {"--seconds", OPTION_FRACTION, &options.seconds},
        {"--hot", OPTION_SWITCH, &options.is_hot},
        {"--grow", OPTION_SWITCH, &options.grows},
        {"--json", OPTION_SWITCH, &options.prints_json},
    };
    if (!options_read(argc, argv, rows, sizeof(rows) / sizeof(rows[0]))) return EXIT_FAILURE;
    if (!is_sensible(&options)) {
        fprintf(stderr,
                "sherd-bench: shards are a power of two up to %d, a batch at most %d, threads at "
                "most %d, values at most 1 MiB\n",
                SHARDS_MAX, BATCH_MAX, THREADS_MAX);
        return EXIT_FAILURE;
    }
    struct report results;
    size_t cells = options.threads.count * options.get_percent.count * options.zipf.count;
    report_init(&results, "store", options.prints_json,
                options.shards.count * (options.grows ? 1 : cells));
    bool is_well = true;
    for (size_t i = 0; is_well && i < options.shards.count; i++) {
        struct store *store = open_store(&options, (uint32_t)options.shards.values[i]);
        is_well = store != NULL && (options.grows ? measure_growing(store, &results)
                                                  : measure_filled(store, &results));
        close_store(store);
    }
    return is_well ? EXIT_SUCCESS : EXIT_FAILURE;
}
