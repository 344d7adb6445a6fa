/* The rows of INFO. Names are Redis's, for the dashboards that read them; a field that we can't know is absent, not
 * zero. Constants stand for what there is none of here: they are true. */
#include "metrics.h"

#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "clock.h"
#include "gate.h"
#include "net/words.h"
#include "profile.h"
#include "server.h"
#include "shard_report.h"
#include "shards/base/memory.h"
#include "shards/base/number.h"
#include "shards/counters.h"

#define LOAD(field) atomic_load_explicit(&(field), memory_order_relaxed)

/* ---- Server ---------------------------------------------------------------------------------- */

static void write_os(const struct metrics *metrics, struct text *out) {
    (void)metrics;
    struct utsname name;
    if (uname(&name) == 0) text_format(out, "%s %s %s", name.sysname, name.release, name.machine);
}

static void write_engine(const struct metrics *metrics, struct text *out) {
    const struct engine *engine = metrics->server->workers[0].engine;
    text_add(out, bytes_of_text(engine != NULL ? engine_name(engine) : ""));
}

static void write_engine_text(const struct metrics *metrics, struct text *out) {
    text_add(out, bytes_of_text(metrics->server->engine_text));
}

static void write_run_id(const struct metrics *metrics, struct text *out) {
    text_add(out, bytes_of_text(metrics->server->run_id));
}

static void write_time(const struct metrics *metrics, struct text *out) {
    (void)metrics;
    text_format(out, "%lld", (long long)clock_unix_us());
}

static void write_executable(const struct metrics *metrics, struct text *out) {
    (void)metrics;
    char path[4096];
    ssize_t size = readlink("/proc/self/exe", path, sizeof(path));
    if (size > 0) text_add(out, bytes_of(path, (size_t)size));
}

static void write_config_file(const struct metrics *metrics, struct text *out) {
    text_add(out, bytes_of_text(metrics->server->config->file));
}

static void write_io_threads(const struct metrics *metrics, struct text *out) {
    text_add(out, bytes_of_text(metrics->workers > 1 ? "1" : "0"));
}

/* The text of a TCP listener ends with its port. */
static void write_listeners(const struct metrics *metrics, struct text *out) {
    const struct server *server = metrics->server;
    for (uint32_t i = 0; i < server->listener_count; i++) {
        const struct listener *listener = &server->listeners[i];
        const char *colon = strrchr(listener->text, ':');
        if (listener->path[0] != 0 || colon == NULL) {
            text_format(out, "listener%u:name=unix,bind=%s\r\n", i, listener->path);
        } else {
            text_format(out, "listener%u:name=%s,bind=%.*s,port=%s\r\n", i,
                        listener->is_tls ? "tls" : "tcp", (int)(colon - listener->text),
                        listener->text, colon + 1);
        }
    }
}

/* ---- Stats ----------------------------------------------------------------------------------- */

/* Redis's "kbps" are 1024 bytes a second. */
static void write_received_rate(const struct metrics *metrics, struct text *out) {
    text_format(out, "%.2f", (double)metrics->received_per_s / 1024);
}

static void write_sent_rate(const struct metrics *metrics, struct text *out) {
    text_format(out, "%.2f", (double)metrics->sent_per_s / 1024);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

static void write_share(int64_t part, int64_t whole, struct text *out) {
    text_format(out, "%.2f%%", whole != 0 ? (double)part * 100 / (double)whole : 0.0);
}
static void write_peak_share(const struct metrics *metrics, struct text *out) {
    write_share(metrics->used_bytes, metrics->peak_bytes, out);
}
static void write_data_share(const struct metrics *metrics, struct text *out) {
    write_share(metrics->data_bytes, metrics->used_bytes, out);
}
static void write_fragmentation(const struct metrics *metrics, struct text *out) {
    double used = (double)metrics->used_bytes;
    text_format(out, "%.2f", used != 0 ? (double)metrics->resident_bytes / used : 0.0);
}
static void write_fragmentation_bytes(const struct metrics *metrics, struct text *out) {
    text_format(out, "%lld", (long long)(metrics->resident_bytes - metrics->used_bytes));
}

/* Of all that is not in slabs. */
static void write_allocator(const struct metrics *metrics, struct text *out) {
    (void)metrics;
    struct memory_allocator allocator;
    if (!memory_ask_allocator(&allocator)) return;
    text_format(out,
                "allocator_allocated:%zu\r\nallocator_active:%zu\r\nallocator_resident:%zu\r\n"
                "allocator_frag_ratio:%.2f\r\nallocator_frag_bytes:%zu\r\n",
                allocator.allocated_bytes, allocator.active_bytes, allocator.resident_bytes,
                (double)allocator.active_bytes / (double)allocator.allocated_bytes,
                allocator.active_bytes - allocator.allocated_bytes);
}

static void write_policy(const struct metrics *metrics, struct text *out) {
    text_add(out, bytes_of_text(eviction_policy_name((enum eviction_policy)metrics->policy)));
}
static void write_preference(const struct metrics *metrics, struct text *out) {
    text_add(out, bytes_of_text(metrics->prefers_recent ? "recency" : "frequency"));
}

/* ---- Persistence ----------------------------------------------------------------------------- */

static void write_seconds(const _Atomic int64_t *ms, struct text *out) {
    text_format(out, "%lld", (long long)(LOAD(*ms) / 1000));
}
static void write_number(uint64_t number, struct text *out) {
    text_format(out, "%llu", (unsigned long long)number);
}
static void write_truth(bool is_true, struct text *out) {
    text_add(out, is_true ? BYTES("1") : BYTES("0"));
}
static void write_loading(const struct metrics *metrics, struct text *out) {
    write_truth(gate_is_closed(metrics->server, GATE_LOADING), out);
}
static void write_kept(const struct metrics *metrics, struct text *out) {
    write_number(snapshot_saved_bytes(&metrics->server->saver.snapshot), out);
}
static void write_kept_peak(const struct metrics *metrics, struct text *out) {
    const struct saver *saver = &metrics->server->saver;
    bool is_saving = LOAD(saver->is_saving);
    write_number(is_saving ? LOAD(saver->snapshot.saved_bytes_peak) : 0, out);
}
static void write_last_kept(const struct metrics *metrics, struct text *out) {
    write_number(LOAD(metrics->server->saver.peak_bytes), out);
}
static void write_save_share(const struct metrics *metrics, struct text *out) {
    const struct saver *saver = &metrics->server->saver;
    uint64_t total = LOAD(saver->is_saving) ? LOAD(saver->keys_total) : 0;
    double share = total != 0 ? (double)LOAD(saver->keys_done) * 100 / (double)total : 0;
    text_format(out, "%.2f", share);
}
static void write_save_done(const struct metrics *metrics, struct text *out) {
    const struct saver *saver = &metrics->server->saver;
    write_number(LOAD(saver->is_saving) ? LOAD(saver->keys_done) : 0, out);
}
static void write_save_total(const struct metrics *metrics, struct text *out) {
    const struct saver *saver = &metrics->server->saver;
    write_number(LOAD(saver->is_saving) ? LOAD(saver->keys_total) : 0, out);
}
static void write_changes(const struct metrics *metrics, struct text *out) {
    write_number(saver_changes(&metrics->server->saver), out);
}
static void write_background(const struct metrics *metrics, struct text *out) {
    write_truth(LOAD(metrics->server->saver.is_background), out);
}
static void write_saved(const struct metrics *metrics, struct text *out) {
    write_seconds(&metrics->server->saver.saved_ms, out);
}
static void write_save_status(const struct metrics *metrics, struct text *out) {
    text_add(out, LOAD(metrics->server->saver.is_sound) ? BYTES("ok") : BYTES("err"));
}
static void write_save_seconds(const struct metrics *metrics, struct text *out) {
    text_format(out, "%lld", (long long)LOAD(metrics->server->saver.last_s));
}
static void write_save_running(const struct metrics *metrics, struct text *out) {
    const struct saver *saver = &metrics->server->saver;
    bool is_running = LOAD(saver->is_background);
    int64_t elapsed_ms = metrics->now_ms - LOAD(saver->begun_ms);
    text_format(out, "%lld", is_running ? (long long)elapsed_ms / 1000 : -1LL);
}
static void write_saves(const struct metrics *metrics, struct text *out) {
    write_number(LOAD(metrics->server->saver.saves), out);
}
static void write_loaded_keys(const struct metrics *metrics, struct text *out) {
    write_number(LOAD(metrics->server->loader.keys), out);
}
static void write_loaded_expired(const struct metrics *metrics, struct text *out) {
    write_number(LOAD(metrics->server->loader.expired), out);
}

/* Only while it loads, as Redis does. */
static void write_load_progress(const struct metrics *metrics, struct text *out) {
    const struct loader *loader = &metrics->server->loader;
    if (!gate_is_closed(metrics->server, GATE_LOADING)) return;
    uint64_t total = LOAD(loader->total_bytes), loaded = LOAD(loader->loaded_bytes);
    int64_t started_ms = LOAD(loader->started_ms);
    double share = total != 0 ? (double)loaded / (double)total : 0;
    double elapsed_s = (double)(metrics->now_ms - started_ms) / 1000;
    text_format(out,
                "loading_start_time:%lld\r\nloading_total_bytes:%llu\r\n"
                "loading_loaded_bytes:%llu\r\nloading_loaded_perc:%.2f\r\n"
                "loading_eta_seconds:%.0f\r\n",
                (long long)started_ms / 1000, (unsigned long long)total, (unsigned long long)loaded,
                share * 100, share > 0 ? elapsed_s / share - elapsed_s : 1);
}

/* ---- CPU ------------------------------------------------------------------------------------- */

static void write_timeval(const struct timeval *time, struct text *out) {
    text_format(out, "%ld.%06ld", (long)time->tv_sec, (long)time->tv_usec);
}
static void write_cpu_system(const struct metrics *metrics, struct text *out) {
    (void)metrics;
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0) write_timeval(&usage.ru_stime, out);
}
static void write_cpu_user(const struct metrics *metrics, struct text *out) {
    (void)metrics;
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0) write_timeval(&usage.ru_utime, out);
}

/* ---- Commands -------------------------------------------------------------------------------- */

static void write_command_statistics(const struct metrics *metrics, struct text *out) {
    const struct server *server = metrics->server;
    for (uint32_t id = 0; id < command_table_count_all(server->commands); id++) {
        struct command_sum sum = metrics_command(server, id);
        if (sum.calls == 0 && sum.failed == 0 && sum.rejected == 0) continue;
        double us = metrics_command_us(&sum);
        text_format(out,
                    "cmdstat_%s:calls=%llu,usec=%.0f,usec_per_call=%.2f,rejected_calls=%llu,failed_"
                    "calls=%llu\r\n",
                    command_table_row(server->commands, id)->name, (unsigned long long)sum.calls,
                    us, sum.calls != 0 ? us / (double)sum.calls : 0.0,
                    (unsigned long long)sum.rejected, (unsigned long long)sum.failed);
    }
}

static void write_error_statistics(const struct metrics *metrics, struct text *out) {
    struct error_sum sums[ERRORS_MAX];
    uint32_t count = metrics_sum_errors(metrics->server, sums);
    for (uint32_t i = 0; i < count; i++) {
        if (sums[i].count == 0) continue; /* since a reset */
        text_format(out, "errorstat_%s:count=%llu\r\n", sums[i].code,
                    (unsigned long long)sums[i].count);
    }
}

/* "p50=1.000,p99=4.000": the percentiles that the configuration asks for. */
static void write_percentiles(const struct command_sum *sum, char *percentiles, struct text *out) {
    struct words words = {percentiles, percentiles + strlen(percentiles)};
    struct bytes word;
    for (bool is_first = true; words_next(&words, &word) == WORDS_FOUND; is_first = false) {
        double percent;
        if (!number_read_double(word, &percent)) continue;
        char name[NUMBER_TEXT_DOUBLE_MAX]; /* "50", also where the configuration says 50.0 */
        int size = (int)number_write_double(percent, name);
        text_format(out, "%sp%.*s=%llu.000", is_first ? "" : ",", size, name,
                    (unsigned long long)metrics_percentile_us(sum, percent));
    }
}

static void write_latency_statistics(const struct metrics *metrics, struct text *out) {
    const struct server *server = metrics->server;
    if (config_number(&server->config->latency_tracking) == 0) return;
    char percentiles[CONFIG_TEXT_MAX], copy[CONFIG_TEXT_MAX];
    config_copy_text(server->config, server->config->latency_tracking_info_percentiles,
                     percentiles);
    for (uint32_t id = 0; id < command_table_count_all(server->commands); id++) {
        struct command_sum sum = metrics_command(server, id);
        if (sum.timed == 0) continue;
        memcpy(copy, percentiles, sizeof(copy));
        text_format(out,
                    "latency_percentiles_usec_%s:", command_table_row(server->commands, id)->name);
        write_percentiles(&sum, copy, out);
        text_add(out, BYTES("\r\n"));
    }
}

/* ---- Keyspace -------------------------------------------------------------------------------- */

static void write_keyspace(const struct metrics *metrics, struct text *out) {
    const struct shards *shards = &metrics->server->shards;
    for (uint32_t i = 0; i < shards->database_count; i++) {
        uint64_t keys = shards_key_count(shards, i);
        if (keys == 0) continue;
        text_format(out, "db%u:keys=%llu,expires=%llu,avg_ttl=%lld\r\n", i,
                    (unsigned long long)keys, (unsigned long long)shards_deadline_count(shards, i),
                    (long long)shards_average_ttl_ms(shards, i, metrics->now_ms));
    }
}

/* ---- Sherd ----------------------------------------------------------------------------------- */

static void write_lock_mode(const struct metrics *metrics, struct text *out) {
    bool is_global = config_number(&metrics->server->config->lock_mode) == LOCK_MODE_GLOBAL;
    text_add(out, bytes_of_text(is_global ? "global" : "sharded"));
}

/* A line for each database that was asked for what it doesn't have. */
static void write_misses(const struct metrics *metrics, struct text *out) {
    const struct shards *shards = &metrics->server->shards;
    for (uint32_t i = 0; i < shards->database_count; i++) {
        struct misses_sum sum = misses_sum_database(&shards->misses, i);
        uint64_t total = 0;
        for (int reason = 0; reason < MISS_REASONS; reason++) {
            total += sum.by_reason[reason];
        }
        if (total == 0) continue;
        text_format(out, "misses_db%u:", i);
        for (int reason = 0; reason < MISS_REASONS; reason++) {
            text_format(out, "%s%s=%llu", reason == 0 ? "" : ",",
                        misses_reason_name((enum miss_reason)reason),
                        (unsigned long long)sum.by_reason[reason]);
        }
        text_add(out, BYTES("\r\n"));
    }
}

/* ---- Workers, shards ------------------------------------------------------------------------- */

static void write_workers(const struct metrics *metrics, struct text *out) {
    const struct server *server = metrics->server;
    for (uint32_t i = 0; i < server->worker_count; i++) {
        const struct worker *worker = &server->workers[i];
        struct counters_sum sum = counters_sum_worker(&server->shards.counters, i);
        text_format(out,
                    "worker%u:clients=%u,commands=%llu,batches=%llu,hits=%llu,misses=%llu,reads=%"
                    "llu,writes=%llu",
                    i, LOAD(worker->client_count), (unsigned long long)LOAD(worker->command_count),
                    (unsigned long long)LOAD(worker->batches), (unsigned long long)sum.hits,
                    (unsigned long long)sum.misses, (unsigned long long)sum.reads,
                    (unsigned long long)sum.writes);
        struct profile_shares shares = profile_shares(&worker->profile);
        for (int part = 0; part < PROFILE_PARTS; part++) {
            text_format(out, ",%s_percent=%.2f", profile_part_name((enum profile_part)part),
                        shares.percent[part]);
        }
        text_add(out, BYTES("\r\n"));
    }
}

static void write_shards(const struct metrics *metrics, struct text *out) {
    for (uint32_t i = 0; i < metrics->server->shards.count; i++) {
        struct shard_report report = shard_report(metrics->server, i);
        text_format(
            out,
            "shard%u:keys=%llu,bytes=%zu,reads=%llu,writes=%llu,hits=%llu,misses=%llu,"
            "lock_waits=%llu,lock_waited_usec=%llu,lock_longest_wait_usec=%llu,"
            "lock_longest_hold_usec=%llu,lock_longest_hold_by=%s\r\n",
            i, (unsigned long long)report.keys, report.bytes,
            (unsigned long long)report.counters.reads, (unsigned long long)report.counters.writes,
            (unsigned long long)report.counters.hits, (unsigned long long)report.counters.misses,
            (unsigned long long)report.lock.waits, (unsigned long long)report.lock.waited_ns / 1000,
            (unsigned long long)report.lock.longest_wait_ns / 1000,
            (unsigned long long)report.longest_hold_us, report.longest_hold_by);
    }
}

/* ---- Rows ------------------------------------------------------------------------------------ */

#define NUMBER(field) .number = offsetof(struct metrics, field)
#define HUMAN(field)  .human = offsetof(struct metrics, field)

#ifdef SHERD_JEMALLOC
#define ALLOCATOR "jemalloc"
#else
#define ALLOCATOR "libc"
#endif

/* clang-format off: a row reads best as a row */
const struct metric metrics_rows[] = {
    {METRICS_SERVER, "redis_version", .fixed = SERVER_REDIS_VERSION},
    {METRICS_SERVER, "server_name", .fixed = "sherd"},
    {METRICS_SERVER, "sherd_version", .fixed = SHERD_VERSION},
    {METRICS_SERVER, "redis_mode", .fixed = "standalone"},
    {METRICS_SERVER, "os", .value = write_os},
    {METRICS_SERVER, "arch_bits", .fixed = sizeof(void *) == 8 ? "64" : "32"},
    {METRICS_SERVER, "multiplexing_api", .value = write_engine},
    {METRICS_SERVER, "compiler", .fixed = __VERSION__},
    {METRICS_SERVER, "process_id", NUMBER(process_id)},
    {METRICS_SERVER, "run_id", .value = write_run_id},
    {METRICS_SERVER, "tcp_port", NUMBER(port)},
    {METRICS_SERVER, "server_time_usec", .value = write_time},
    {METRICS_SERVER, "uptime_in_seconds", NUMBER(uptime_s)},
    {METRICS_SERVER, "uptime_in_days", NUMBER(uptime_days)},
    {METRICS_SERVER, "hz", NUMBER(hz)},
    {METRICS_SERVER, "configured_hz", NUMBER(hz)},
    {METRICS_SERVER, "executable", .value = write_executable},
    {METRICS_SERVER, "config_file", .value = write_config_file},
    {METRICS_SERVER, "io_threads_active", .value = write_io_threads},
    {METRICS_SERVER, .lines = write_listeners},

    {METRICS_CLIENTS, "connected_clients", NUMBER(clients)},
    {METRICS_CLIENTS, "cluster_connections", .fixed = "0"},
    {METRICS_CLIENTS, "maxclients", NUMBER(clients_max)},
    {METRICS_CLIENTS, "blocked_clients", NUMBER(clients_waiting)},
    {METRICS_CLIENTS, "tracking_clients", .fixed = "0"},
    {METRICS_CLIENTS, "pubsub_clients", .fixed = "0"},
    {METRICS_CLIENTS, "watching_clients", .fixed = "0"},
    {METRICS_CLIENTS, "clients_in_timeout_table", .fixed = "0"},

    {METRICS_MEMORY, "used_memory", NUMBER(used_bytes)},
    {METRICS_MEMORY, "used_memory_human", HUMAN(used_bytes)},
    {METRICS_MEMORY, "used_memory_rss", NUMBER(resident_bytes)},
    {METRICS_MEMORY, "used_memory_rss_human", HUMAN(resident_bytes)},
    {METRICS_MEMORY, "used_memory_peak", NUMBER(peak_bytes)},
    {METRICS_MEMORY, "used_memory_peak_human", HUMAN(peak_bytes)},
    {METRICS_MEMORY, "used_memory_peak_perc", .value = write_peak_share},
    {METRICS_MEMORY, "used_memory_overhead", NUMBER(overhead_bytes)},
    {METRICS_MEMORY, "used_memory_startup", NUMBER(startup_bytes)},
    {METRICS_MEMORY, "used_memory_dataset", NUMBER(data_bytes)},
    {METRICS_MEMORY, "used_memory_dataset_perc", .value = write_data_share},
    {METRICS_MEMORY, .lines = write_allocator},
    {METRICS_MEMORY, "total_system_memory", NUMBER(system_bytes)},
    {METRICS_MEMORY, "total_system_memory_human", HUMAN(system_bytes)},
    {METRICS_MEMORY, "maxmemory", NUMBER(memory_max)},
    {METRICS_MEMORY, "maxmemory_human", HUMAN(memory_max)},
    {METRICS_MEMORY, "maxmemory_policy", .value = write_policy},
    {METRICS_MEMORY, "mem_fragmentation_ratio", .value = write_fragmentation},
    {METRICS_MEMORY, "mem_fragmentation_bytes", .value = write_fragmentation_bytes},
    {METRICS_MEMORY, "mem_not_counted_for_evict", NUMBER(clients_all_bytes)},
    {METRICS_MEMORY, "mem_clients_normal", NUMBER(client_bytes)},
    {METRICS_MEMORY, "mem_allocator", .fixed = ALLOCATOR},
    {METRICS_MEMORY, "active_defrag_running", .fixed = "0"},
    {METRICS_MEMORY, "lazyfree_pending_objects", NUMBER(jobs_waiting)},

    {METRICS_PERSISTENCE, "loading", .value = write_loading},
    {METRICS_PERSISTENCE, "async_loading", .fixed = "0"},
    {METRICS_PERSISTENCE, "current_cow_peak", .value = write_kept_peak},
    {METRICS_PERSISTENCE, "current_cow_size", .value = write_kept},
    {METRICS_PERSISTENCE, "current_fork_perc", .value = write_save_share},
    {METRICS_PERSISTENCE, "current_save_keys_processed", .value = write_save_done},
    {METRICS_PERSISTENCE, "current_save_keys_total", .value = write_save_total},
    {METRICS_PERSISTENCE, "rdb_changes_since_last_save", .value = write_changes},
    {METRICS_PERSISTENCE, "rdb_bgsave_in_progress", .value = write_background},
    {METRICS_PERSISTENCE, "rdb_last_save_time", .value = write_saved},
    {METRICS_PERSISTENCE, "rdb_last_bgsave_status", .value = write_save_status},
    {METRICS_PERSISTENCE, "rdb_last_bgsave_time_sec", .value = write_save_seconds},
    {METRICS_PERSISTENCE, "rdb_current_bgsave_time_sec", .value = write_save_running},
    {METRICS_PERSISTENCE, "rdb_saves", .value = write_saves},
    {METRICS_PERSISTENCE, "rdb_last_cow_size", .value = write_last_kept},
    {METRICS_PERSISTENCE, "rdb_last_load_keys_expired", .value = write_loaded_expired},
    {METRICS_PERSISTENCE, "rdb_last_load_keys_loaded", .value = write_loaded_keys},
    {METRICS_PERSISTENCE, .lines = write_load_progress},
    {METRICS_PERSISTENCE, "aof_enabled", .fixed = "0"},
    {METRICS_PERSISTENCE, "aof_rewrite_in_progress", .fixed = "0"},
    {METRICS_PERSISTENCE, "aof_rewrite_scheduled", .fixed = "0"},

    {METRICS_STATS, "total_connections_received", NUMBER(connections_received)},
    {METRICS_STATS, "total_commands_processed", NUMBER(commands)},
    {METRICS_STATS, "instantaneous_ops_per_sec", NUMBER(commands_per_s)},
    {METRICS_STATS, "total_net_input_bytes", NUMBER(received_bytes)},
    {METRICS_STATS, "total_net_output_bytes", NUMBER(sent_bytes)},
    {METRICS_STATS, "total_net_repl_input_bytes", .fixed = "0"},
    {METRICS_STATS, "total_net_repl_output_bytes", .fixed = "0"},
    {METRICS_STATS, "instantaneous_input_kbps", .value = write_received_rate},
    {METRICS_STATS, "instantaneous_output_kbps", .value = write_sent_rate},
    {METRICS_STATS, "instantaneous_input_repl_kbps", .fixed = "0.00"},
    {METRICS_STATS, "instantaneous_output_repl_kbps", .fixed = "0.00"},
    {METRICS_STATS, "rejected_connections", NUMBER(connections_rejected)},
    {METRICS_STATS, "sync_full", .fixed = "0"},
    {METRICS_STATS, "sync_partial_ok", .fixed = "0"},
    {METRICS_STATS, "sync_partial_err", .fixed = "0"},
    {METRICS_STATS, "expired_keys", NUMBER(expired)},
    {METRICS_STATS, "evicted_keys", NUMBER(evicted)},
    {METRICS_STATS, "evicted_clients", NUMBER(clients_evicted)},
    {METRICS_STATS, "keyspace_hits", NUMBER(hits)},
    {METRICS_STATS, "keyspace_misses", NUMBER(misses)},
    {METRICS_STATS, "pubsub_channels", .fixed = "0"},
    {METRICS_STATS, "pubsub_patterns", .fixed = "0"},
    {METRICS_STATS, "pubsubshard_channels", .fixed = "0"},
    {METRICS_STATS, "latest_fork_usec", .fixed = "0"},
    {METRICS_STATS, "total_forks", .fixed = "0"},
    {METRICS_STATS, "total_error_replies", NUMBER(errors)},
    {METRICS_STATS, "total_reads_processed", NUMBER(receives)},
    {METRICS_STATS, "total_writes_processed", NUMBER(sends)},
    {METRICS_STATS, "acl_access_denied_auth", NUMBER(denied_logins)},
    {METRICS_STATS, "acl_access_denied_cmd", NUMBER(denied_commands)},
    {METRICS_STATS, "acl_access_denied_key", NUMBER(denied_keys)},
    {METRICS_STATS, "acl_access_denied_channel", .fixed = "0"},
    {METRICS_STATS, "client_query_buffer_limit_disconnections", NUMBER(query_limit_closed)},
    {METRICS_STATS, "client_output_buffer_limit_disconnections", NUMBER(output_limit_closed)},

    {METRICS_REPLICATION, "role", .fixed = "master"},
    {METRICS_REPLICATION, "connected_slaves", .fixed = "0"},
    {METRICS_REPLICATION, "master_failover_state", .fixed = "no-failover"},
    {METRICS_REPLICATION, "master_repl_offset", .fixed = "0"},
    {METRICS_REPLICATION, "repl_backlog_active", .fixed = "0"},

    {METRICS_CPU, "used_cpu_sys", .value = write_cpu_system},
    {METRICS_CPU, "used_cpu_user", .value = write_cpu_user},
    {METRICS_CPU, "used_cpu_sys_children", .fixed = "0.000000"},
    {METRICS_CPU, "used_cpu_user_children", .fixed = "0.000000"},

    {METRICS_COMMANDSTATS, .lines = write_command_statistics},
    {METRICS_ERRORSTATS, .lines = write_error_statistics},
    {METRICS_LATENCYSTATS, .lines = write_latency_statistics},
    {METRICS_CLUSTER, "cluster_enabled", .fixed = "0"},
    {METRICS_KEYSPACE, .lines = write_keyspace},

    {METRICS_SHERD, "workers", NUMBER(workers)},
    {METRICS_SHERD, "shards", NUMBER(shards)},
    {METRICS_SHERD, "lock_mode", .value = write_lock_mode},
    {METRICS_SHERD, "io_engine", .value = write_engine},
    {METRICS_SHERD, "io_engine_text", .value = write_engine_text},
    {METRICS_SHERD, "statistics_seconds", NUMBER(statistics_s)},
    {METRICS_SHERD, "hits", NUMBER(hits)},
    {METRICS_SHERD, "misses", NUMBER(misses)},
    {METRICS_SHERD, "misses_unknown", NUMBER(misses_unknown)},
    {METRICS_SHERD, "misses_expired", NUMBER(misses_expired)},
    {METRICS_SHERD, "misses_evicted", NUMBER(misses_evicted)},
    {METRICS_SHERD, "misses_deleted", NUMBER(misses_deleted)},
    {METRICS_SHERD, .lines = write_misses},
    {METRICS_SHERD, "expired_lateness_ms_p50", NUMBER(late_half_ms)},
    {METRICS_SHERD, "expired_lateness_ms_p99", NUMBER(late_most_ms)},
    {METRICS_SHERD, "expired_lateness_ms_p100", NUMBER(late_all_ms)},
    {METRICS_SHERD, "leases_open", NUMBER(leases_open)},
    {METRICS_SHERD, "leases_granted", NUMBER(leases_granted)},
    {METRICS_SHERD, "leases_early", NUMBER(leases_early)},
    {METRICS_SHERD, "leases_stale", NUMBER(leases_stale)},
    {METRICS_SHERD, "leases_waited", NUMBER(leases_waited)},
    {METRICS_SHERD, "leases_filled", NUMBER(leases_filled)},
    {METRICS_SHERD, "leases_void_tokens", NUMBER(leases_void)},
    {METRICS_SHERD, "reads", NUMBER(reads)},
    {METRICS_SHERD, "writes", NUMBER(writes)},
    {METRICS_SHERD, "compaction_moved_keys", NUMBER(moved)},
    {METRICS_SHERD, "adaptive_prefers", .value = write_preference},
    {METRICS_SHERD, "lock_waits", NUMBER(lock_waits)},
    {METRICS_SHERD, "lock_waited_usec", NUMBER(lock_waited_us)},
    {METRICS_SHERD, "lock_longest_wait_usec", NUMBER(lock_longest_wait_us)},
    {METRICS_SHERD, "lock_longest_hold_usec", NUMBER(lock_longest_hold_us)},
    {METRICS_SHERD, "batches", NUMBER(batches)},
    {METRICS_SHERD, "idle_disconnections", NUMBER(idle_closed)},
    {METRICS_SHERD, "engine_turns", NUMBER(turns)},
    {METRICS_SHERD, "engine_receives", NUMBER(receives)},
    {METRICS_SHERD, "engine_sends", NUMBER(sends)},
    {METRICS_SHERD, "engine_starved", NUMBER(starved)},
    {METRICS_SHERD, "engine_overflows", NUMBER(overflows)},
    {METRICS_SHERD, "engine_rearms", NUMBER(rearms)},
    {METRICS_SHERD, "tls_handshakes_open", NUMBER(handshakes_open)},
    {METRICS_SHERD, "tls_handshakes", NUMBER(handshakes)},
    {METRICS_SHERD, "tls_sessions_resumed", NUMBER(resumptions)},
    {METRICS_SHERD, "tls_handshakes_failed", NUMBER(handshake_failures)},
    {METRICS_SHERD, "jobs_done", NUMBER(jobs_done)},
    {METRICS_SHERD, "jobs_refused", NUMBER(jobs_refused)},
    {METRICS_SHERD, "jobs_waiting", NUMBER(jobs_waiting)},
    {METRICS_SHERD, "jobs_threads", NUMBER(jobs_threads)},
    {METRICS_SHERD, "jobs_threads_peak", NUMBER(jobs_threads_peak)},
    {METRICS_SHERD, "jobs_grown", NUMBER(jobs_grown)},
    {METRICS_SHERD, "jobs_shrunk", NUMBER(jobs_shrunk)},
    {METRICS_SHERD, "monitors", NUMBER(monitors)},
    {METRICS_SHERD, "monitor_lines_lost", NUMBER(monitor_lost)},

    {METRICS_WORKERS, .lines = write_workers},

    {METRICS_SHARDS, .lines = write_shards},
};
/* clang-format on */

const size_t metrics_row_count = sizeof(metrics_rows) / sizeof(metrics_rows[0]);
