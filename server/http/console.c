/* The page is one file without anything from elsewhere, put in here at build time. Its policy names the hashes of its own
 * script and style, so that a key's name that got into the page as markup could still do nothing. */
#include "console.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "busiest.h"
#include "escape.h"
#include "server/hotkeys.h"
#include "server/profile.h"
#include "server/server.h"
#include "shards/base/check.h"
#include "shards/base/memory.h"

#define LOAD(field) atomic_load_explicit(&(field), memory_order_relaxed)

typedef unsigned long long number; /* as printf wants it */

/* ---- The page -------------------------------------------------------------------------------- */

static const unsigned char page[] = {
#include "console_page.inc"
};

struct bytes console_page(void) {
    return bytes_of((const char *)page, sizeof(page));
}

/* "sha256-..." of what stands between the two marks. */
static void hash_between(const char *open, const char *close, char out[64]) {
    const char *start = memmem(page, sizeof(page), open, strlen(open));
    check(start != NULL);
    start += strlen(open);
    size_t left = sizeof(page) - (size_t)(start - (const char *)page);
    const char *end = memmem(start, left, close, strlen(close));
    check(end != NULL);
    unsigned char hash[SHA256_DIGEST_LENGTH];
    unsigned char text[4 * ((sizeof(hash) + 2) / 3) + 1];
    SHA256((const unsigned char *)start, (size_t)(end - start), hash);
    EVP_EncodeBlock(text, hash, sizeof(hash));
    snprintf(out, 64, "sha256-%s", (const char *)text);
}

void console_policy(char out[CONSOLE_POLICY_MAX]) {
    char script[64], style[64];
    hash_between("<script>", "</script>", script);
    hash_between("<style>", "</style>", style);
    snprintf(
        out, CONSOLE_POLICY_MAX,
        "default-src 'none'; script-src '%s'; style-src '%s'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        script, style);
}

/* ---- Parts of the answer --------------------------------------------------------------------- */

/* All numbers are whole ones. */
static long long hundredths(double value) {
    return (long long)(value * 100 + 0.5);
}

static void write_string(const char *name, struct bytes value, struct text *out) {
    text_format(out, ",\"%s\":\"", name);
    escape_add(out, value);
    text_add(out, BYTES("\""));
}

static void write_numbers(const struct metrics *metrics, struct text *out) {
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {
        {"uptime_s", metrics->uptime_s},
        {"commands", metrics->commands},
        {"hits", metrics->hits},
        {"misses", metrics->misses},
        {"unknown", metrics->misses_unknown},
        {"expired_misses", metrics->misses_expired},
        {"evicted_misses", metrics->misses_evicted},
        {"deleted_misses", metrics->misses_deleted},
        {"evicted", metrics->evicted},
        {"expired", metrics->expired},
        {"late_half_ms", metrics->late_half_ms},
        {"late_most_ms", metrics->late_most_ms},
        {"used", metrics->used_bytes - metrics->clients_all_bytes}, /* what the limit is of */
        {"resident", metrics->resident_bytes},
        {"limit", metrics->memory_max},
        {"clients", metrics->clients},
        {"clients_max", metrics->clients_max},
        {"waiting", metrics->clients_waiting},
        {"client_bytes", metrics->client_bytes},
        {"accepted", metrics->connections_received},
        {"rejected", metrics->connections_rejected},
        {"received", metrics->received_bytes},
        {"sent", metrics->sent_bytes},
        {"errors", metrics->errors},
        {"shard_count", metrics->shards},
    };
    text_format(out, "\"version\":\"%s\",\"policy\":\"%s\",\"now_ms\":%lld", SHERD_VERSION,
                eviction_policy_name((enum eviction_policy)metrics->policy),
                (long long)metrics->now_ms);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        text_format(out, ",\"%s\":%lld", numbers[i].name, (long long)numbers[i].value);
    }
}

/* Of all commands: calls that took up to 2^i microseconds. */
static void write_latency(const struct metrics *metrics, struct text *out) {
    uint64_t histogram[COMMAND_HISTOGRAM] = {0};
    for (uint32_t id = 0; id < command_table_count_all(metrics->server->commands); id++) {
        struct command_sum sum = metrics_command(metrics->server, id);
        for (size_t i = 0; i < COMMAND_HISTOGRAM; i++) {
            histogram[i] += sum.histogram[i];
        }
    }
    text_add(out, BYTES(",\"latency\":["));
    for (size_t i = 0; i < COMMAND_HISTOGRAM; i++) {
        text_format(out, "%s%llu", i == 0 ? "" : ",", (number)histogram[i]);
    }
    text_add(out, BYTES("]"));
}

/* Its commands, its clients, and what its time goes into: hundredths of a percent, in the order of profile.h. */
static void write_worker(const struct worker *worker, struct text *out) {
    struct profile_shares shares = profile_shares(&worker->profile);
    text_format(out, "[%llu,%u", (number)LOAD(worker->command_count), LOAD(worker->client_count));
    for (int part = 0; part < PROFILE_PARTS; part++) {
        text_format(out, ",%lld", hundredths(shares.percent[part]));
    }
    text_add(out, BYTES("]"));
}

static void write_workers(const struct metrics *metrics, struct text *out) {
    const struct server *server = metrics->server;
    text_add(out, BYTES(",\"workers\":["));
    for (uint32_t i = 0; i < server->worker_count; i++) {
        if (i != 0) text_add(out, BYTES(","));
        write_worker(&server->workers[i], out);
    }
    text_add(out, BYTES("]"));
}

/* A cell: reads, writes and lock waits of its shards. */
static void write_shards(const struct metrics *metrics, struct text *out) {
    const struct shards *shards = &metrics->server->shards;
    uint32_t step = (shards->count + CONSOLE_CELLS_MAX - 1) / CONSOLE_CELLS_MAX;
    text_format(out, ",\"shards_a_cell\":%u,\"shards\":[", step);
    for (uint32_t first = 0; first < shards->count; first += step) {
        uint64_t reads = 0, writes = 0, waits = 0;
        for (uint32_t i = first; i < first + step && i < shards->count; i++) {
            struct counters_sum sum = counters_sum_shard(&shards->counters, i);
            reads += sum.reads;
            writes += sum.writes;
            waits += rwlock_profile(&shards->shards[i].lock).waits;
        }
        text_format(out, "%s[%llu,%llu,%llu]", first == 0 ? "" : ",", (number)reads, (number)writes,
                    (number)waits);
    }
    text_add(out, BYTES("]"));
}

static void write_hot_key(const struct hotkey *key, struct text *out) {
    text_add(out, BYTES("{\"key\":\""));
    escape_add(out, hotkey_name(key));
    text_format(out, "%s\",\"db\":%u,\"reads\":%llu,\"writes\":%llu,\"bytes\":%llu}",
                key->name_size > HOTKEYS_NAME_MAX ? "..." : "", key->database, (number)key->reads,
                (number)key->writes, (number)key->bytes);
}

static void write_hot_keys(const struct metrics *metrics, struct text *out) {
    const struct server *server = metrics->server;
    struct hotkeys_report report = {0};
    report.keys = memory_allocate(server->worker_count * HOTKEYS_MAX * sizeof(*report.keys));
    if (report.keys == NULL) {
        out->has_failed = true;
        return;
    }
    for (uint32_t i = 0; i < server->worker_count; i++) {
        hotkeys_collect(server->workers[i].sampler.hotkeys, metrics->now_ms, &report);
    }
    hotkeys_rank(&report);
    text_format(out, ",\"hot_requests\":%llu,\"hot\":[", (number)report.requests);
    for (uint32_t i = 0; i < report.count && i < CONSOLE_HOT_KEYS; i++) {
        if (i != 0) text_add(out, BYTES(","));
        write_hot_key(&report.keys[i], out);
    }
    text_add(out, BYTES("]"));
    memory_free(report.keys);
}

static void write_clients(const struct metrics *metrics, struct text *out) {
    struct busy_client clients[BUSIEST_MAX];
    uint32_t count = busiest_find(metrics->server, metrics->now_ms, clients);
    text_add(out, BYTES(",\"busiest\":["));
    for (uint32_t i = 0; i < count; i++) {
        const struct busy_client *client = &clients[i];
        text_format(
            out,
            "%s{\"id\":%llu,\"commands\":%llu,\"bytes\":%llu,\"idle_ms\":%lld,\"worker\":%u,"
            "\"db\":%u,\"last\":\"%s\"",
            i == 0 ? "" : ",", (number)client->id, (number)client->commands, (number)client->bytes,
            (long long)client->idle_ms, client->worker, client->database, client->last_command);
        write_string("from", bytes_of_text(client->from), out);
        write_string("name", bytes_of_text(client->name), out);
        write_string("user", bytes_of_text(client->user), out);
        text_add(out, BYTES("}"));
    }
    text_add(out, BYTES("]"));
}

static void write_names(const struct slowlog_entry *entry, struct command_keys which,
                        struct text *out) {
    int count = (int)entry->arg_count;
    int last = which.last >= 0 ? which.last : count + which.last;
    int shown = 0;
    for (int i = which.first; i <= last && i < count && shown < CONSOLE_SLOW_KEYS;
         i += which.step) {
        text_format(out, "%s\"", shown++ == 0 ? "" : ",");
        escape_add(out, entry->args[i]);
        text_add(out, BYTES("\""));
    }
}

/* NULL: we have no such command. */
static const struct command *slow_row(const struct server *server,
                                      const struct slowlog_entry *entry) {
    if (entry->arg_count == 0) return NULL;
    struct command_found found = command_table_find(server->commands, entry->args[0]);
    if (found.row != NULL && found.row->subcommand_count != 0 && entry->arg_count > 1)
        found = command_table_find_sub(server->commands, found, entry->args[1]);
    return found.row;
}

/* The command and its keys: values are nobody's business here. Of several commands, which are no single client's,
 * there are a word and then a name for each (timing.c). */
static void write_slow_command(const struct server *server, const struct slowlog_entry *entry,
                               struct text *out) {
    const struct command *row = slow_row(server, entry);
    bool is_several = entry->client[0] == '\0' && entry->arg_count != 0;
    struct bytes name = row != NULL ? bytes_of_text(row->name) : BYTES("");
    write_string("command", is_several ? entry->args[0] : name, out);
    text_add(out, BYTES(",\"keys\":["));
    if (is_several) {
        write_names(entry, KEYS_EACH(1, 1), out);
    } else if (row != NULL && row->keys.first > 0) {
        write_names(entry, row->keys, out);
    }
    text_add(out, BYTES("]"));
}

static void write_slow(const struct metrics *metrics, struct text *out) {
    uint64_t found;
    struct slowlog_entry *list =
        slowlog_copy(&metrics->server->slowlog, CONSOLE_SLOW_COMMANDS, &found);
    text_format(out, ",\"slower_than_us\":%lld,\"slow\":[",
                (long long)config_number(&metrics->server->config->slowlog_log_slower_than));
    for (const struct slowlog_entry *entry = list; entry != NULL; entry = entry->next) {
        text_format(out, "%s{\"id\":%llu,\"time_s\":%lld,\"took_us\":%lld",
                    entry == list ? "" : ",", (number)entry->id, (long long)entry->time_s,
                    (long long)entry->took_us);
        write_slow_command(metrics->server, entry, out);
        write_string("from", bytes_of_text(entry->client), out);
        text_add(out, BYTES("}"));
    }
    text_add(out, BYTES("]"));
    slowlog_free_list(list);
}

/* null while CACHE CURVE is off: a look at the console doesn't start it. */
static void write_curve(const struct metrics *metrics, struct text *out) {
    struct curve_report report;
    if (!curve_read(&metrics->server->curve, metrics->now_ms, &report)) {
        text_add(out, BYTES(",\"curve\":null"));
        return;
    }
    text_format(out,
                ",\"curve\":{\"policy\":\"%s\",\"lookups\":%llu,\"followed\":%llu,"
                "\"warming\":%u,\"seconds\":%lld,\"hit\":%lld,\"points\":[",
                eviction_policy_name(report.policy), (number)report.lookups,
                (number)report.lookups_noted, report.warming,
                (long long)(metrics->now_ms - report.since_ms) / 1000,
                hundredths(report.hit_ratio * 100));
    for (int i = 0; i < CURVE_POINTS; i++) {
        const struct curve_point *point = &report.points[i];
        text_format(out, "%s[%lld,%lld,%lld,%lld]", i == 0 ? "" : ",", hundredths(point->times),
                    (long long)point->limit_bytes, hundredths(point->hit_ratio * 100),
                    hundredths(point->fill * 100));
    }
    text_add(out, BYTES("]}"));
}

void console_write(const struct metrics *metrics, struct text *out) {
    text_add(out, BYTES("{"));
    write_numbers(metrics, out);
    write_latency(metrics, out);
    write_workers(metrics, out);
    write_shards(metrics, out);
    write_hot_keys(metrics, out);
    write_clients(metrics, out);
    write_slow(metrics, out);
    write_curve(metrics, out);
    text_add(out, BYTES("}\n"));
}
