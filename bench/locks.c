/* What a lock costs, alone and in a crowd: shards/base/rwlock against pthread_rwlock_t and pthread_mutex_t.
 *
 * Each thread does nothing but take, hold, drop, stay away, and again: for writing in `writes_percent` of
 * its takes, else for reading. `hold` and `away` are processor cycles. A write adds to a number that only
 * the lock guards, a read looks at it; in the end the number must be the writes that were done, so a lock
 * that lets two in is not merely fast.
 *
 * Waits are counted alike: who is let in at once reads no clock. Ours has its own profile; a take of
 * pthread's first tries, and only when that fails counts as a wait and is timed. Each kind has its own
 * copy of the loop, with its calls inlined into it where it has inline ones, so that ours is measured as
 * the server uses it.
 *
 * What to read from it:
 *   1 thread                        the price of the fast path.
 *   as many as processors           with `away` 0 the worst a cache line can do, which no worker does; with some thousand
 *                                   cycles away, workers whose commands hold the lock for a small part of their time.
 *   more than processors            who waits for threads that don't run. `takes_per_s` is what fairness costs, `longest_ms` what it
 *                                   buys, and `fewest_percent` too: what the unluckiest thread got of an equal share. */
#include <pthread.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/bench.h"
#include "bench/options.h"
#include "bench/report.h"
#include "bench/threads.h"
#include "server/clock.h"
#include "shards/base/random.h"
#include "shards/base/rwlock.h"

struct locks_options {
    struct option_list threads, writes_percent, hold, away;
    double seconds;
    bool prints_json;
};

/* One thread's, on its own cache lines. */
struct taker {
    alignas(64) uint64_t reads, writes, waits, waited_ns, longest_wait_ns;
    uint64_t seen; /* what it read last, so that reading isn't optimised away */
};

/* One measurement. */
struct field {
    struct rwlock ours;
    alignas(64) pthread_rwlock_t rwlock;
    alignas(64) pthread_mutex_t mutex;
    alignas(64) uint64_t guarded; /* by the lock that is measured */
    uint64_t writes_percent, hold, away;
    struct taker takers[THREADS_MAX];
};

static void note_wait(struct taker *taker, int64_t started_ns) {
    uint64_t waited_ns = (uint64_t)(clock_monotonic_ns() - started_ns);
    taker->waits++;
    taker->waited_ns += waited_ns;
    if (waited_ns > taker->longest_wait_ns) taker->longest_wait_ns = waited_ns;
}

/* ---- The kinds: how each takes and drops ----------------------------------------------------- */

typedef void take_function(struct field *field, struct taker *taker);
typedef void drop_function(struct field *field);

static void ours_read(struct field *field, struct taker *taker) {
    (void)taker;
    rwlock_read_lock(&field->ours);
}
static void ours_read_drop(struct field *field) {
    rwlock_read_unlock(&field->ours);
}
static void ours_write(struct field *field, struct taker *taker) {
    (void)taker;
    rwlock_write_lock(&field->ours);
}
static void ours_write_drop(struct field *field) {
    rwlock_write_unlock(&field->ours);
}

static void rwlock_read(struct field *field, struct taker *taker) {
    if (pthread_rwlock_tryrdlock(&field->rwlock) == 0) return;
    int64_t started_ns = clock_monotonic_ns();
    pthread_rwlock_rdlock(&field->rwlock);
    note_wait(taker, started_ns);
}
static void rwlock_write(struct field *field, struct taker *taker) {
    if (pthread_rwlock_trywrlock(&field->rwlock) == 0) return;
    int64_t started_ns = clock_monotonic_ns();
    pthread_rwlock_wrlock(&field->rwlock);
    note_wait(taker, started_ns);
}
static void rwlock_drop(struct field *field) {
    pthread_rwlock_unlock(&field->rwlock);
}

static void mutex_take(struct field *field, struct taker *taker) {
    if (pthread_mutex_trylock(&field->mutex) == 0) return;
    int64_t started_ns = clock_monotonic_ns();
    pthread_mutex_lock(&field->mutex);
    note_wait(taker, started_ns);
}
static void mutex_drop(struct field *field) {
    pthread_mutex_unlock(&field->mutex);
}

/* ---- The loop -------------------------------------------------------------------------------- */

/* Always inlined, so that the kind's functions are constants in each copy. */
__attribute__((always_inline)) static inline void
take_until_over(struct field *field, uint32_t index, const _Atomic bool *is_over,
                take_function *read, drop_function *read_drop, take_function *write,
                drop_function *write_drop) {
    struct taker *taker = &field->takers[index];
    struct random random;
    random_init(&random, index + 1);
    while (!threads_over(is_over)) {
        if (random_below(&random, 100) < field->writes_percent) {
            write(field, taker);
            field->guarded++;
            threads_work(field->hold);
            write_drop(field);
            taker->writes++;
        } else {
            read(field, taker);
            taker->seen = field->guarded;
            threads_work(field->hold);
            read_drop(field);
            taker->reads++;
        }
        threads_work(field->away);
    }
}

static void take_ours(void *field, uint32_t index, const _Atomic bool *is_over) {
    take_until_over(field, index, is_over, ours_read, ours_read_drop, ours_write, ours_write_drop);
}
static void take_rwlock(void *field, uint32_t index, const _Atomic bool *is_over) {
    take_until_over(field, index, is_over, rwlock_read, rwlock_drop, rwlock_write, rwlock_drop);
}
static void take_mutex(void *field, uint32_t index, const _Atomic bool *is_over) {
    take_until_over(field, index, is_over, mutex_take, mutex_drop, mutex_take, mutex_drop);
}

static const struct kind {
    const char *name;
    threads_body *body;
} kinds[] = {{"sherd", take_ours}, {"rwlock", take_rwlock}, {"mutex", take_mutex}};
enum { KIND_COUNT = sizeof(kinds) / sizeof(kinds[0]) };

/* ---- The measurements ------------------------------------------------------------------------ */

static struct taker sum_up(const struct field *field, uint32_t threads, uint64_t *fewest) {
    struct rwlock_profile profile = rwlock_profile(&field->ours);
    struct taker sum = {.waits = profile.waits,
                        .waited_ns = profile.waited_ns,
                        .longest_wait_ns = profile.longest_wait_ns};
    *fewest = UINT64_MAX;
    for (uint32_t i = 0; i < threads; i++) {
        const struct taker *taker = &field->takers[i];
        sum.reads += taker->reads;
        sum.writes += taker->writes;
        sum.waits += taker->waits;
        sum.waited_ns += taker->waited_ns;
        if (taker->longest_wait_ns > sum.longest_wait_ns)
            sum.longest_wait_ns = taker->longest_wait_ns;
        if (taker->reads + taker->writes < *fewest) *fewest = taker->reads + taker->writes;
    }
    return sum;
}

static void report(struct report *report, const struct kind *kind, const struct field *field,
                   uint32_t threads, double seconds) {
    uint64_t fewest;
    struct taker sum = sum_up(field, threads, &fewest);
    double takes = (double)(sum.reads + sum.writes);
    const struct report_field fields[] = {
        {.name = "lock", .text = kind->name},
        {.name = "threads", .number = threads},
        {.name = "writes_percent", .number = (double)field->writes_percent},
        {.name = "hold_cycles", .number = (double)field->hold},
        {.name = "away_cycles", .number = (double)field->away},
        {.name = "takes_per_s", .number = takes / seconds},
        {.name = "waits_per_s", .number = (double)sum.waits / seconds},
        {.name = "waited_ms", .number = (double)sum.waited_ns / 1e6, .decimals = 1},
        {.name = "longest_ms", .number = (double)sum.longest_wait_ns / 1e6, .decimals = 3},
        {.name = "fewest_percent", .number = 100.0 * (double)fewest * threads / takes},
    };
    report_row(report, fields, sizeof(fields) / sizeof(fields[0]));
}

/* False when no threads were to be had, or the lock has let two in. */
static bool measure(const struct kind *kind, struct field *field, uint32_t threads, double seconds,
                    struct report *results) {
    rwlock_init(&field->ours, 0);
    pthread_rwlock_init(&field->rwlock, NULL);
    pthread_mutex_init(&field->mutex, NULL);
    report_progress(results, kind->name);
    double took = threads_run(&(struct threads_plan){
        .count = threads, .seconds = seconds, .body = kind->body, .context = field});
    pthread_rwlock_destroy(&field->rwlock);
    pthread_mutex_destroy(&field->mutex);
    if (took <= 0) return false;
    uint64_t fewest;
    if (sum_up(field, threads, &fewest).writes != field->guarded) {
        fprintf(stderr, "sherd-bench: %s has lost a write\n", kind->name);
        return false;
    }
    report(results, kind, field, threads, took);
    return true;
}

/* All kinds side by side, so that what the machine does meanwhile happens to all of them. */
static bool measure_kinds(const struct field *blank, struct field *field, uint32_t threads,
                          double seconds, struct report *results) {
    for (size_t i = 0; i < KIND_COUNT; i++) {
        *field = *blank;
        if (!measure(&kinds[i], field, threads, seconds, results)) return false;
    }
    return true;
}

static bool measure_all(const struct locks_options *options, struct report *results) {
    struct field *blank = aligned_alloc(alignof(struct field), 2 * sizeof(*blank));
    if (blank == NULL) return false;
    bool is_well = true;
    for (size_t h = 0; is_well && h < options->hold.count; h++) {
        for (size_t a = 0; is_well && a < options->away.count; a++) {
            for (size_t t = 0; is_well && t < options->threads.count; t++) {
                for (size_t w = 0; is_well && w < options->writes_percent.count; w++) {
                    blank[0] = (struct field){
                        .writes_percent = (uint64_t)options->writes_percent.values[w],
                        .hold = (uint64_t)options->hold.values[h],
                        .away = (uint64_t)options->away.values[a],
                    };
                    is_well =
                        measure_kinds(&blank[0], &blank[1], (uint32_t)options->threads.values[t],
                                      options->seconds, results);
                }
            }
        }
    }
    free(blank);
    return is_well;
}

int locks_run(int argc, char **argv) {
    struct locks_options options = {.threads = {3, {1, 2, 8}},
                                    .writes_percent = {4, {0, 5, 50, 100}},
                                    .hold = {1, {0}},
                                    .away = {1, {0}},
                                    .seconds = 0.5};
    const struct option_row rows[] = {
        {"--threads", OPTION_COUNTS, &options.threads},
        {"--writes", OPTION_LIST, &options.writes_percent},
        {"--hold", OPTION_LIST, &options.hold},
        {"--away", OPTION_LIST, &options.away},
        {"--seconds", OPTION_FRACTION, &options.seconds},
        {"--json", OPTION_SWITCH, &options.prints_json},
    };
    if (!options_read(argc, argv, rows, sizeof(rows) / sizeof(rows[0]))) return EXIT_FAILURE;
    struct report results;
    report_init(&results, "locks", options.prints_json,
                KIND_COUNT * options.threads.count * options.writes_percent.count *
                    options.hold.count * options.away.count);
    return measure_all(&options, &results) ? EXIT_SUCCESS : EXIT_FAILURE;
}
