/* Rows of two kinds: a number of struct metrics, or a family of series with labels, which a function writes.
 *
 * Names follow Prometheus's conventions: base units (seconds, bytes), `_total` for what only grows. What CONFIG RESETSTAT
 * sets back looks to Prometheus like a restart, which rate() and increase() know.
 *
 * A command's latency histogram is that of INFO latencystats: fast commands are timed one call in COMMAND_SAMPLE and
 * weighted by that much, so `_count` is near the calls, which have a counter of their own, but not equal. */
#include "prometheus.h"

#include <sys/resource.h>

#include "server/clock.h"
#include "server/gate.h"
#include "server/server.h"

#define LOAD(field) atomic_load_explicit(&(field), memory_order_relaxed)

typedef unsigned long long number; /* as printf wants it */

/* ---- Commands and errors --------------------------------------------------------------------- */

/* The names of commands and the codes of errors are our own words, which need no escaping. Next used command from `*id` on; NULL: there is none. */
static const char *next_command(const struct server *server, uint32_t *id,
                                struct command_sum *sum) {
    for (; *id < command_table_count_all(server->commands); ++*id) {
        *sum = metrics_command(server, *id);
        if (sum->calls == 0 && sum->failed == 0 && sum->rejected == 0) continue;
        return command_table_row(server->commands, (*id)++)->name;
    }
    return NULL;
}

static void write_calls(const struct metrics *metrics, const char *name, struct text *out) {
    struct command_sum sum;
    const char *command;
    for (uint32_t id = 0; (command = next_command(metrics->server, &id, &sum)) != NULL;) {
        text_format(out, "%s{command=\"%s\"} %llu\n", name, command, (number)sum.calls);
    }
}

static void write_failures(const struct metrics *metrics, const char *name, struct text *out) {
    struct command_sum sum;
    const char *command;
    for (uint32_t id = 0; (command = next_command(metrics->server, &id, &sum)) != NULL;) {
        text_format(out,
                    "%s{command=\"%s\",kind=\"failed\"} %llu\n"
                    "%s{command=\"%s\",kind=\"rejected\"} %llu\n",
                    name, command, (number)sum.failed, name, command, (number)sum.rejected);
    }
}

static void write_histogram(const char *name, const char *command, const struct command_sum *sum,
                            struct text *out) {
    uint64_t so_far = 0;
    for (uint32_t i = 0; i < PROMETHEUS_BUCKETS; i++) {
        so_far += sum->histogram[i];
        text_format(out, "%s_bucket{command=\"%s\",le=\"%.9g\"} %llu\n", name, command,
                    (double)(UINT64_C(1) << i) / 1e6, (number)so_far);
    }
    text_format(out,
                "%s_bucket{command=\"%s\",le=\"+Inf\"} %llu\n"
                "%s_sum{command=\"%s\"} %.9g\n"
                "%s_count{command=\"%s\"} %llu\n",
                name, command, (number)sum->timed, name, command,
                (double)sum->ticks / clock_ticks_per_us() / 1e6, name, command, (number)sum->timed);
}

static void write_durations(const struct metrics *metrics, const char *name, struct text *out) {
    if (config_number(&metrics->server->config->latency_tracking) == 0) return;
    struct command_sum sum;
    const char *command;
    for (uint32_t id = 0; (command = next_command(metrics->server, &id, &sum)) != NULL;) {
        if (sum.timed != 0) write_histogram(name, command, &sum, out);
    }
}

static void write_errors(const struct metrics *metrics, const char *name, struct text *out) {
    struct error_sum sums[ERRORS_MAX];
    uint32_t count = metrics_sum_errors(metrics->server, sums);
    for (uint32_t i = 0; i < count; i++) {
        text_format(out, "%s{code=\"%s\"} %llu\n", name, sums[i].code, (number)sums[i].count);
    }
}

/* ---- Databases ------------------------------------------------------------------------------- */

static uint64_t misses_of(const struct metrics *metrics, uint32_t database,
                          struct misses_sum *sum) {
    uint64_t total = 0;
    *sum = misses_sum_database(&metrics->server->shards.misses, database);
    for (int reason = 0; reason < MISS_REASONS; reason++) {
        total += sum->by_reason[reason];
    }
    return total;
}

/* A database that holds or misses something, from `*database` on; `*shown` counts them. */
static bool next_database(const struct metrics *metrics, uint32_t *database, uint32_t *shown) {
    const struct shards *shards = &metrics->server->shards;
    struct misses_sum sum;
    for (; *database < shards->database_count && *shown < PROMETHEUS_DATABASES_MAX; ++*database) {
        if (shards_key_count(shards, *database) == 0 && misses_of(metrics, *database, &sum) == 0)
            continue;
        ++*shown;
        return true;
    }
    return false;
}

static void write_keys(const struct metrics *metrics, const char *name, struct text *out) {
    for (uint32_t i = 0, shown = 0; next_database(metrics, &i, &shown); i++) {
        text_format(out, "%s{db=\"%u\"} %llu\n", name, i,
                    (number)shards_key_count(&metrics->server->shards, i));
    }
}

static void write_deadlines(const struct metrics *metrics, const char *name, struct text *out) {
    for (uint32_t i = 0, shown = 0; next_database(metrics, &i, &shown); i++) {
        text_format(out, "%s{db=\"%u\"} %llu\n", name, i,
                    (number)shards_deadline_count(&metrics->server->shards, i));
    }
}

static void write_database_misses(const struct metrics *metrics, const char *name,
                                  struct text *out) {
    for (uint32_t i = 0, shown = 0; next_database(metrics, &i, &shown); i++) {
        struct misses_sum sum;
        misses_of(metrics, i, &sum);
        for (int reason = 0; reason < MISS_REASONS; reason++) {
            text_format(out, "%s{db=\"%u\",reason=\"%s\"} %llu\n", name, i,
                        misses_reason_name((enum miss_reason)reason),
                        (number)sum.by_reason[reason]);
        }
    }
}

static void write_misses(const struct metrics *metrics, const char *name, struct text *out) {
    struct misses_sum sum = misses_sum_all(&metrics->server->shards.misses);
    for (int reason = 0; reason < MISS_REASONS; reason++) {
        text_format(out, "%s{reason=\"%s\"} %llu\n", name,
                    misses_reason_name((enum miss_reason)reason), (number)sum.by_reason[reason]);
    }
}

static void write_lateness(const struct metrics *metrics, const char *name, struct text *out) {
    struct lateness_sum sum = shards_lateness(&metrics->server->shards);
    static const double quantiles[] = {0.5, 0.99, 1};
    for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
        text_format(out, "%s{quantile=\"%g\"} %.9g\n", name, quantiles[i],
                    (double)lateness_percentile(&sum, quantiles[i] * 100) / 1e3);
    }
    text_format(out, "%s_count %llu\n", name, (number)sum.total);
}

static void write_granted(const struct metrics *metrics, const char *name, struct text *out) {
    text_format(out, "%s{reason=\"missing\"} %lld\n%s{reason=\"early\"} %lld\n", name,
                (long long)metrics->leases_granted, name, (long long)metrics->leases_early);
}

/* ---- Shards and workers ---------------------------------------------------------------------- */

static uint32_t shown_shards(const struct metrics *metrics) {
    uint32_t count = metrics->server->shards.count;
    return count <= PROMETHEUS_SHARDS_MAX ? count : 0;
}

static void write_shard_reads(const struct metrics *metrics, const char *name, struct text *out) {
    for (uint32_t i = 0; i < shown_shards(metrics); i++) {
        struct counters_sum sum = counters_sum_shard(&metrics->server->shards.counters, i);
        text_format(out, "%s{shard=\"%u\"} %llu\n", name, i, (number)sum.reads);
    }
}

static void write_shard_writes(const struct metrics *metrics, const char *name, struct text *out) {
    for (uint32_t i = 0; i < shown_shards(metrics); i++) {
        struct counters_sum sum = counters_sum_shard(&metrics->server->shards.counters, i);
        text_format(out, "%s{shard=\"%u\"} %llu\n", name, i, (number)sum.writes);
    }
}

static void write_shard_waits(const struct metrics *metrics, const char *name, struct text *out) {
    for (uint32_t i = 0; i < shown_shards(metrics); i++) {
        struct rwlock_profile profile = rwlock_profile(&metrics->server->shards.shards[i].lock);
        text_format(out, "%s{shard=\"%u\"} %llu\n", name, i, (number)profile.waits);
    }
}

static void write_worker_commands(const struct metrics *metrics, const char *name,
                                  struct text *out) {
    const struct server *server = metrics->server;
    for (uint32_t i = 0; i < server->worker_count; i++) {
        text_format(out, "%s{worker=\"%u\"} %llu\n", name, i,
                    (number)LOAD(server->workers[i].command_count));
    }
}

static void write_worker_clients(const struct metrics *metrics, const char *name,
                                 struct text *out) {
    const struct server *server = metrics->server;
    for (uint32_t i = 0; i < server->worker_count; i++) {
        text_format(out, "%s{worker=\"%u\"} %u\n", name, i, LOAD(server->workers[i].client_count));
    }
}

static void write_closed(const struct metrics *metrics, const char *name, struct text *out) {
    const struct {
        const char *reason;
        int64_t count;
    } reasons[] = {{"idle", metrics->idle_closed},
                   {"query_limit", metrics->query_limit_closed},
                   {"output_limit", metrics->output_limit_closed},
                   {"memory_limit", metrics->clients_evicted}};
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        text_format(out, "%s{reason=\"%s\"} %lld\n", name, reasons[i].reason,
                    (long long)reasons[i].count);
    }
}

/* ---- The process ----------------------------------------------------------------------------- */

static void write_build(const struct metrics *metrics, const char *name, struct text *out) {
    const struct engine *engine = metrics->server->workers[0].engine;
    text_format(out, "%s{version=\"%s\",engine=\"%s\"} 1\n", name, SHERD_VERSION,
                engine != NULL ? engine_name(engine) : "");
}

static void write_start(const struct metrics *metrics, const char *name, struct text *out) {
    text_format(out, "%s %.3f\n", name, (double)metrics->server->started_ms / 1e3);
}

static void write_cpu(const struct metrics *metrics, const char *name, struct text *out) {
    (void)metrics;
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0) return;
    text_format(out, "%s{mode=\"user\"} %ld.%06ld\n%s{mode=\"system\"} %ld.%06ld\n", name,
                (long)usage.ru_utime.tv_sec, (long)usage.ru_utime.tv_usec, name,
                (long)usage.ru_stime.tv_sec, (long)usage.ru_stime.tv_usec);
}

/* ---- Persistence ----------------------------------------------------------------------------- */

static void write_loading(const struct metrics *metrics, const char *name, struct text *out) {
    text_format(out, "%s %d\n", name, gate_is_closed(metrics->server, GATE_LOADING));
}
static void write_saving(const struct metrics *metrics, const char *name, struct text *out) {
    text_format(out, "%s %d\n", name, LOAD(metrics->server->saver.is_saving));
}
static void write_sound(const struct metrics *metrics, const char *name, struct text *out) {
    text_format(out, "%s %d\n", name, LOAD(metrics->server->saver.is_sound));
}
static void write_saves(const struct metrics *metrics, const char *name, struct text *out) {
    text_format(out, "%s %llu\n", name, (number)LOAD(metrics->server->saver.saves));
}
static void write_saved(const struct metrics *metrics, const char *name, struct text *out) {
    text_format(out, "%s %.3f\n", name, (double)LOAD(metrics->server->saver.saved_ms) / 1e3);
}
static void write_changes(const struct metrics *metrics, const char *name, struct text *out) {
    text_format(out, "%s %llu\n", name, (number)saver_changes(&metrics->server->saver));
}
static void write_kept(const struct metrics *metrics, const char *name, struct text *out) {
    text_format(out, "%s %llu\n", name,
                (number)snapshot_saved_bytes(&metrics->server->saver.snapshot));
}
/* Absent until there was one. */
static void write_save_seconds(const struct metrics *metrics, const char *name, struct text *out) {
    int64_t seconds = LOAD(metrics->server->saver.last_s);
    if (seconds >= 0) text_format(out, "%s %lld\n", name, (long long)seconds);
}

/* ---- Rows ------------------------------------------------------------------------------------ */

static const char counter[] = "counter";
static const char gauge[] = "gauge";
static const char histogram[] = "histogram";
static const char summary[] = "summary";

/* `number` is an offset into struct metrics, shown divided by `divisor` if that isn't 0; or `lines` writes it. */
struct family {
    const char *name, *type, *help;
    size_t number;
    double divisor;
    void (*lines)(const struct metrics *metrics, const char *name, struct text *out);
};

#define NUMBER(field) .number = offsetof(struct metrics, field)
#define US(field)     .number = offsetof(struct metrics, field), .divisor = 1e6

/* clang-format off: a row reads best as a row */
static const struct family families[] = {
    {"sherd_build_info", gauge, "Which sherd this is; always 1.", .lines = write_build},
    {"sherd_start_time_seconds", gauge, "When it started, since 1970.", .lines = write_start},
    {"sherd_cpu_seconds_total", counter, "Processor time of the process.", .lines = write_cpu},

    {"sherd_clients", gauge, "Clients connected.", NUMBER(clients)},
    {"sherd_clients_max", gauge, "Clients that may be connected (maxclients).",
     NUMBER(clients_max)},
    {"sherd_clients_waiting", gauge, "Clients whose command waits.", NUMBER(clients_waiting)},
    {"sherd_client_memory_bytes", gauge, "Memory of clients' input and replies.",
     NUMBER(client_bytes)},
    {"sherd_connections_received_total", counter, "Connections accepted.",
     NUMBER(connections_received)},
    {"sherd_connections_rejected_total", counter, "Connections refused.",
     NUMBER(connections_rejected)},
    {"sherd_connections_closed_total", counter, "Connections that sherd closed, by reason.",
     .lines = write_closed},
    {"sherd_network_received_bytes_total", counter, "Bytes received from clients.",
     NUMBER(received_bytes)},
    {"sherd_network_sent_bytes_total", counter, "Bytes sent to clients.", NUMBER(sent_bytes)},

    {"sherd_memory_used_bytes", gauge, "Memory that sherd counts as used.", NUMBER(used_bytes)},
    {"sherd_memory_used_peak_bytes", gauge, "The most that was seen of it.", NUMBER(peak_bytes)},
    {"sherd_memory_resident_bytes", gauge, "The process's resident set.", NUMBER(resident_bytes)},
    {"sherd_memory_data_bytes", gauge, "Memory of values, slabs and tables.", NUMBER(data_bytes)},
    {"sherd_memory_limit_bytes", gauge, "The limit (maxmemory); 0: none.", NUMBER(memory_max)},
    {"sherd_memory_system_bytes", gauge, "Memory of the machine.", NUMBER(system_bytes)},

    {"sherd_commands_total", counter, "Commands run.", NUMBER(commands)},
    {"sherd_batches_total", counter, "Batches they were run in.", NUMBER(batches)},
    {"sherd_command_calls_total", counter, "Calls of a command.", .lines = write_calls},
    {"sherd_command_errors_total", counter,
     "Calls that failed, and calls that were rejected before they ran.", .lines = write_failures},
    {"sherd_command_duration_seconds", histogram,
     "Time that a command took; estimated from one call in 16 of fast ones.",
     .lines = write_durations},
    {"sherd_errors_total", counter, "Errors replied, by code.", .lines = write_errors},

    {"sherd_hits_total", counter, "Keys that were read and there.", NUMBER(hits)},
    {"sherd_misses_total", counter, "Keys that were read and not there, by why they weren't.",
     .lines = write_misses},
    {"sherd_reads_total", counter, "Keys that reading commands looked up.", NUMBER(reads)},
    {"sherd_writes_total", counter, "Keys that writing commands looked up.", NUMBER(writes)},
    {"sherd_evicted_keys_total", counter, "Keys evicted at the memory limit.", NUMBER(evicted)},
    {"sherd_expired_keys_total", counter, "Keys removed at their deadline.", NUMBER(expired)},
    {"sherd_expiry_lateness_seconds", summary, "How long after their deadline upkeep removed keys.",
     .lines = write_lateness},
    {"sherd_database_keys", gauge, "Keys in a database.", .lines = write_keys},
    {"sherd_database_keys_with_deadline", gauge, "Keys in a database that will expire.",
     .lines = write_deadlines},
    {"sherd_database_misses_total", counter, "Misses in a database, by reason.",
     .lines = write_database_misses},

    {"sherd_leases_open", gauge, "Leases that may still be filled, those that have run out included.", NUMBER(leases_open)},
    {"sherd_leases_granted_total", counter, "Leases given to fill a key: it was missing, or it was early to refresh it.",
     .lines = write_granted},
    {"sherd_leases_filled_total", counter, "Values stored for their lease.", NUMBER(leases_filled)},
    {"sherd_leases_refused_total", counter, "Values not stored, or leases not given up, as the token was not good.",
     NUMBER(leases_void)},
    {"sherd_lease_stale_hits_total", counter, "Expired values shown while another client fills.",
     NUMBER(leases_stale)},
    {"sherd_lease_waits_total", counter, "Waits for another client's fill.", NUMBER(leases_waited)},

    {"sherd_workers", gauge, "Threads that serve clients.", NUMBER(workers)},
    {"sherd_worker_clients", gauge, "Clients of a worker.", .lines = write_worker_clients},
    {"sherd_worker_commands_total", counter, "Commands that a worker ran.",
     .lines = write_worker_commands},
    {"sherd_shards", gauge, "Shards.", NUMBER(shards)},
    {"sherd_shard_reads_total", counter, "Keys looked up for reading in a shard.",
     .lines = write_shard_reads},
    {"sherd_shard_writes_total", counter, "Keys looked up for writing in a shard.",
     .lines = write_shard_writes},
    {"sherd_shard_lock_waits_total", counter, "How often a shard's lock was waited for.",
     .lines = write_shard_waits},
    {"sherd_lock_waits_total", counter, "How often any shard's lock was waited for.",
     NUMBER(lock_waits)},
    {"sherd_lock_wait_seconds_total", counter, "Time waited for shards' locks.",
     US(lock_waited_us)},
    {"sherd_lock_longest_wait_seconds", gauge, "The longest wait for one.",
     US(lock_longest_wait_us)},
    {"sherd_lock_longest_hold_seconds", gauge, "The longest hold that was timed.",
     US(lock_longest_hold_us)},
    {"sherd_compaction_moved_keys_total", counter, "Keys moved out of sparse slabs.",
     NUMBER(moved)},

    {"sherd_engine_turns_total", counter, "Turns of workers' loops.", NUMBER(turns)},
    {"sherd_engine_receives_total", counter, "Receives.", NUMBER(receives)},
    {"sherd_engine_sends_total", counter, "Sends.", NUMBER(sends)},
    {"sherd_engine_starved_total", counter, "Receives that found no buffer.", NUMBER(starved)},
    {"sherd_engine_overflows_total", counter, "Overflows of a completion queue.",
     NUMBER(overflows)},
    {"sherd_engine_rearms_total", counter, "Receives that were armed again.", NUMBER(rearms)},
    {"sherd_jobs_done_total", counter, "Background jobs done.", NUMBER(jobs_done)},
    {"sherd_jobs_refused_total", counter, "Background jobs that found the queue full.",
     NUMBER(jobs_refused)},
    {"sherd_jobs_waiting", gauge, "Background jobs that wait.", NUMBER(jobs_waiting)},
    {"sherd_jobs_threads", gauge, "Threads for background jobs.", NUMBER(jobs_threads)},

    {"sherd_loading", gauge, "1 while the snapshot is loaded at start.", .lines = write_loading},
    {"sherd_snapshot_in_progress", gauge, "1 while a snapshot is written.", .lines = write_saving},
    {"sherd_snapshot_last_ok", gauge, "1 unless the last background snapshot failed.",
     .lines = write_sound},
    {"sherd_snapshot_last_time_seconds", gauge,
     "When the last good snapshot was written, since 1970; at first the start.",
     .lines = write_saved},
    {"sherd_snapshot_last_duration_seconds", gauge, "How long the last background snapshot took.",
     .lines = write_save_seconds},
    {"sherd_snapshot_changes", gauge, "Writes since the last good snapshot.",
     .lines = write_changes},
    {"sherd_snapshot_kept_bytes", gauge, "Copies kept for the snapshot that is being written.",
     .lines = write_kept},
    {"sherd_snapshots_total", counter, "Snapshots begun.", .lines = write_saves},
};
/* clang-format on */

static void write_number(const struct metrics *metrics, const struct family *family,
                         struct text *out) {
    const char *field = (const char *)metrics + family->number;
    int64_t value = *(const int64_t *)(const void *)field;
    if (family->divisor != 0) {
        text_format(out, "%s %.9g\n", family->name, (double)value / family->divisor);
    } else {
        text_format(out, "%s %lld\n", family->name, (long long)value);
    }
}

void prometheus_write(const struct metrics *metrics, struct text *out) {
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        const struct family *family = &families[i];
        text_format(out, "# HELP %s %s\n# TYPE %s %s\n", family->name, family->help, family->name,
                    family->type);
        if (family->lines != NULL) {
            family->lines(metrics, family->name, out);
        } else {
            write_number(metrics, family, out);
        }
    }
}
