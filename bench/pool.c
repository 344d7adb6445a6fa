/* What adapting buys: server/jobs between 0 and a maximum of threads, against a fixed pool of the same maximum.
 *
 * A fixed pool is the same code with minimum = maximum, so that only the number of threads differs. Jobs
 * come in bursts, as they do in a cache (a FLUSHALL, a snapshot), and each is about `job_us` of a
 * processor's work. One thread submits and waits until each burst is done; another looks every millisecond
 * how many threads there are.
 *
 * What to read from it: `burst_ms` is how long a burst took, on average and at most; the adaptive pool
 * first has to start threads, so it can't be faster. `threads_mean` is what was kept for that over the
 * whole time, idle times included; the fixed pool's is always the maximum. The timeline shows it: a digit
 * is the threads seen in one of 60 equal stretches of time. More threads than processors don't finish jobs
 * sooner; they only take the processors from the workers. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bench/bench.h"
#include "bench/options.h"
#include "bench/report.h"
#include "bench/threads.h"
#include "server/clock.h"
#include "server/jobs.h"

enum { SAMPLES_MAX = 60000, TIMELINE = 60, SAMPLE_MS = 1 };

struct pool_options {
    long long threads, bursts, jobs, job_us, idle_ms, queue_max, linger_ms;
    bool prints_json;
};

/* One measurement. */
struct pool {
    const struct pool_options *options;
    struct jobs *jobs;
    uint64_t job_cycles;
    double burst_ns, burst_longest_ns; /* the submitter only, as is the next */
    uint64_t refused;
    _Atomic bool is_done; /* atomic, relaxed: the sampler may end */
    uint32_t sample_count;
    uint8_t samples[SAMPLES_MAX]; /* the sampler only: threads, a millisecond each */
};

static void run_job(void *context, void *subject) {
    (void)subject;
    const struct pool *pool = context;
    threads_work(pool->job_cycles);
}

static void sleep_ms(long long ms) {
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static void submit_burst(struct pool *pool) {
    int64_t begun_ns = clock_monotonic_ns();
    for (long long i = 0; i < pool->options->jobs; i++) {
        struct job job = {.run = run_job, .context = pool};
        if (!jobs_submit(pool->jobs, job)) pool->refused++;
    }
    jobs_drain(pool->jobs);
    double took_ns = (double)(clock_monotonic_ns() - begun_ns);
    pool->burst_ns += took_ns;
    if (took_ns > pool->burst_longest_ns) pool->burst_longest_ns = took_ns;
}

static void submit_all(struct pool *pool) {
    for (long long i = 0; i < pool->options->bursts; i++) {
        submit_burst(pool);
        sleep_ms(pool->options->idle_ms);
    }
    atomic_store_explicit(&pool->is_done, true, memory_order_relaxed);
}

static void sample(struct pool *pool) {
    while (!threads_over(&pool->is_done) && pool->sample_count < SAMPLES_MAX) {
        pool->samples[pool->sample_count++] = (uint8_t)jobs_statistics(pool->jobs).threads;
        sleep_ms(SAMPLE_MS);
    }
}

static void take_part(void *context, uint32_t index, const _Atomic bool *is_over) {
    (void)is_over;
    index == 0 ? submit_all(context) : sample(context);
}

static double mean_of(const struct pool *pool) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < pool->sample_count; i++) {
        sum += pool->samples[i];
    }
    return pool->sample_count == 0 ? 0 : (double)sum / pool->sample_count;
}

/* A digit a stretch: the most threads that were seen in it, '+' for more than nine. */
static void draw_timeline(const struct pool *pool, char out[TIMELINE + 1]) {
    for (uint32_t i = 0; i < TIMELINE; i++) {
        uint8_t most = 0;
        uint32_t end = pool->sample_count * (i + 1) / TIMELINE;
        for (uint32_t s = pool->sample_count * i / TIMELINE; s < end; s++) {
            if (pool->samples[s] > most) most = pool->samples[s];
        }
        out[i] = most > 9 ? '+' : (char)('0' + most);
    }
    out[TIMELINE] = 0;
}

static void report(const struct pool *pool, const char *name, struct report *results) {
    const struct pool_options *options = pool->options;
    double done = (double)(options->bursts * options->jobs) - (double)pool->refused;
    char timeline[TIMELINE + 1];
    draw_timeline(pool, timeline);
    struct jobs_statistics statistics = jobs_statistics(pool->jobs);
    const struct report_field fields[] = {
        {.name = "pool", .text = name},
        {.name = "jobs_per_s", .number = done / (pool->burst_ns / 1e9)},
        {.name = "burst_ms",
         .number = pool->burst_ns / 1e6 / (double)options->bursts,
         .decimals = 1},
        {.name = "burst_longest_ms", .number = pool->burst_longest_ns / 1e6, .decimals = 1},
        {.name = "threads_peak", .number = statistics.threads_peak},
        {.name = "threads_mean", .number = mean_of(pool), .decimals = 2},
        {.name = "grown", .number = (double)statistics.grown},
        {.name = "shrunk", .number = (double)statistics.shrunk},
        {.name = "timeline", .text = timeline},
    };
    report_row(results, fields, sizeof(fields) / sizeof(fields[0]));
}

static bool measure(const struct pool_options *options, const char *name, uint32_t threads_min,
                    struct report *results) {
    struct pool *pool = calloc(1, sizeof(*pool));
    if (pool == NULL) return false;
    pool->options = options;
    pool->job_cycles = (uint64_t)((double)options->job_us * clock_ticks_per_us());
    pool->jobs = jobs_create(&(struct jobs_options){.queue_max = (uint32_t)options->queue_max,
                                                    .threads_min = threads_min,
                                                    .threads_max = (uint32_t)options->threads,
                                                    .linger_ms = (uint32_t)options->linger_ms});
    bool is_well = pool->jobs != NULL;
    if (is_well) {
        report_progress(results, name);
        is_well =
            threads_run(&(struct threads_plan){.count = 2, .body = take_part, .context = pool}) > 0;
        if (is_well) report(pool, name, results);
        jobs_destroy(pool->jobs);
    }
    free(pool);
    return is_well;
}

int pool_run(int argc, char **argv) {
    struct pool_options options = {.threads = 4,
                                   .bursts = 5,
                                   .jobs = 500,
                                   .job_us = 200,
                                   .idle_ms = 100,
                                   .queue_max = 64,
                                   .linger_ms = 50};
    const struct option_row rows[] = {
        {"--threads", OPTION_COUNT, &options.threads},
        {"--bursts", OPTION_COUNT, &options.bursts},
        {"--jobs", OPTION_COUNT, &options.jobs},
        {"--job-us", OPTION_COUNT, &options.job_us},
        {"--idle-ms", OPTION_COUNT, &options.idle_ms},
        {"--queue", OPTION_COUNT, &options.queue_max},
        {"--linger-ms", OPTION_COUNT, &options.linger_ms},
        {"--json", OPTION_SWITCH, &options.prints_json},
    };
    if (!options_read(argc, argv, rows, sizeof(rows) / sizeof(rows[0]))) return EXIT_FAILURE;
    if (options.threads >= THREADS_MAX) {
        fprintf(stderr, "sherd-bench: fewer than %d threads\n", THREADS_MAX);
        return EXIT_FAILURE;
    }
    struct report results;
    report_init(&results, "pool", options.prints_json, 2);
    bool is_well = measure(&options, "adaptive", 0, &results) &&
                   measure(&options, "fixed", (uint32_t)options.threads, &results);
    return is_well ? EXIT_SUCCESS : EXIT_FAILURE;
}
