/* The page is one file without anything from elsewhere, put in here at build time. Its policy names the hashes of its own
 * script and style, so that a key's name that got into the page as markup could still do nothing. */
#include "console.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "escape.h"
#include "server/hotkeys.h"
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
        {"used", metrics->used_bytes},
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
    text_format(out, "\"version\":\"%s\",\"now_ms\":%lld", SHERD_VERSION,
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

static void write_workers(const struct metrics *metrics, struct text *out) {
    const struct server *server = metrics->server;
    text_add(out, BYTES(",\"workers\":["));
    for (uint32_t i = 0; i < server->worker_count; i++) {
        text_format(out, "%s[%llu,%u]", i == 0 ? "" : ",",
                    (number)LOAD(server->workers[i].command_count),
                    LOAD(server->workers[i].client_count));
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

void console_write(const struct metrics *metrics, struct text *out) {
    text_add(out, BYTES("{"));
    write_numbers(metrics, out);
    write_latency(metrics, out);
    write_workers(metrics, out);
    write_shards(metrics, out);
    write_hot_keys(metrics, out);
    text_add(out, BYTES("}\n"));
}
