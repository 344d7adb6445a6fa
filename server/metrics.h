/* What the server knows of itself: gathered once, then shown field by field, a row each.
 *
 * Everything is summed from counters that one thread writes and any may read, so asking costs the asker only. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "text.h"
#include "worker.h"

struct error_sum;
struct server;
struct worker;

/* One command over all workers. */
struct command_sum {
    uint64_t calls, failed, rejected;
    uint64_t ticks, timed; /* timed: how many calls the ticks and the histogram stand for */
    uint64_t histogram[COMMAND_HISTOGRAM]; /* as struct command_statistics */
};
/* What the buckets of a command gained goes into its 64-bit totals (worker.h). Thread: the worker. */
void metrics_carry(struct worker *worker, uint32_t id);
struct command_sum metrics_command(const struct server *server, uint32_t id);
/* Error replies by code over all workers, to `sums` (ERRORS_MAX of them); returns how many codes. */
uint32_t metrics_sum_errors(const struct server *server, struct error_sum *sums);
/* All its calls, as measured or, of a sampled command, as estimated. */
double metrics_command_us(const struct command_sum *sum);
/* Microseconds that so many percent of the calls took at most, to a power of two. */
uint64_t metrics_percentile_us(const struct command_sum *sum, double percent);

/* Everything that INFO tells as a number. */
struct metrics {
    struct server *server;
    int64_t now_ms;
    int64_t process_id, port, hz, uptime_s, uptime_days, clients_max;
    int64_t statistics_s; /* since CONFIG RESETSTAT, or the start */
    int64_t clients, clients_waiting, client_bytes, clients_all_bytes, connections_received,
        connections_rejected;
    int64_t used_bytes, peak_bytes, resident_bytes, system_bytes, memory_max;
    int64_t data_bytes, overhead_bytes,
        startup_bytes; /* keys, values and what finds them; the rest; at start */
    int64_t policy, prefers_recent;
    int64_t commands, errors, batches, received_bytes, sent_bytes;
    int64_t commands_per_s, received_per_s, sent_per_s; /* lately */
    int64_t leases_granted, leases_early, leases_stale, leases_waited, leases_filled, leases_void;
    int64_t leases_open; /* now */
    int64_t query_limit_closed, output_limit_closed, idle_closed, clients_evicted;
    int64_t expired, evicted, moved, hits, misses, reads, writes;
    int64_t misses_unknown, misses_expired, misses_evicted, misses_deleted;
    int64_t late_half_ms, late_most_ms,
        late_all_ms; /* expired keys were removed, at most so late */
    int64_t workers, shards;
    int64_t lock_waits, lock_waited_us, lock_longest_wait_us, lock_longest_hold_us;
    int64_t monitors, monitor_lost;
    int64_t denied_logins, denied_commands, denied_keys;
    int64_t turns, receives, sends, starved, overflows, rearms;
    int64_t handshakes_open, handshakes, resumptions, handshake_failures;
    int64_t jobs_done, jobs_refused, jobs_grown, jobs_shrunk, jobs_waiting, jobs_threads,
        jobs_threads_peak;
};
/* Takes each worker's registry and each shard's lock (read) in turn: no shard lock may be held. */
void metrics_gather(struct metrics *metrics, struct server *server, int64_t now_ms);

enum metric_section {
    METRICS_SERVER,
    METRICS_CLIENTS,
    METRICS_MEMORY,
    METRICS_PERSISTENCE,
    METRICS_STATS,
    METRICS_REPLICATION,
    METRICS_CPU,
    METRICS_COMMANDSTATS,
    METRICS_ERRORSTATS,
    METRICS_LATENCYSTATS,
    METRICS_CLUSTER,
    METRICS_KEYSPACE,
    METRICS_SHERD,
    METRICS_WORKERS,
    METRICS_SHARDS,
    METRICS_SECTIONS,
};

/* A row: one of `number`, `human`, `fixed`, `value` and `lines` says how it is made. `number` and `human` are offsets
 * into struct metrics, never 0: the first field is no number. */
struct metric {
    enum metric_section section;
    const char *name;  /* NULL: `lines` writes whole lines */
    size_t number;     /* in decimal */
    size_t human;      /* as bytes for people: "1.50M" */
    const char *fixed; /* what is always true */
    void (*value)(const struct metrics *metrics, struct text *out);
    void (*lines)(const struct metrics *metrics, struct text *out);
};
/* In the order of INFO: sections together. */
extern const struct metric metrics_rows[];
extern const size_t metrics_row_count;

/* Its name as INFO writes it ("Server"), and whether INFO shows it unasked. */
const char *metrics_section_name(enum metric_section section);
bool metrics_section_is_default(enum metric_section section);
/* The header line and the fields of a section. */
void metrics_write_section(const struct metrics *metrics, enum metric_section section,
                           struct text *out);

/* CONFIG RESETSTAT: counters, command statistics and lock profiles start again. */
void metrics_reset(struct server *server, int64_t now_ms);
