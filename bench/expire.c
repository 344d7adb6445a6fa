/* Expiry over the network: what a deadline costs, how soon memory is back, and what others feel of it.
 *
 *     cost      keys without a deadline, then the same with one: used_memory with less without, a key
 *     together  keys that are all due at the same moment
 *     spread    keys that are due evenly over some seconds, so that every part of memory has some at every moment
 *
 * In the last two a prober on a connection of its own asks for a key that stays, one GET after the other. It waits between
 * them: with no more processors than workers and threads here, it would otherwise take the time it measures. Its
 * answers in the second before the first deadline, when nothing else is done, are shown beside those after it: what
 * both have is the machine's. */
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/ask.h"
#include "bench/bench.h"
#include "bench/fill.h"
#include "bench/histogram.h"
#include "bench/options.h"
#include "bench/report.h"
#include "server/clock.h"

enum {
    VALUE_BYTES_MAX = 64 * 1024,
    PROBE_PAUSE_US = 200,
    LOOK_PAUSE_US = 2000,
    PATIENCE_MS = 60000, /* until we give up waiting for the last key to go */
};

struct expire {
    struct target target;
    long long keys, cost_keys, value_bytes, seconds;
    bool prints_json;
    struct ask ask;
    struct fill fill;
};

static bool command(struct expire *expire, const char *text, long long *number) {
    return ask_command(&expire->ask, text, number, NULL, 0);
}

/* ---- Beginning ------------------------------------------------------------------------------- */

static bool start_empty(struct expire *expire) {
    long long ignored;
    return command(expire, "FLUSHALL SYNC", &ignored) &&
           command(expire, "CONFIG RESETSTAT", &ignored);
}

/* ---- Cost ------------------------------------------------------------------------------------ */

/* What the empty server remembers of former keys is not theirs. */
static double used_by(struct expire *expire, const struct fill_span *due) {
    if (!start_empty(expire)) return NAN;
    double empty_bytes = ask_info(&expire->ask, "memory", "used_memory");
    if (!fill_keys(&expire->fill, 0, (uint64_t)expire->cost_keys, due)) return NAN;
    return ask_info(&expire->ask, "memory", "used_memory") - empty_bytes;
}

static bool measure_cost(struct expire *expire) {
    static const int64_t HOUR_MS = 3600 * 1000;
    struct fill_span never = {0, 0};
    double without = used_by(expire, &never);
    int64_t now_ms = clock_unix_ms();
    double with = used_by(expire, &(struct fill_span){now_ms + HOUR_MS, now_ms + 24 * HOUR_MS});
    if (expire->ask.has_failed) return false;
    double keys = (double)expire->cost_keys;
    const struct report_field fields[] = {
        {.name = "measured", .text = "cost"},
        {.name = "keys", .number = keys},
        {.name = "bytes_a_key", .number = without / keys, .decimals = 2},
        {.name = "with_deadline", .number = with / keys, .decimals = 2},
        {.name = "deadline_bytes", .number = (with - without) / keys, .decimals = 2},
    };
    struct report report;
    report_init(&report, "expire", expire->prints_json, 1);
    report_row(&report, fields, sizeof(fields) / sizeof(fields[0]));
    return true;
}

/* ---- The prober ------------------------------------------------------------------------------ */

struct prober {
    struct ask ask;
    int64_t begin_ms; /* `before` until then, `during` from then on */
    struct histogram before, during;
    _Atomic bool is_over;
    pthread_t thread;
};

static void *probe(void *context) {
    struct prober *prober = context;
    long long size;
    while (!atomic_load_explicit(&prober->is_over, memory_order_relaxed)) {
        int64_t asked_ns = clock_monotonic_ns();
        bool is_during = clock_unix_ms() >= prober->begin_ms;
        if (!ask_command(&prober->ask, "GET prober", &size, NULL, 0)) break;
        uint64_t took_ns = (uint64_t)(clock_monotonic_ns() - asked_ns);
        histogram_add(is_during ? &prober->during : &prober->before, took_ns, 1);
        usleep(PROBE_PAUSE_US);
    }
    return NULL;
}

static bool prober_start(struct prober *prober, struct expire *expire, int64_t begin_ms) {
    long long ignored;
    prober->begin_ms = begin_ms;
    if (!command(expire, "SET prober value", &ignored)) return false;
    if (!ask_open(&prober->ask, &expire->target)) return false;
    if (pthread_create(&prober->thread, NULL, probe, prober) == 0) return true;
    fputs("sherd-bench: the system refuses a thread\n", stderr);
    ask_close(&prober->ask);
    return false;
}

static void prober_stop(struct prober *prober) {
    atomic_store_explicit(&prober->is_over, true, memory_order_relaxed);
    pthread_join(prober->thread, NULL);
    ask_close(&prober->ask);
}

/* ---- Removal --------------------------------------------------------------------------------- */

/* What was seen, from the last deadline on. */
struct removal {
    int64_t empty_ms; /* only the prober's key is left */
    int64_t freed_ms; /* of what the keys had taken a twentieth is left at most */
    double processor_s;
};

static void sleep_until_ms(int64_t unix_ms) {
    int64_t left_ms;
    while ((left_ms = unix_ms - clock_unix_ms()) > 0) {
        usleep((useconds_t)(left_ms < 100 ? left_ms : 100) * 1000);
    }
}

static double processor_s(struct expire *expire) {
    return ask_info(&expire->ask, "cpu", "used_cpu_user") +
           ask_info(&expire->ask, "cpu", "used_cpu_sys");
}

/* `empty_bytes` and `full_bytes`: used_memory before and after the keys came. */
static bool watch(struct expire *expire, const struct fill_span *due, double empty_bytes,
                  double full_bytes, struct removal *removal) {
    double enough = empty_bytes + (full_bytes - empty_bytes) / 20;
    sleep_until_ms(due->first_ms - 1);
    double before_s = processor_s(expire);
    sleep_until_ms(due->last_ms);
    *removal = (struct removal){-1, -1, 0};
    while (removal->empty_ms < 0 || removal->freed_ms < 0) {
        long long keys = 0;
        bool is_freed = ask_info(&expire->ask, "memory", "used_memory") <= enough;
        if (!command(expire, "DBSIZE", &keys)) return false;
        int64_t late_ms = clock_unix_ms() - due->last_ms;
        if (removal->freed_ms < 0 && is_freed) removal->freed_ms = late_ms;
        if (removal->empty_ms < 0 && keys == 1) removal->empty_ms = late_ms;
        if (late_ms > PATIENCE_MS) {
            fputs("sherd-bench: keys are still there a minute after their time\n", stderr);
            return false;
        }
        usleep(LOOK_PAUSE_US);
    }
    removal->processor_s = processor_s(expire) - before_s;
    return true;
}

static double us(uint64_t ns) {
    return (double)ns / 1000;
}

static void report_removal(struct expire *expire, const char *measured,
                           const struct removal *removal, const struct prober *prober) {
    double keys = (double)expire->keys;
    const struct report_field fields[] = {
        {.name = "measured", .text = measured},
        {.name = "keys", .number = keys},
        {.name = "empty_ms", .number = (double)removal->empty_ms},
        {.name = "freed_ms", .number = (double)removal->freed_ms},
        {.name = "late_p50_ms",
         .number = ask_info(&expire->ask, "sherd", "expired_lateness_ms_p50")},
        {.name = "late_p99_ms",
         .number = ask_info(&expire->ask, "sherd", "expired_lateness_ms_p99")},
        {.name = "late_max_ms",
         .number = ask_info(&expire->ask, "sherd", "expired_lateness_ms_p100")},
        {.name = "cpu_us_a_key", .number = removal->processor_s * 1e6 / keys, .decimals = 2},
        {.name = "probes", .number = (double)prober->during.total},
        {.name = "get_p999_us", .number = us(histogram_percentile(&prober->during, 99.9))},
        {.name = "get_max_us", .number = us(prober->during.max)},
        {.name = "before_p999_us", .number = us(histogram_percentile(&prober->before, 99.9))},
        {.name = "before_max_us", .number = us(prober->before.max)},
        {.name = "longest_hold_us",
         .number = ask_info(&expire->ask, "sherd", "lock_longest_hold_usec")},
    };
    struct report report;
    report_init(&report, "expire", expire->prints_json, 1);
    report_row(&report, fields, sizeof(fields) / sizeof(fields[0]));
}

/* Until the fill is over, and a second to look at how the server answers at rest. */
static bool is_in_time(const struct fill_span *due) {
    if (clock_unix_ms() < due->first_ms - 1000) return true;
    fputs("sherd-bench: filling takes longer than --seconds\n", stderr);
    return false;
}

static bool measure_removal(struct expire *expire, const char *measured, int64_t spread_ms) {
    if (!start_empty(expire)) return false;
    double empty_bytes = ask_info(&expire->ask, "memory", "used_memory");
    int64_t first_ms = clock_unix_ms() + expire->seconds * 1000;
    struct fill_span due = {first_ms, first_ms + spread_ms};
    if (!fill_keys(&expire->fill, 0, (uint64_t)expire->keys, &due) || !is_in_time(&due))
        return false;
    double full_bytes = ask_info(&expire->ask, "memory", "used_memory");
    long long ignored;
    static struct prober prober;
    memset(&prober, 0, sizeof(prober));
    if (!command(expire, "CONFIG RESETSTAT", &ignored)) return false;
    if (!prober_start(&prober, expire, first_ms)) return false;
    struct removal removal;
    bool is_watched = watch(expire, &due, empty_bytes, full_bytes, &removal);
    prober_stop(&prober);
    if (!is_watched || prober.ask.has_failed) return false;
    report_removal(expire, measured, &removal, &prober);
    return true;
}

/* ---- The subcommand -------------------------------------------------------------------------- */

static bool run_all(struct expire *expire, const char *only, long long spread_s) {
    bool is_done = true;
    if (only == NULL || strcmp(only, "together") == 0)
        is_done = is_done && measure_removal(expire, "together", 0);
    if (only == NULL || strcmp(only, "spread") == 0)
        is_done = is_done && measure_removal(expire, "spread", spread_s * 1000);
    if (only == NULL || strcmp(only, "cost") == 0) is_done = is_done && measure_cost(expire);
    return is_done && start_empty(expire);
}

int expire_run(int argc, char **argv) {
    static struct expire expire;
    expire = (struct expire){.target = target_default(),
                             .keys = 1000000,
                             .cost_keys = 10000000,
                             .value_bytes = 64,
                             .seconds = 10};
    const char *only = NULL;
    long long spread_s = 10;
    const struct option_row rows[] = {
        {"--host", OPTION_TEXT, &expire.target.host},
        {"--port", OPTION_COUNT, &expire.target.port},
        {"--unix", OPTION_TEXT, &expire.target.unix_path},
        {"--keys", OPTION_COUNT, &expire.keys},
        {"--cost-keys", OPTION_COUNT, &expire.cost_keys},
        {"--value-bytes", OPTION_COUNT, &expire.value_bytes},
        {"--seconds", OPTION_COUNT, &expire.seconds},
        {"--spread", OPTION_COUNT, &spread_s},
        {"--only", OPTION_TEXT, &only},
        {"--json", OPTION_SWITCH, &expire.prints_json},
    };
    if (!options_read(argc, argv, rows, sizeof(rows) / sizeof(rows[0]))) return EXIT_FAILURE;
    if (expire.value_bytes > VALUE_BYTES_MAX) {
        fprintf(stderr, "sherd-bench: values of at most %d bytes\n", VALUE_BYTES_MAX);
        return EXIT_FAILURE;
    }
    bool is_done = false;
    if (fill_init(&expire.fill, &expire.ask, (size_t)expire.value_bytes) &&
        ask_open(&expire.ask, &expire.target)) {
        is_done = run_all(&expire, only, spread_s);
        ask_close(&expire.ask);
    }
    fill_release(&expire.fill);
    return is_done ? EXIT_SUCCESS : EXIT_FAILURE;
}
