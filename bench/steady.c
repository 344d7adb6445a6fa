/* Is a server steady? Each disturbance by itself, in slices of a quarter of a second, in turn with slices
 * without it:
 *
 *      turn 1                               turn 2
 *      without  without │ with  with  with │ without  without │ with  with …
 *                       ▲ act      until it no longer lasts
 *
 * A machine that is shared stalls whatever it likes; it does so on both sides. So what a disturbance costs is
 * told by the median over each side's slices and by their ratio, not by one number that must not be passed:
 * prober.h has how a request is timed, and which slices are left out.
 *
 * In the table: `p50_us` to `most_us` are medians over slices; `worst_us` is the worst request of all; `over_ms`
 * is the share of slices, in percent, whose p99.9 is above a millisecond. `queued_us` (of a slice) is how long
 * the server's threads had work and no processor: where it is as large as what is late, the machine, or a thread
 * of the server's own, took it. `away_pct` is the share of a slice that the prober itself missed; slices in
 * which that is more than a quarter are excluded. `hold_us` is the longest that the server noticed itself
 * holding a lock, by the clock; it times only some.
 *
 * `nothing` disturbs nothing: what its two sides differ by is what this instrument can't tell. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/disturbance.h"
#include "bench/options.h"
#include "bench/queued.h"
#include "bench/report.h"
#include "bench/slices.h"
#include "server/clock.h"

enum {
    ACT_AFTER_US = 10000,  /* of a slice */
    LASTS_SLICES_MAX = 400, /* a disturbance that lasts longer is not over before we give up */
    VALUE_BYTES_MAX = 64 * 1024,
    SIDES = 2,
    STORM_TIMES = 10,
};

static const double MILLISECOND_US = 1000;
static const double AWAY_MAX = 0.25; /* what of a slice the prober may miss */

struct steady {
    struct target target;
    long long turns, slice_ms, connections, value_bytes;
    double rate;
    struct disturbed disturbed;
    struct prober prober;
    struct queued queued;
    struct report report;
    const struct disturbance *disturbance;
    struct slices sides[SIDES]; /* without, with */
    uint64_t overruns;
    bool acts; /* still to be done in this slice */
};

static bool fail(const struct steady *steady, const char *why) {
    fprintf(stderr, "sherd-bench steady: %s: %s\n", steady->disturbance->name, why);
    return false;
}

/* ---- A slice --------------------------------------------------------------------------------- */

static void tend(void *context, int64_t elapsed_us) {
    struct steady *steady = context;
    if (steady->acts && elapsed_us >= ACT_AFTER_US) {
        steady->acts = false;
        steady->disturbance->act(&steady->disturbed);
    }
    if (elapsed_us < steady->slice_ms * 1000) storm_tend(&steady->disturbed.storm, elapsed_us);
}

static double processor_us(struct steady *steady) {
    struct ask *ask = &steady->disturbed.ask;
    return (ask_info(ask, "cpu", "used_cpu_user") + ask_info(ask, "cpu", "used_cpu_sys")) * 1e6;
}

static bool take_replies(struct disturbed *disturbed) {
    for (long long ignored; disturbed->replies_due > 0; disturbed->replies_due--) {
        if (!ask_take(&disturbed->ask, &ignored, NULL, 0)) return false;
    }
    return true;
}

/* Fill in what the server knows of a slice with so many requests. */
static void take_facts(struct steady *steady, double cpu_us, double queued, uint64_t asked,
                       struct slice *slice) {
    struct ask *ask = &steady->disturbed.ask;
    slice->values[SLICE_QUEUED_US] = queued_us(&steady->queued) - queued;
    slice->values[SLICE_CPU_US] = (processor_us(steady) - cpu_us) / (double)asked;
    slice->values[SLICE_HOLD_US] = ask_info(ask, "sherd", "lock_longest_hold_usec");
    slice->values[SLICE_EVICTED] = ask_info(ask, "stats", "evicted_keys") / (double)asked;
}

static bool measure_slice(struct steady *steady, bool is_disturbed, bool acts) {
    const struct disturbance *disturbance = steady->disturbance;
    struct disturbed *disturbed = &steady->disturbed;
    struct probing probing;
    struct slice slice;
    long long ignored;
    if (!ask_command(&disturbed->ask, "CONFIG RESETSTAT", &ignored, NULL, 0)) return false;
    double rate = disturbance->connects ? disturbed->connects : 0;
    storm_begin(&disturbed->storm, is_disturbed ? STORM_TIMES * rate : rate);
    struct probes probes = disturbance->probes(disturbed, is_disturbed);
    double cpu_us = processor_us(steady), queued = queued_us(&steady->queued);
    steady->acts = acts && disturbance->act != NULL;
    if (!prober_run(&steady->prober, &probes, steady->slice_ms * 1000, tend, steady, &probing))
        return false;
    if (!take_replies(disturbed)) return false;
    take_facts(steady, cpu_us, queued, probing.asked, &slice);
    storm_end(&disturbed->storm);
    if (probes.is_in_turn) disturbed->next_key = probing.next_key;
    steady->overruns += probing.overruns;
    slice_take_latencies(&slice, &probing.latencies);
    slice.values[SLICE_AWAY] = (double)probing.away_us / (double)(steady->slice_ms * 1000);
    slice.is_excluded = slice.values[SLICE_AWAY] > AWAY_MAX;
    if (probing.errors != 0) return fail(steady, "the server answered with errors");
    if (!slices_add(&steady->sides[is_disturbed], &slice))
        return fail(steady, "too many slices: fewer --turns");
    return !disturbed->ask.has_failed;
}

/* ---- A disturbance --------------------------------------------------------------------------- */

static bool measure_turn(struct steady *steady) {
    const struct disturbance *disturbance = steady->disturbance;
    struct disturbed *disturbed = &steady->disturbed;
    if (disturbance->ready != NULL && !disturbance->ready(disturbed)) return false;
    for (uint32_t i = 0; i < disturbance->controls; i++) {
        if (!measure_slice(steady, false, false)) return false;
    }
    if (disturbance->await != NULL && !disturbance->await(disturbed)) return false;
    disturbed->turns++;
    for (uint32_t i = 0; i < LASTS_SLICES_MAX; i++) {
        if (!measure_slice(steady, true, i == 0)) return false;
        disturbed->lasted++;
        if (!disturbance->lasts(disturbed)) return !disturbed->ask.has_failed;
    }
    return fail(steady, "it doesn't end");
}

static double ratio(const struct steady *steady, bool is_disturbed, enum slice_value value) {
    return slices_median(&steady->sides[is_disturbed], value) /
           slices_median(&steady->sides[false], value);
}

static void report_side(struct steady *steady, bool is_disturbed) {
    const struct slices *slices = &steady->sides[is_disturbed];
    char facts[DISTURBANCE_FACTS_MAX] = "";
    if (is_disturbed && steady->disturbance->tell != NULL)
        steady->disturbance->tell(&steady->disturbed, facts);
    const struct report_field fields[] = {
        {.name = "disturbance", .text = steady->disturbance->name},
        {.name = "side", .text = is_disturbed ? "with" : "without"},
        {.name = "slices", .number = slices->count},
        {.name = "excluded", .number = slices->excluded},
        {.name = "p50_us", .number = slices_median(slices, SLICE_P50_US)},
        {.name = "p99_us", .number = slices_median(slices, SLICE_P99_US)},
        {.name = "p999_us", .number = slices_median(slices, SLICE_P999_US)},
        {.name = "most_us", .number = slices_median(slices, SLICE_MOST_US)},
        {.name = "worst_us", .number = slices_most(slices, SLICE_MOST_US)},
        {.name = "over_ms",
         .number = 100 * slices_share_above(slices, SLICE_P999_US, MILLISECOND_US)},
        {.name = "p99_x", .number = ratio(steady, is_disturbed, SLICE_P99_US), .decimals = 2},
        {.name = "p999_x", .number = ratio(steady, is_disturbed, SLICE_P999_US), .decimals = 2},
        {.name = "away_pct", .number = 100 * slices_median(slices, SLICE_AWAY), .decimals = 1},
        {.name = "queued_us", .number = slices_median(slices, SLICE_QUEUED_US)},
        {.name = "cpu_us", .number = slices_median(slices, SLICE_CPU_US), .decimals = 2},
        {.name = "hold_us", .number = slices_median(slices, SLICE_HOLD_US)},
        {.name = "evicted", .number = slices_median(slices, SLICE_EVICTED), .decimals = 2},
        {.name = "facts", .text = facts},
    };
    report_row(&steady->report, fields, sizeof(fields) / sizeof(fields[0]));
}

static void forget(struct steady *steady) {
    struct disturbed *disturbed = &steady->disturbed;
    memset(steady->sides, 0, sizeof(steady->sides));
    steady->overruns = 0;
    disturbed->turns = disturbed->lasted = 0;
    disturbed->gone_ms = disturbed->late_ms = disturbed->kept_bytes = 0;
    disturbed->storm.visits = disturbed->storm.failed = 0;
}

static bool measure(struct steady *steady, const struct disturbance *disturbance) {
    steady->disturbance = disturbance;
    forget(steady);
    if (!disturbed_reset(&steady->disturbed)) return false;
    if (disturbance->prepare != NULL && !disturbance->prepare(&steady->disturbed)) return false;
    for (long long turn = 0; turn < steady->turns; turn++) {
        report_progress(&steady->report, disturbance->name);
        if (!measure_turn(steady)) return false;
    }
    report_side(steady, false);
    report_side(steady, true);
    if (steady->overruns != 0)
        fprintf(stderr, "sherd-bench steady: %s: %llu requests were due and not sent\n",
                disturbance->name, (unsigned long long)steady->overruns);
    return true;
}

/* ---- The subcommand -------------------------------------------------------------------------- */

static bool measure_all(struct steady *steady, const char *only) {
    bool is_known = only == NULL;
    for (size_t i = 0; i < disturbance_count; i++) {
        if (only != NULL && strcmp(only, disturbances[i].name) != 0) continue;
        is_known = true;
        if (!measure(steady, &disturbances[i])) return false;
    }
    if (!is_known) fprintf(stderr, "sherd-bench: --only: no disturbance '%s'\n", only);
    return is_known && disturbed_reset(&steady->disturbed);
}

static bool open_all(struct steady *steady) {
    struct disturbed *disturbed = &steady->disturbed;
    const struct prober_options options = {.target = &steady->target,
                                           .connections = (uint32_t)steady->connections,
                                           .rate = steady->rate,
                                           .value_bytes = (size_t)steady->value_bytes};
    if (!fill_init(&disturbed->fill, &disturbed->ask, (size_t)steady->value_bytes) ||
        !ask_open(&disturbed->ask, &steady->target) ||
        !storm_init(&disturbed->storm, &steady->target) || !prober_open(&steady->prober, &options))
        return false;
    queued_open(&steady->queued, (long)ask_info(&disturbed->ask, "server", "process_id"));
    return true;
}

static bool is_sensible(const struct steady *steady) {
    const struct disturbed *disturbed = &steady->disturbed;
    if (steady->connections <= PROBER_CONNECTIONS_MAX && steady->value_bytes <= VALUE_BYTES_MAX &&
        steady->rate > 0 && disturbed->connects >= 0 && disturbed->keys <= 100000000)
        return true;
    fprintf(stderr,
            "sherd-bench: at most %d connections, values of at most %d bytes, 100,000,000 keys; "
            "rates above 0\n",
            PROBER_CONNECTIONS_MAX, VALUE_BYTES_MAX);
    return false;
}

int steady_run(int argc, char **argv) {
    static struct steady steady;
    steady = (struct steady){.target = target_default(),
                             .turns = 10,
                             .slice_ms = 250,
                             .connections = 8,
                             .value_bytes = 64,
                             .rate = 20000};
    struct disturbed *disturbed = &steady.disturbed;
    disturbed->keys = 1000000;
    disturbed->limit_bytes = 128 * 1024 * 1024;
    disturbed->huge_bytes = 500000000;
    disturbed->connects = 200;
    disturbed->policy = "allkeys-adaptive";
    const char *only = NULL;
    bool prints_json = false;
    const struct option_row rows[] = {
        {"--host", OPTION_TEXT, &steady.target.host},
        {"--port", OPTION_COUNT, &steady.target.port},
        {"--unix", OPTION_TEXT, &steady.target.unix_path},
        {"--only", OPTION_TEXT, &only},
        {"--turns", OPTION_COUNT, &steady.turns},
        {"--slice-ms", OPTION_COUNT, &steady.slice_ms},
        {"--rate", OPTION_FRACTION, &steady.rate},
        {"--connections", OPTION_COUNT, &steady.connections},
        {"--keys", OPTION_COUNT, &disturbed->keys},
        {"--value-bytes", OPTION_COUNT, &steady.value_bytes},
        {"--limit-bytes", OPTION_COUNT, &disturbed->limit_bytes},
        {"--policy", OPTION_TEXT, &disturbed->policy},
        {"--huge-bytes", OPTION_COUNT, &disturbed->huge_bytes},
        {"--connects", OPTION_FRACTION, &disturbed->connects},
        {"--json", OPTION_SWITCH, &prints_json},
    };
    if (!options_read(argc, argv, rows, sizeof(rows) / sizeof(rows[0]))) return EXIT_FAILURE;
    if (!target_is_known(&steady.target) || !is_sensible(&steady)) return EXIT_FAILURE;
    report_init(&steady.report, "steady", prints_json, 0);
    bool is_done = open_all(&steady) && measure_all(&steady, only);
    prober_close(&steady.prober);
    queued_close(&steady.queued);
    ask_close(&disturbed->ask);
    fill_release(&disturbed->fill);
    return is_done ? EXIT_SUCCESS : EXIT_FAILURE;
}
