#include "bench/disturbance.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "server/clock.h"

enum {
    PROBED_KEYS = 1000,      /* number 0 and on: they stay */
    MANY_FIRST = 1000000,    /* the first of those that go, or are saved */
    LATEST_KEYS = 1000,      /* of those written at the limit: they are still there */
    LIMIT_FILL_KEYS = 10000, /* in one go, until some are evicted */
    EXPIRE_EARLY_MS = 10,    /* the slice in which keys are due begins so much before */
    EXPIRE_FIRST_KEYS_A_MS = 40,
    EXPIRE_MARGIN_MS = 1500, /* for the slices without */
    EXPIRE_ATTEMPTS = 4,
};

static bool command(struct disturbed *disturbed, const char *text) {
    long long ignored;
    return ask_command(&disturbed->ask, text, &ignored, NULL, 0);
}

static bool command_number(struct disturbed *disturbed, const char *format, long long number) {
    char text[128];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(text, sizeof(text), format, number);
#pragma GCC diagnostic pop
    return command(disturbed, text);
}

/* Say it; its reply is taken when the slice is over. */
static bool say(struct disturbed *disturbed, const char *text) {
    disturbed->replies_due++;
    return ask_send(&disturbed->ask, text, strlen(text)) && ask_send(&disturbed->ask, "\r\n", 2);
}

static double info(struct disturbed *disturbed, const char *section, const char *field) {
    return ask_info(&disturbed->ask, section, field);
}

bool disturbed_reset(struct disturbed *disturbed) {
    static const struct fill_span never = {0, 0};
    return command(disturbed, "CONFIG SET save \"\" maxmemory 0") &&
           command(disturbed, "FLUSHALL SYNC") &&
           fill_keys(&disturbed->fill, 0, PROBED_KEYS, &never);
}

static struct probes probe_few(const struct disturbed *disturbed, bool is_disturbed) {
    (void)disturbed, (void)is_disturbed;
    return (struct probes){.count = PROBED_KEYS};
}

static bool is_over(struct disturbed *disturbed) {
    return disturbed->ask.has_failed; /* after one slice: then it doesn't last */
}

/* ---- limit ----------------------------------------------------------------------------------- */

static bool fill_to_limit(struct disturbed *disturbed) {
    static const struct fill_span never = {0, 0};
    long long some = disturbed->limit_bytes / 2000 < LIMIT_FILL_KEYS ? disturbed->limit_bytes / 2000
                                                                     : LIMIT_FILL_KEYS;
    double before = info(disturbed, "stats", "evicted_keys");
    while (info(disturbed, "stats", "evicted_keys") < before + (double)some) {
        if (!fill_keys(&disturbed->fill, disturbed->next_key, (uint64_t)some, &never)) return false;
        disturbed->next_key += (uint64_t)some;
    }
    return !disturbed->ask.has_failed;
}

static bool set_limit(struct disturbed *disturbed) {
    char text[128];
    snprintf(text, sizeof(text), "CONFIG SET maxmemory-policy %s maxmemory %lld", disturbed->policy,
             disturbed->limit_bytes);
    return command(disturbed, text);
}

static bool prepare_limit(struct disturbed *disturbed) {
    disturbed->next_key = MANY_FIRST;
    return set_limit(disturbed) && fill_to_limit(disturbed);
}

/* New keys, each of which evicts, or those that were new a moment ago. */
static struct probes probe_limit(const struct disturbed *disturbed, bool is_disturbed) {
    if (is_disturbed) {
        return (struct probes){
            .is_set = true, .is_in_turn = true, .first = disturbed->next_key, .count = 1};
    }
    return (struct probes){
        .is_set = true, .first = disturbed->next_key - LATEST_KEYS, .count = LATEST_KEYS};
}

/* ---- lower ----------------------------------------------------------------------------------- */

static bool ready_lower(struct disturbed *disturbed) {
    return set_limit(disturbed) && fill_to_limit(disturbed);
}

static struct probes probe_lower(const struct disturbed *disturbed, bool is_disturbed) {
    (void)is_disturbed;
    return probe_limit(disturbed, false);
}

static bool act_lower(struct disturbed *disturbed) {
    char text[64];
    snprintf(text, sizeof(text), "CONFIG SET maxmemory %lld", disturbed->limit_bytes / 2);
    return say(disturbed, text);
}

static bool lasts_lower(struct disturbed *disturbed) {
    return info(disturbed, "memory", "used_memory") > (double)disturbed->limit_bytes / 2 * 1.01;
}

static void tell_lasted(const struct disturbed *disturbed, char out[DISTURBANCE_FACTS_MAX]) {
    snprintf(out, DISTURBANCE_FACTS_MAX, "lasted %.1f slices",
             (double)disturbed->lasted / disturbed->turns);
}

/* ---- del, unlink, replace -------------------------------------------------------------------- */

static bool ready_huge(struct disturbed *disturbed) {
    return command_number(disturbed, "SETRANGE huge %lld x", disturbed->huge_bytes - 1);
}
static bool act_del(struct disturbed *disturbed) {
    return say(disturbed, "DEL huge");
}
static bool act_unlink(struct disturbed *disturbed) {
    return say(disturbed, "UNLINK huge");
}
static bool act_replace(struct disturbed *disturbed) {
    return say(disturbed, "SET huge small");
}

/* ---- expire ---------------------------------------------------------------------------------- */

/* All of them are to have come before they are due. How long they take is known from the last time. */
static bool ready_expire(struct disturbed *disturbed) {
    int64_t expected_ms = disturbed->fill_ms != 0 ? disturbed->fill_ms * 3 / 2
                                                  : disturbed->keys / EXPIRE_FIRST_KEYS_A_MS;
    for (int i = 0; i < EXPIRE_ATTEMPTS; i++) {
        int64_t begun_ms = clock_unix_ms();
        disturbed->due_ms = begun_ms + expected_ms + EXPIRE_MARGIN_MS;
        struct fill_span due = {disturbed->due_ms, disturbed->due_ms};
        if (!fill_keys(&disturbed->fill, MANY_FIRST, (uint64_t)disturbed->keys, &due)) return false;
        disturbed->fill_ms = clock_unix_ms() - begun_ms;
        if (disturbed->fill_ms <= expected_ms) return true;
        expected_ms = 2 * disturbed->fill_ms;
    }
    fputs("sherd-bench: keys take longer and longer to come: fewer --keys\n", stderr);
    return false;
}

static bool await_expire(struct disturbed *disturbed) {
    int64_t left_ms = disturbed->due_ms - EXPIRE_EARLY_MS - clock_unix_ms();
    if (left_ms > 0) usleep((useconds_t)left_ms * 1000);
    if (left_ms >= 0) return true;
    fputs("sherd-bench: keys are due while it is looked at how it is without: shorter slices\n",
          stderr);
    return false;
}

static bool lasts_expire(struct disturbed *disturbed) {
    long long left = 0;
    int64_t late_ms = (int64_t)info(disturbed, "sherd", "expired_lateness_ms_p100");
    if (late_ms > disturbed->late_ms) disturbed->late_ms = late_ms;
    if (!ask_command(&disturbed->ask, "DBSIZE", &left, NULL, 0)) return false;
    if (left > PROBED_KEYS) return true;
    int64_t gone_ms = clock_unix_ms() - disturbed->due_ms;
    if (gone_ms > disturbed->gone_ms) disturbed->gone_ms = gone_ms;
    return false;
}

static void tell_expire(const struct disturbed *disturbed, char out[DISTURBANCE_FACTS_MAX]) {
    snprintf(out, DISTURBANCE_FACTS_MAX, "all gone when looked at after %lld ms; last %lld ms late",
             (long long)disturbed->gone_ms, (long long)disturbed->late_ms);
}

/* ---- save, save-writes ----------------------------------------------------------------------- */

static bool prepare_save(struct disturbed *disturbed) {
    static const struct fill_span never = {0, 0};
    return fill_keys(&disturbed->fill, MANY_FIRST, (uint64_t)disturbed->keys, &never);
}

static struct probes probe_save(const struct disturbed *disturbed, bool is_disturbed) {
    (void)is_disturbed;
    return (struct probes){.first = MANY_FIRST, .count = (uint64_t)disturbed->keys};
}

static struct probes probe_save_writes(const struct disturbed *disturbed, bool is_disturbed) {
    struct probes probes = probe_save(disturbed, is_disturbed);
    probes.is_set = true;
    return probes;
}

static bool act_save(struct disturbed *disturbed) {
    return say(disturbed, "BGSAVE");
}

static bool lasts_save(struct disturbed *disturbed) {
    if (info(disturbed, "persistence", "rdb_bgsave_in_progress") > 0) return true;
    int64_t kept = (int64_t)info(disturbed, "persistence", "rdb_last_cow_size");
    if (kept > disturbed->kept_bytes) disturbed->kept_bytes = kept;
    return false;
}

static void tell_save(const struct disturbed *disturbed, char out[DISTURBANCE_FACTS_MAX]) {
    snprintf(out, DISTURBANCE_FACTS_MAX, "lasted %.1f slices, kept at most %lld bytes",
             (double)disturbed->lasted / disturbed->turns, (long long)disturbed->kept_bytes);
}

/* ---- busy ------------------------------------------------------------------------------------ */

static bool ready_busy(struct disturbed *disturbed) {
    disturbed->process = (pid_t)info(disturbed, "server", "process_id");
    return !disturbed->ask.has_failed;
}

static bool act_busy(struct disturbed *disturbed) {
    if (!busy_begin(&disturbed->busy, disturbed->process)) disturbed->ask.has_failed = true;
    return !disturbed->ask.has_failed;
}

static bool lasts_busy(struct disturbed *disturbed) {
    busy_end(&disturbed->busy);
    return false;
}

/* ---- storm ----------------------------------------------------------------------------------- */

static void tell_storm(const struct disturbed *disturbed, char out[DISTURBANCE_FACTS_MAX]) {
    snprintf(out, DISTURBANCE_FACTS_MAX, "%llu guests in all, %llu failed",
             (unsigned long long)disturbed->storm.visits,
             (unsigned long long)disturbed->storm.failed);
}

/* ---- All of them ----------------------------------------------------------------------------- */

const struct disturbance disturbances[] = {
    {.name = "nothing", .controls = 1, .probes = probe_few, .lasts = is_over},
    {.name = "limit",
     .controls = 1,
     .prepare = prepare_limit,
     .probes = probe_limit,
     .lasts = is_over},
    {.name = "lower",
     .controls = 2,
     .prepare = prepare_limit,
     .ready = ready_lower,
     .probes = probe_lower,
     .act = act_lower,
     .lasts = lasts_lower,
     .tell = tell_lasted},
    {.name = "del",
     .controls = 1,
     .ready = ready_huge,
     .probes = probe_few,
     .act = act_del,
     .lasts = is_over},
    {.name = "unlink",
     .controls = 1,
     .ready = ready_huge,
     .probes = probe_few,
     .act = act_unlink,
     .lasts = is_over},
    {.name = "replace",
     .controls = 1,
     .ready = ready_huge,
     .probes = probe_few,
     .act = act_replace,
     .lasts = is_over},
    {.name = "expire",
     .controls = 2,
     .ready = ready_expire,
     .await = await_expire,
     .probes = probe_few,
     .lasts = lasts_expire,
     .tell = tell_expire},
    {.name = "save",
     .controls = 3,
     .prepare = prepare_save,
     .probes = probe_save,
     .act = act_save,
     .lasts = lasts_save,
     .tell = tell_save},
    {.name = "save-writes",
     .controls = 3,
     .prepare = prepare_save,
     .probes = probe_save_writes,
     .act = act_save,
     .lasts = lasts_save,
     .tell = tell_save},
    {.name = "busy",
     .controls = 1,
     .ready = ready_busy,
     .probes = probe_few,
     .act = act_busy,
     .lasts = lasts_busy},
    {.name = "storm",
     .controls = 1,
     .probes = probe_few,
     .lasts = is_over,
     .tell = tell_storm,
     .connects = true},
};
const size_t disturbance_count = sizeof(disturbances) / sizeof(disturbances[0]);
