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
 * --hot adds rows in which everybody uses one key: what the shard's lock and its cache line cost then.
 *
 * --grow inserts from nothing instead, with so many threads, and times every hold of a shard's lock from
 * inside (some 10 ns of it are the cycle counter's). The row `spin` that follows has as many turns of the
 * same length, which only look at the clock: what it shows is the machine's, whoever runs. To read:
 *   p..., longest     of a hold, by the clock; `own` is what of it the thread had the processor, at most (holds.c).
 *   over_1ms          holds that lasted more than a millisecond, which none of ours may.
 *   slowest_met       s: times taken off the processor, f: page faults, c: commits of regions, in the sixteen holds around
 *                     the longest; costliest_met: around the one with the most processor time.
 *   stolen_ms         what the hypervisor says it took from all processors meanwhile. */
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/access.h"
#include "bench/bench.h"
#include "bench/histogram.h"
#include "bench/holds.h"
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

/* Of the keys to insert, the name of the i-th. */
static void write_name(const struct store *store, uint64_t i, char name[KEYS_NAME_BYTES]) {
    keys_write_name(name, i * SCATTER % (uint64_t)store->options->keys);
}

static bool insert(struct store *store, uint64_t i) {
    char name[KEYS_NAME_BYTES];
    write_name(store, i, name);
    struct access *access = &store->workers[0].access;
    struct access_key at = access_route(access, bytes_of(name, sizeof(name)));
    return access_set(access, &at, value_of(store)) == STATUS_OK;
}

static bool complain_full(void) {
    fputs("sherd-bench: the store is full: fewer --keys or smaller values\n", stderr);
    return false;
}

static bool fill(struct store *store) {
    for (uint64_t i = 0; i < (uint64_t)store->options->keys; i++) {
        if (!insert(store, i)) return complain_full();
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
                                   .seed = SEED};
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

/* One turn: what dispatch.c does with a batch, in its four passes. */
static void run_batch(struct store *store, struct store_worker *worker, uint32_t size) {
    char names[BATCH_MAX][KEYS_NAME_BYTES];
    struct access_key at[BATCH_MAX];
    for (uint32_t i = 0; i < size; i++) {
        keys_write_name(names[i], keys_next(&worker->keys));
        at[i] = access_route(&worker->access, bytes_of(names[i], KEYS_NAME_BYTES));
    }
    for (uint32_t i = 0; size > 1 && i < size; i++) {
        access_prefetch_bucket(&at[i]);
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

static const char *mode_of(const struct store *store) {
    return store->shards.count == 1 ? "global" : "sharded";
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

/* A row's place among the threads x get-percent x distributions. */
struct cell {
    uint32_t threads;
    double get_percent, zipf;
    bool is_hot; /* all draw one key; then `zipf` means nothing */
};

/* Operations a second, or 0. */
static double measure(struct store *store, struct cell cell, double first_rate,
                      struct footprint footprint, struct report *results) {
    store->get_percent = (uint64_t)cell.get_percent;
    uint64_t key_count = cell.is_hot ? 1 : (uint64_t)store->options->keys;
    for (uint32_t i = 0; i < cell.threads; i++) {
        worker_init(store, i, key_count, cell.zipf);
    }
    reset_profiles(&store->shards);
    const char *mode = mode_of(store);
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
        {.name = "keys", .number = (double)key_count},
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

/* All distributions for one share of GET, side by side; the single key last. */
static bool measure_distributions(struct store *store, double get_percent,
                                  struct footprint footprint, struct report *results) {
    const struct option_list *zipf = &store->options->zipf;
    for (size_t z = 0; z < zipf->count; z++) {
        struct cell cell = {.get_percent = get_percent, .zipf = zipf->values[z]};
        if (!measure_threads(store, cell, footprint, results)) return false;
    }
    struct cell hot = {.get_percent = get_percent, .is_hot = true};
    return !store->options->is_hot || measure_threads(store, hot, footprint, results);
}

static bool measure_all(struct store *store, struct report *results) {
    const struct option_list *get_percent = &store->options->get_percent;
    report_progress(results, "filling");
    if (!fill(store)) return false;
    struct footprint footprint = footprint_of(store);
    for (size_t i = 0; i < get_percent->count; i++) {
        if (!measure_distributions(store, get_percent->values[i], footprint, results)) return false;
    }
    return true;
}

static bool measure_filled(const struct store_options *options, uint32_t shard_count,
                           struct report *results) {
    struct store *store = open_store(options, shard_count);
    bool is_well = store != NULL && measure_all(store, results);
    close_store(store);
    return is_well;
}

/* ---- Growing from nothing -------------------------------------------------------------------- */

/* So many threads insert all keys, each its share. */
struct growth {
    struct store *store;
    uint32_t threads;
    struct holds *holds;     /* one a thread */
    double spin_ns;          /* of the spinning: what a turn lasts */
    _Atomic bool has_failed; /* atomic, relaxed: read after the threads have ended */
};

static uint64_t share_of(const struct growth *growth, uint32_t index) {
    uint64_t keys = (uint64_t)growth->store->options->keys;
    return keys / growth->threads + (index < keys % growth->threads);
}

static void grow(void *context, uint32_t index, const _Atomic bool *is_over) {
    (void)is_over;
    struct growth *growth = context;
    struct store *store = growth->store;
    struct access *access = &store->workers[index].access;
    struct holds *holds = &growth->holds[index];
    holds_begin(holds);
    for (uint64_t i = 0; i < share_of(growth, index); i++) {
        char name[KEYS_NAME_BYTES];
        write_name(store, index + i * growth->threads, name);
        struct access_key at = access_route(access, bytes_of(name, sizeof(name)));
        struct hold hold;
        if (access_set_timed(access, &at, value_of(store), &hold) != STATUS_OK)
            atomic_store_explicit(&growth->has_failed, true, memory_order_relaxed);
        holds_add(holds, hold);
    }
    holds_end(holds);
}

/* As many turns, as long as the inserts were on average, of doing nothing. */
static void spin(void *context, uint32_t index, const _Atomic bool *is_over) {
    (void)is_over;
    struct growth *growth = context;
    struct holds *holds = &growth->holds[index];
    holds_begin(holds);
    uint64_t turn_ticks = (uint64_t)(growth->spin_ns / holds->ns_per_tick);
    for (uint64_t i = 0; i < share_of(growth, index); i++) {
        uint64_t begun = clock_ticks(), ticks;
        do {
            ticks = clock_ticks() - begun;
        } while (ticks < turn_ticks);
        holds_add(holds, (struct hold){.ticks = ticks});
    }
    holds_end(holds);
}

/* Milliseconds that the hypervisor says it took from all processors, since it started us; 0 where it says nothing. */
static double stolen_ms(void) {
    double ticks = 0;
    FILE *file = fopen("/proc/stat", "r");
    if (file == NULL) return 0;
    if (fscanf(file, "cpu %*f %*f %*f %*f %*f %*f %*f %lf", &ticks) != 1) ticks = 0;
    fclose(file);
    return ticks * 1000 / (double)sysconf(_SC_CLK_TCK);
}

static double us_at(const struct histogram *histogram, double percent) {
    return (double)histogram_percentile(histogram, percent) / 1e3;
}

/* What the rows of growing have beside the holds. */
struct growth_row {
    const char *mode;
    uint32_t threads;
    double seconds, stolen_ms;
    struct rwlock_profile profile;
};

/* What the batch of a worst hold met, in few letters. */
static void describe(const struct holds_worst *worst, char *text, size_t size) {
    snprintf(text, size, "%us %uf %uc", (unsigned)worst->switches, (unsigned)worst->faults,
             (unsigned)worst->commits);
}

static void report_growth(const struct growth_row *row, const struct holds *holds,
                          struct report *results) {
    enum { TEXT_BYTES = 48 };
    char slowest[TEXT_BYTES], costliest[TEXT_BYTES];
    describe(&holds->slowest, slowest, sizeof(slowest));
    describe(&holds->costliest, costliest, sizeof(costliest));
    double thread_ns = row->seconds * 1e9 * row->threads;
    const struct histogram *wall = &holds->wall, *own = &holds->own;
    const struct report_field fields[] = {
        {.name = "mode", .text = row->mode},
        {.name = "threads", .number = row->threads},
        {.name = "ns_per_op", .number = thread_ns / (double)wall->total, .decimals = 1},
        {.name = "p50_ns", .number = (double)histogram_percentile(wall, 50)},
        {.name = "p99_us", .number = us_at(wall, 99), .decimals = 1},
        {.name = "p9999_us", .number = us_at(wall, 99.99), .decimals = 1},
        {.name = "p9999_own", .number = us_at(own, 99.99), .decimals = 1},
        {.name = "p99999_us", .number = us_at(wall, 99.999), .decimals = 1},
        {.name = "p99999_own", .number = us_at(own, 99.999), .decimals = 1},
        {.name = "longest_us", .number = (double)wall->max / 1e3, .decimals = 1},
        {.name = "longest_own", .number = (double)own->max / 1e3, .decimals = 1},
        {.name = "over_1ms", .number = (double)holds->over_limit},
        {.name = "over_own", .number = (double)holds->own_over_limit},
        {.name = "slowest_met", .text = slowest},
        {.name = "costliest_met", .text = costliest},
        {.name = "switches", .number = (double)holds->in_all.switches},
        {.name = "faults", .number = (double)holds->in_all.faults},
        {.name = "stolen_ms", .number = row->stolen_ms},
        {.name = "waits", .number = (double)row->profile.waits},
        {.name = "longest_wait_us",
         .number = (double)row->profile.longest_wait_ns / 1e3,
         .decimals = 1},
    };
    report_row(results, fields, sizeof(fields) / sizeof(fields[0]));
}

/* Seconds, or 0. */
static double measure_growth(struct growth *growth, const char *mode, threads_body *body,
                             struct report *results) {
    report_progress(results, mode);
    reset_profiles(&growth->store->shards);
    double stolen_before = stolen_ms();
    double took = threads_run(
        &(struct threads_plan){.count = growth->threads, .body = body, .context = growth});
    if (took <= 0) return 0;
    struct growth_row row = {.mode = mode,
                             .threads = growth->threads,
                             .seconds = took,
                             .stolen_ms = stolen_ms() - stolen_before,
                             .profile = sum_profiles(&growth->store->shards)};
    for (uint32_t i = 1; i < growth->threads; i++) {
        holds_merge(&growth->holds[0], &growth->holds[i]);
    }
    report_growth(&row, &growth->holds[0], results);
    return took;
}

/* The growth, and then the machine's own noise in as long a time. */
static bool measure_growing(struct store *store, uint32_t threads, struct report *results) {
    struct growth growth = {.store = store, .threads = threads};
    growth.holds = calloc(threads, sizeof(*growth.holds));
    if (growth.holds == NULL) return false;
    for (uint32_t i = 0; i < threads; i++) {
        worker_init(store, i, 1, 0);
    }
    double took = measure_growth(&growth, mode_of(store), grow, results);
    bool is_well = took > 0;
    if (atomic_load_explicit(&growth.has_failed, memory_order_relaxed)) is_well = complain_full();
    growth.spin_ns = took * 1e9 * threads / (double)store->options->keys;
    is_well = is_well && measure_growth(&growth, "spin", spin, results) > 0;
    free(growth.holds);
    return is_well;
}

/* Each number of threads from nothing. */
static bool measure_growths(const struct store_options *options, uint32_t shard_count,
                            struct report *results) {
    bool is_well = true;
    for (size_t i = 0; is_well && i < options->threads.count; i++) {
        struct store *store = open_store(options, shard_count);
        is_well =
            store != NULL && measure_growing(store, (uint32_t)options->threads.values[i], results);
        close_store(store);
    }
    return is_well;
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
    size_t rows_expected = options.shards.count * options.threads.count;
    if (options.grows) {
        rows_expected *= 2; /* each beside its spinning */
    } else {
        rows_expected *= options.get_percent.count * (options.zipf.count + options.is_hot);
    }
    report_init(&results, "store", options.prints_json, rows_expected);
    bool is_well = true;
    for (size_t i = 0; is_well && i < options.shards.count; i++) {
        uint32_t shard_count = (uint32_t)options.shards.values[i];
        is_well = options.grows ? measure_growths(&options, shard_count, &results)
                                : measure_filled(&options, shard_count, &results);
    }
    return is_well ? EXIT_SUCCESS : EXIT_FAILURE;
}
