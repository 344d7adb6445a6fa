/* Gathering, and writing rows.
 *
 * A fast command's time is taken in one call of COMMAND_SAMPLE and weighted by that much, so ticks and histogram
 * stand for `timed` calls, which is near `calls` but not equal. Times are therefore given as a mean, or a share, of
 * the timed calls, applied to the exact number of calls: one GET does not show sixteen GETs' time. */
#include "metrics.h"

#include <stdio.h>
#include <unistd.h>

#include "clock.h"
#include "server.h"
#include "shards/base/memory.h"
#include "shards/base/rwlock.h"
#include "shards/counters.h"

#define LOAD(field) atomic_load_explicit(&(field), memory_order_relaxed)

/* ---- Commands -------------------------------------------------------------------------------- */

/* All that a bucket ever counted. Acquire: the bucket is seen no older than the total that it was carried into. */
static uint64_t read_bucket(const struct worker *worker, uint32_t id, size_t i) {
    uint64_t total = atomic_load_explicit(&worker->totals[id].total[i], memory_order_acquire);
    return total + (uint32_t)(LOAD(worker->commands[id].histogram[i]) - (uint32_t)total);
}

void metrics_carry(struct worker *worker, uint32_t id) {
    for (uint32_t i = 0; i < COMMAND_HISTOGRAM; i++) {
        uint64_t counted = read_bucket(worker, id, i);
        if (counted == LOAD(worker->totals[id].total[i])) continue;
        atomic_store_explicit(&worker->totals[id].total[i], counted, memory_order_release);
    }
}

struct command_sum metrics_command(const struct server *server, uint32_t id) {
    struct command_sum sum = {0};
    for (uint32_t w = 0; w < server->worker_count; w++) {
        struct command_statistics *one = &server->workers[w].commands[id];
        sum.calls += LOAD(one->calls);
        sum.failed += LOAD(one->failed);
        sum.rejected += LOAD(one->rejected);
        sum.ticks += LOAD(one->ticks);
        for (size_t i = 0; i < COMMAND_HISTOGRAM; i++) {
            uint64_t base =
                atomic_load_explicit(&server->workers[w].totals[id].base[i], memory_order_acquire);
            sum.histogram[i] += read_bucket(&server->workers[w], id, i) - base;
        }
    }
    for (size_t i = 0; i < COMMAND_HISTOGRAM; i++) {
        sum.timed += sum.histogram[i];
    }
    return sum;
}

double metrics_command_us(const struct command_sum *sum) {
    if (sum->timed == 0) return 0;
    return (double)sum->ticks / clock_ticks_per_us() / (double)sum->timed * (double)sum->calls;
}

uint32_t metrics_sum_errors(const struct server *server, struct error_sum *sums) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < server->worker_count; i++) {
        count = errors_collect(&server->workers[i].errors, sums, count);
    }
    return count;
}

uint64_t metrics_percentile_us(const struct command_sum *sum, double percent) {
    double wanted = (double)sum->timed * percent / 100;
    uint64_t seen = 0;
    uint32_t last = 0;
    for (uint32_t i = 0; i < COMMAND_HISTOGRAM; i++) {
        if (sum->histogram[i] == 0) continue;
        last = i;
        seen += sum->histogram[i];
        if ((double)seen >= wanted) break;
    }
    return UINT64_C(1) << last;
}

/* ---- Gathering ------------------------------------------------------------------------------- */

static void gather_process(struct metrics *metrics, const struct server *server) {
    const struct config *config = server->config;
    metrics->process_id = getpid();
    metrics->port = config_number(&config->port);
    if (metrics->port == 0) metrics->port = config_number(&config->tls_port);
    metrics->hz = config_number(&config->hz);
    metrics->clients_max = config_number(&config->maxclients);
    metrics->uptime_s = (metrics->now_ms - server->started_ms) / 1000;
    metrics->uptime_days = metrics->uptime_s / (24 * 60 * 60);
    metrics->statistics_s = (metrics->now_ms - LOAD(server->statistics_since_ms)) / 1000;
    metrics->clients = LOAD(server->client_count);
    metrics->connections_received = (int64_t)LOAD(server->connections_received);
    metrics->connections_rejected = (int64_t)LOAD(server->connections_rejected);
    metrics->denied_logins = (int64_t)LOAD(server->acl_log.denials[ACL_LOG_AUTH]);
    metrics->denied_commands = (int64_t)LOAD(server->acl_log.denials[ACL_LOG_COMMAND]);
    metrics->denied_keys = (int64_t)LOAD(server->acl_log.denials[ACL_LOG_KEY]);
    metrics->workers = server->worker_count;
    metrics->shards = server->shards.count;
}

static void gather_memory(struct metrics *metrics, struct server *server) {
    metrics->used_bytes = (int64_t)memory_used();
    metrics->clients_all_bytes = (int64_t)memory_of_clients();
    metrics->peak_bytes = (int64_t)memory_used_peak();
    metrics->resident_bytes = (int64_t)memory_resident();
    int64_t held_bytes = (int64_t)shards_footprint(&server->shards);
    /* What COPY shares is held by many, and used once. */
    metrics->data_bytes = held_bytes < metrics->used_bytes ? held_bytes : metrics->used_bytes;
    metrics->overhead_bytes = metrics->used_bytes - metrics->data_bytes;
    metrics->startup_bytes = LOAD(server->limit.base_bytes);
    metrics->system_bytes = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
    metrics->memory_max = config_number(&server->config->maxmemory);
    metrics->policy = config_number(&server->config->maxmemory_policy);
    metrics->prefers_recent = LOAD(server->shards.eviction.prefers_recent);
}

static void gather_engine(struct metrics *metrics, const struct engine_statistics *statistics) {
    metrics->turns += (int64_t)LOAD(statistics->turns);
    metrics->receives += (int64_t)LOAD(statistics->receives);
    metrics->sends += (int64_t)LOAD(statistics->sends);
    metrics->received_bytes += (int64_t)LOAD(statistics->received_bytes);
    metrics->sent_bytes += (int64_t)LOAD(statistics->sent_bytes);
    metrics->starved += (int64_t)LOAD(statistics->starved);
    metrics->overflows += (int64_t)LOAD(statistics->overflows);
    metrics->rearms += (int64_t)LOAD(statistics->rearms);
    metrics->handshakes_open += (int64_t)LOAD(statistics->handshakes_open);
    metrics->handshakes += (int64_t)LOAD(statistics->handshakes);
    metrics->resumptions += (int64_t)LOAD(statistics->resumptions);
    metrics->handshake_failures += (int64_t)LOAD(statistics->handshake_failures);
}

static void gather_clients(struct metrics *metrics, struct worker *worker) {
    uint64_t held = 0;
    pthread_mutex_lock(&worker->registry);
    for (const struct client *client = worker->clients; client != NULL; client = client->next) {
        metrics->clients_waiting += client_is_blocked(client);
        held += client_memory(client);
    }
    pthread_mutex_unlock(&worker->registry);
    metrics->client_bytes += (int64_t)held;
}

static void gather_leases(struct metrics *metrics, const struct lease_counts *counts) {
    metrics->leases_granted += (int64_t)LOAD(counts->granted);
    metrics->leases_early += (int64_t)LOAD(counts->early);
    metrics->leases_stale += (int64_t)LOAD(counts->stale);
    metrics->leases_waited += (int64_t)LOAD(counts->waited);
    metrics->leases_filled += (int64_t)LOAD(counts->filled);
    metrics->leases_void += (int64_t)LOAD(counts->void_tokens);
}

static void gather_workers(struct metrics *metrics, struct server *server) {
    for (uint32_t i = 0; i < server->worker_count; i++) {
        struct worker *worker = &server->workers[i];
        metrics->commands += (int64_t)LOAD(worker->command_count);
        metrics->errors += (int64_t)LOAD(worker->errors.total);
        metrics->batches += (int64_t)LOAD(worker->batches);
        metrics->commands_per_s += (int64_t)rate_per_second(&worker->command_rate);
        metrics->received_per_s += (int64_t)rate_per_second(&worker->received_rate);
        metrics->sent_per_s += (int64_t)rate_per_second(&worker->sent_rate);
        gather_clients(metrics, worker);
        metrics->monitors += LOAD(worker->monitors.count);
        metrics->monitor_lost += (int64_t)LOAD(worker->monitors.lost);
        metrics->query_limit_closed += (int64_t)LOAD(worker->closed_query_limit);
        metrics->output_limit_closed += (int64_t)LOAD(worker->closed_output_limit);
        metrics->clients_evicted += (int64_t)LOAD(worker->closed_evicted);
        gather_leases(metrics, &worker->leases);
        metrics->idle_closed += (int64_t)LOAD(worker->closed_idle);
        if (worker->engine != NULL) gather_engine(metrics, &worker->engine->statistics);
    }
}

static int64_t larger(int64_t a, uint64_t b) {
    return a > (int64_t)b ? a : (int64_t)b;
}

static void gather_shards(struct metrics *metrics, struct server *server) {
    metrics->leases_open = (int64_t)shards_lease_count(&server->shards);
    for (uint32_t i = 0; i < server->shards.count; i++) {
        const struct shard *shard = &server->shards.shards[i];
        struct rwlock_profile profile = rwlock_profile(&shard->lock);
        metrics->expired += (int64_t)LOAD(shard->expired);
        metrics->evicted += (int64_t)LOAD(shard->eviction.evicted);
        metrics->moved += (int64_t)LOAD(shard->room.moved);
        metrics->lock_waits += (int64_t)profile.waits;
        metrics->lock_waited_us += (int64_t)(profile.waited_ns / 1000);
        metrics->lock_longest_wait_us =
            larger(metrics->lock_longest_wait_us, profile.longest_wait_ns / 1000);
        metrics->lock_longest_hold_us =
            larger(metrics->lock_longest_hold_us, profile.longest_hold_ns / 1000);
    }
    struct counters_sum sum = counters_sum_all(&server->shards.counters);
    metrics->hits = (int64_t)sum.hits;
    metrics->misses = (int64_t)sum.misses;
    metrics->reads = (int64_t)sum.reads;
    metrics->writes = (int64_t)sum.writes;
    struct misses_sum why = misses_sum_all(&server->shards.misses);
    metrics->misses_unknown = (int64_t)why.by_reason[MISS_UNKNOWN];
    metrics->misses_expired = (int64_t)why.by_reason[MISS_EXPIRED];
    metrics->misses_evicted = (int64_t)why.by_reason[MISS_EVICTED];
    metrics->misses_deleted = (int64_t)why.by_reason[MISS_DELETED];
}

static void gather_lateness(struct metrics *metrics, const struct server *server) {
    struct lateness_sum sum = shards_lateness(&server->shards);
    metrics->late_half_ms = (int64_t)lateness_percentile(&sum, 50);
    metrics->late_most_ms = (int64_t)lateness_percentile(&sum, 99);
    metrics->late_all_ms = (int64_t)lateness_percentile(&sum, 100);
}

static void gather_jobs(struct metrics *metrics, const struct server *server) {
    struct jobs_statistics jobs = jobs_statistics(server->jobs);
    metrics->jobs_done = (int64_t)jobs.done;
    metrics->jobs_refused = (int64_t)jobs.refused;
    metrics->jobs_grown = (int64_t)jobs.grown;
    metrics->jobs_shrunk = (int64_t)jobs.shrunk;
    metrics->jobs_waiting = jobs.waiting;
    metrics->jobs_threads = jobs.threads;
    metrics->jobs_threads_peak = jobs.threads_peak;
}

void metrics_gather(struct metrics *metrics, struct server *server, int64_t now_ms) {
    *metrics = (struct metrics){.server = server, .now_ms = now_ms};
    gather_process(metrics, server);
    gather_memory(metrics, server);
    gather_workers(metrics, server);
    gather_shards(metrics, server);
    gather_lateness(metrics, server);
    gather_jobs(metrics, server);
}

/* ---- Writing --------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    bool is_default;
} sections[METRICS_SECTIONS] = {
    [METRICS_SERVER] = {"Server", true},
    [METRICS_CLIENTS] = {"Clients", true},
    [METRICS_MEMORY] = {"Memory", true},
    [METRICS_PERSISTENCE] = {"Persistence", true},
    [METRICS_STATS] = {"Stats", true},
    [METRICS_REPLICATION] = {"Replication", true},
    [METRICS_CPU] = {"CPU", true},
    [METRICS_COMMANDSTATS] = {"Commandstats", false},
    [METRICS_ERRORSTATS] = {"Errorstats", true},
    [METRICS_LATENCYSTATS] = {"Latencystats", false},
    [METRICS_CLUSTER] = {"Cluster", true},
    [METRICS_KEYSPACE] = {"Keyspace", true},
    [METRICS_SHERD] = {"Sherd", true},
    [METRICS_WORKERS] = {"Workers", true},
    [METRICS_SHARDS] = {"Shards", false},
};

const char *metrics_section_name(enum metric_section section) {
    return sections[section].name;
}
bool metrics_section_is_default(enum metric_section section) {
    return sections[section].is_default;
}

static int64_t number_at(const struct metrics *metrics, size_t offset) {
    return *(const int64_t *)(const void *)((const char *)metrics + offset);
}

static void write_human(int64_t bytes, struct text *out) {
    static const char units[] = {'K', 'M', 'G', 'T', 'P', 'E'};
    if (bytes < 1024) {
        text_format(out, "%lldB", (long long)bytes);
        return;
    }
    double scaled = (double)bytes / 1024;
    size_t unit = 0;
    for (; scaled >= 1024 && unit + 1 < sizeof(units); unit++) {
        scaled /= 1024;
    }
    text_format(out, "%.2f%c", scaled, units[unit]);
}

static void write_row(const struct metrics *metrics, const struct metric *row, struct text *out) {
    if (row->lines != NULL) {
        row->lines(metrics, out);
        return;
    }
    text_format(out, "%s:", row->name);
    if (row->fixed != NULL) {
        text_add(out, bytes_of_text(row->fixed));
    } else if (row->value != NULL) {
        row->value(metrics, out);
    } else if (row->human != 0) {
        write_human(number_at(metrics, row->human), out);
    } else {
        text_format(out, "%lld", (long long)number_at(metrics, row->number));
    }
    text_add(out, BYTES("\r\n"));
}

void metrics_write_section(const struct metrics *metrics, enum metric_section section,
                           struct text *out) {
    text_format(out, "# %s\r\n", sections[section].name);
    for (size_t i = 0; i < metrics_row_count; i++) {
        if (metrics_rows[i].section == section) write_row(metrics, &metrics_rows[i], out);
    }
}

/* ---- Starting again -------------------------------------------------------------------------- */

static void clear(_Atomic uint64_t *counter) {
    atomic_store_explicit(counter, 0, memory_order_relaxed);
}

static void reset_command(struct worker *worker, uint32_t id) {
    struct command_statistics *statistics = &worker->commands[id];
    clear(&statistics->calls);
    clear(&statistics->ticks);
    clear(&statistics->failed);
    clear(&statistics->rejected);
    for (size_t i = 0; i < COMMAND_HISTOGRAM; i++) {
        atomic_store_explicit(&worker->totals[id].base[i], read_bucket(worker, id, i),
                              memory_order_release);
    }
}

static void reset_worker(struct worker *worker, uint32_t command_count) {
    for (uint32_t id = 0; id < command_count; id++) {
        reset_command(worker, id);
    }
    errors_reset(&worker->errors);
    clear(&worker->command_count);
    clear(&worker->batches);
    clear(&worker->closed_idle);
    clear(&worker->closed_query_limit);
    clear(&worker->closed_output_limit);
    clear(&worker->closed_evicted);
    clear(&worker->leases.granted);
    clear(&worker->leases.early);
    clear(&worker->leases.stale);
    clear(&worker->leases.waited);
    clear(&worker->leases.filled);
    clear(&worker->leases.void_tokens);
}

/* Other workers may be counting: of what they count at this moment some is kept and some lost, which is all that a
 * reset can promise without stopping them. What the engines count is theirs, and not reset. */
void metrics_reset(struct server *server, int64_t now_ms) {
    saver_reset_counters(&server->saver);
    misses_reset(&server->shards.misses);
    curve_recount(&server->curve, now_ms);
    for (uint32_t i = 0; i < server->worker_count; i++) {
        reset_worker(&server->workers[i], command_table_count_all(server->commands));
    }
    for (uint32_t i = 0; i < server->shards.count; i++) {
        rwlock_profile_reset(&server->shards.shards[i].lock);
        clear(&server->shards.shards[i].expired);
        lateness_reset(&server->shards.shards[i].lateness);
        clear(&server->shards.shards[i].eviction.evicted);
        clear(&server->shards.shards[i].room.moved);
    }
    for (int reason = 0; reason < ACL_LOG_REASONS; reason++) {
        clear(&server->acl_log.denials[reason]);
    }
    timing_reset_holds(server);
    clear(&server->connections_received);
    clear(&server->connections_rejected);
    atomic_store_explicit(&server->statistics_since_ms, now_ms, memory_order_relaxed);
}
