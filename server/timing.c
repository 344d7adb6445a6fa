/* How every slow command is seen, without a clock read for every fast one.
 *
 * Reading the cycle counter around each GET would cost a tenth of it (dispatch.c). But a GET that is slow has a reason:
 * it waited for its shard's lock, or for room at the memory limit, or it has many keys. Those paths are slow anyway,
 * and begin the timing themselves (`begun_ticks` of the call), so such a command is timed to its end. What is left
 * are commands that were held up by nothing we know of: the system took the processor away, a page was missing, a
 * value of many megabytes was copied. So the batch is timed as a whole, at two reads for up to 32 requests: when it took
 * no longer than the limit, none in it did. When it did, less what those took that were timed each, then somebody
 * among the rest was slow:
 *
 *      1 candidate        it is that command: noted as any other, with the remainder as its time
 *      several            one entry for all of them, "(one of 14 commands)" and what these were, by no client;
 *                         and for WATCH_MS every command is timed, so that what comes again has a name
 *
 * A limit under BATCH_LIMIT_US may be passed by a batch in which nobody is slow; then every command is timed (a
 * limit of 0 notes all). So the slow log misses nothing; what it says is exact but for the second kind of entry.
 *
 * Times of commands begin when they run, as in Redis: not with the wait in the batch, nor with parsing. Waits for locks are
 * inside. What all of it costs a request 16 deep, in instructions in user space (callgrind): GET 1 more than the 1035
 * before, SET, which was always timed, 5 more than 1304.
 *
 * From NOTABLE_MAX_US on a command is notable anyway: it may be the longest hold of its shard's lock. */
#include "server/timing.h"

#include <stdio.h>

#include "server/call.h"
#include "server/clock.h"
#include "server/redaction.h"
#include "server/server.h"
#include "shards/base/memory.h"

enum {
    BATCH_LIMIT_US = 1000,
    NOTABLE_MAX_US = 100,
    WATCH_MS = 10 * 1000,
    NS_PER_MS = 1000 * 1000,
};

/* ---- Limits ---------------------------------------------------------------------------------- */

static bool logs_slow(const struct config *config) {
    return config_number(&config->slowlog_log_slower_than) >= 0 &&
           config_number(&config->slowlog_max_len) > 0;
}

static void set_ticks(_Atomic uint64_t *ticks, int64_t us) {
    double exact = (double)us * clock_ticks_per_us();
    atomic_store_explicit(ticks, exact < (double)INT64_MAX ? (uint64_t)exact : INT64_MAX,
                          memory_order_relaxed);
}

static void set_limits(struct timing_limits *limits, const struct config *config) {
    int64_t threshold_ms = config_number(&config->latency_monitor_threshold);
    int64_t told_us = INT64_MAX;
    if (threshold_ms > 0 && threshold_ms < INT64_MAX / 1000) told_us = threshold_ms * 1000;
    int64_t slow_us = config_number(&config->slowlog_log_slower_than);
    if (logs_slow(config) && slow_us < told_us) told_us = slow_us;
    set_ticks(&limits->slow_ticks, told_us);
    set_ticks(&limits->notable_ticks, told_us < NOTABLE_MAX_US ? told_us : NOTABLE_MAX_US);
    atomic_store_explicit(&limits->times_all, told_us < BATCH_LIMIT_US, memory_order_relaxed);
}

static void take_limits(struct worker *worker) {
    const struct timing_limits *limits = &worker->server->timing;
    struct timing *timing = &worker->timing;
    timing->notable_ticks = atomic_load_explicit(&limits->notable_ticks, memory_order_relaxed);
    bool times_all = atomic_load_explicit(&limits->times_all, memory_order_relaxed) ||
                     worker->now_ms < timing->watch_until_ms;
    timing->sample_mask = times_all ? 0 : COMMAND_SAMPLE - 1;
}

/* The worker that runs the CONFIG SET is in the midst of a batch. From this command on it holds to the new limits, as
 * Redis does; the batch as a whole to the old one, since nobody timed what ran in it before. */
enum status timing_apply(void *context, struct config *config, char *error) {
    struct server *server = context;
    (void)error;
    set_limits(&server->timing, config);
    for (uint32_t i = 0; i < server->worker_count; i++) {
        struct worker *worker = &server->workers[i];
        if (pthread_equal(worker->thread, pthread_self())) take_limits(worker);
    }
    return STATUS_OK;
}

enum status timing_start(struct server *server) {
    struct timing_limits *limits = &server->timing;
    pthread_mutex_init(&limits->holds_lock, NULL);
    limits->holds = memory_allocate_zeroed(server->shards.count * sizeof(*limits->holds));
    if (limits->holds == NULL) return STATUS_NO_MEMORY;
    set_limits(limits, server->config);
    return STATUS_OK;
}

void timing_stop(struct server *server) {
    memory_free(server->timing.holds);
    pthread_mutex_destroy(&server->timing.holds_lock);
}

static uint64_t microseconds_of(uint64_t ticks) {
    return (uint64_t)((double)ticks / clock_ticks_per_us());
}

/* ---- The slow log ---------------------------------------------------------------------------- */

static void fill_client(struct slowlog_entry *entry, const struct client *client) {
    address_of_peer(client->connection.fd, entry->client);
    snprintf(entry->name, sizeof(entry->name), "%s", client->name != NULL ? client->name : "");
}

static void log_entry(struct worker *worker, struct slowlog_entry *entry, uint64_t took_us) {
    struct server *server = worker->server;
    entry->time_s = clock_unix_ms() / 1000;
    entry->took_us = (int64_t)took_us;
    slowlog_add(&server->slowlog, entry, (uint64_t)config_number(&server->config->slowlog_max_len));
}

static void log_command(struct worker *worker, const struct client *client,
                        const struct command *row, const struct bytes *args, uint32_t arg_count,
                        uint64_t took_us) {
    struct bytes shown[SLOWLOG_ARGUMENTS_MAX];
    uint32_t count = arg_count < SLOWLOG_ARGUMENTS_MAX ? arg_count : SLOWLOG_ARGUMENTS_MAX;
    for (uint32_t i = 0; i < count; i++) {
        shown[i] = redaction_hides(row, args, i) ? BYTES(REDACTION_TEXT) : args[i];
    }
    struct slowlog_entry *entry = slowlog_entry_create(shown, arg_count);
    if (entry == NULL) return;
    fill_client(entry, client);
    log_entry(worker, entry, took_us);
}

static bool is_slow(const struct server *server, uint64_t took_us) {
    const struct config *config = server->config;
    return logs_slow(config) &&
           took_us >= (uint64_t)config_number(&config->slowlog_log_slower_than);
}

/* ---- Events ---------------------------------------------------------------------------------- */

static void note_event(struct server *server, enum latency_event event, uint64_t took_ms) {
    uint64_t threshold = (uint64_t)config_number(&server->config->latency_monitor_threshold);
    if (threshold == 0 || took_ms < threshold) return;
    latency_note(&server->latency, event, clock_unix_ms() / 1000, took_ms);
}

void timing_note_event(struct server *server, enum latency_event event, uint64_t begun_ticks) {
    if (config_number(&server->config->latency_monitor_threshold) == 0) return;
    note_event(server, event, microseconds_of(clock_ticks() - begun_ticks) / 1000);
}

void timing_note_wait(struct call *call, uint64_t waited_ns) {
    call->worker->timing.waited_ns += waited_ns;
    note_event(call->server, LATENCY_LOCK_WAIT, waited_ns / NS_PER_MS);
}

/* ---- Holds ----------------------------------------------------------------------------------- */

/* Only of commands of one key: those on several hold some longer than others. */
static void note_hold(struct call *call, uint64_t took_us) {
    struct timing_limits *limits = &call->server->timing;
    uint64_t waited_us = call->worker->timing.waited_ns / 1000;
    const struct command_keys *keys = &call->command->keys;
    if (call->first_shard == NULL || keys->last != keys->first || took_us <= waited_us) return;
    uint64_t held_us = took_us - waited_us;
    struct timing_hold *hold = &limits->holds[call->first_shard->index];
    pthread_mutex_lock(&limits->holds_lock);
    if (held_us > hold->held_us) *hold = (struct timing_hold){held_us, call->command};
    pthread_mutex_unlock(&limits->holds_lock);
}

struct timing_hold timing_longest_hold(struct server *server, uint32_t shard) {
    struct timing_limits *limits = &server->timing;
    pthread_mutex_lock(&limits->holds_lock);
    struct timing_hold hold = limits->holds[shard];
    pthread_mutex_unlock(&limits->holds_lock);
    return hold;
}

void timing_reset_holds(struct server *server) {
    struct timing_limits *limits = &server->timing;
    pthread_mutex_lock(&limits->holds_lock);
    for (uint32_t i = 0; i < server->shards.count; i++) {
        limits->holds[i] = (struct timing_hold){0};
    }
    pthread_mutex_unlock(&limits->holds_lock);
}

/* ---- A command ------------------------------------------------------------------------------- */

static enum latency_event event_of(const struct command *row) {
    return row->flags & COMMAND_FAST ? LATENCY_FAST_COMMAND : LATENCY_COMMAND;
}

void timing_note(struct call *call, uint64_t took_ticks) {
    uint64_t took_us = microseconds_of(took_ticks);
    note_event(call->server, event_of(call->command), took_us / 1000);
    note_hold(call, took_us);
    if (!is_slow(call->server, took_us)) return;
    log_command(call->worker, call->client, call->command, call->args, call->arg_count, took_us);
}

/* ---- A batch --------------------------------------------------------------------------------- */

uint64_t timing_begin_batch(struct worker *worker) {
    struct timing_limits *limits = &worker->server->timing;
    struct timing *timing = &worker->timing;
    take_limits(worker);
    timing->slow_ticks = atomic_load_explicit(&limits->slow_ticks, memory_order_relaxed);
    timing->timed_ticks = 0;
    timing->timed = 0;
    return clock_ticks();
}

/* It ran, and nobody timed it. */
static bool is_candidate(const struct worker *worker, uint32_t index) {
    const struct request *request = &worker->batch[index];
    return (worker->timing.timed >> index & 1) == 0 && request->is_sound &&
           (request->row->flags & COMMAND_FAST) && request->client->executed >= request->end;
}

/* "get greeting": its name, and its first key. */
static struct bytes name_candidate(const struct worker *worker, const struct request *request,
                                   char out[SLOWLOG_BYTES_MAX]) {
    struct bytes key = {"", 0};
    if (request->shard != NULL)
        key = worker->arguments.data[request->first_argument + (uint32_t)request->row->keys.first];
    int size = snprintf(out, SLOWLOG_BYTES_MAX, "%s%s%.*s", request->row->name,
                        key.size != 0 ? " " : "", key.size < 64 ? (int)key.size : 64, key.data);
    return bytes_of(out, (size_t)size);
}

static void log_candidates(struct worker *worker, const uint32_t *candidates, uint32_t count,
                           uint64_t took_us) {
    char texts[BATCH_MAX + 1][SLOWLOG_BYTES_MAX];
    struct bytes args[BATCH_MAX + 1];
    int size = snprintf(texts[0], SLOWLOG_BYTES_MAX, "(one of %u commands)", count);
    args[0] = bytes_of(texts[0], (size_t)size);
    for (uint32_t i = 0; i < count; i++) {
        args[i + 1] = name_candidate(worker, &worker->batch[candidates[i]], texts[i + 1]);
    }
    struct slowlog_entry *entry = slowlog_entry_create(args, count + 1);
    if (entry != NULL) log_entry(worker, entry, took_us);
}

__attribute__((noinline, cold)) static void note_rest(struct worker *worker, uint64_t ticks) {
    uint32_t candidates[BATCH_MAX], count = 0;
    for (uint32_t i = 0; i < worker->batch_count; i++) {
        if (is_candidate(worker, i)) candidates[count++] = i;
    }
    uint64_t took_us = microseconds_of(ticks);
    if (count == 0) return;
    note_event(worker->server, LATENCY_FAST_COMMAND, took_us / 1000);
    if (!is_slow(worker->server, took_us)) return;
    if (count > 1) {
        worker->timing.watch_until_ms = worker->now_ms + WATCH_MS;
        log_candidates(worker, candidates, count, took_us);
        return;
    }
    const struct request *request = &worker->batch[candidates[0]];
    log_command(worker, request->client, request->row,
                &worker->arguments.data[request->first_argument], request->argument_count, took_us);
}

void timing_end_batch(struct worker *worker, uint64_t begun_ticks) {
    struct timing *timing = &worker->timing;
    uint64_t ticks = clock_ticks() - begun_ticks;
    counters_add(&timing->running_ticks, ticks);
    if (__builtin_expect(ticks < timing->slow_ticks, 1)) return;
    uint64_t rest = ticks > timing->timed_ticks ? ticks - timing->timed_ticks : 0;
    if (rest >= timing->slow_ticks) note_rest(worker, rest);
}
