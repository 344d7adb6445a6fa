/* The sampler: who is noted, and what of it.
 *
 * A countdown that each request looked at would cost 19 instructions a request, most of them for registers that
 * run short. So the countdown is the batch's: requests to be noted part it (`execute` in batch.c), and those
 * between run as ever.
 *
 * The gap is drawn anew each time, evenly from 1 to 2 * SAMPLED_WEIGHT - 1. A fixed stride would hear a load
 * with a rhythm at one beat only: pipelines of 128 that each begin with the same key would show that key
 * always, or never. The draw happens once a sample; a coin tossed for each request would give the same at a
 * hundred times the price.
 *
 * What it costs, GET and SET evenly, 100,000 keys, 16 requests deep, instructions a request in user space
 * (callgrind): 1,077 without a sampler, 1,083 with it (1,078 switched off); 1,767 and 1,781 without a pipeline.
 * A note is some 500 (chance, locks, find, take over, sift), so that with one request in 64 it was more than 1
 * %.
 *
 * The price of sampling is noise: n requests are seen as n give or take about 11 sqrt(n), some percent for
 * whatever is worth being called hot. */
#include "sampler.h"

#include <string.h>

#include "hotkeys.h"
#include "samples.h"
#include "server.h"
#include "shards/shards.h"
#include "worker.h"

enum {
    NOTED_KEYS_MAX = 64,
    /* Samples of a window, of all workers together and of one at least: 512 KiB, and 8 KiB. */
    WINDOW_SAMPLES = 4096,
    WINDOW_SAMPLES_MIN = 64,
};

enum status sampler_init(struct sampler *sampler, struct worker *worker) {
    const struct server *server = worker->server;
    uint32_t window_max = WINDOW_SAMPLES / server->worker_count;
    if (window_max < WINDOW_SAMPLES_MIN) window_max = WINDOW_SAMPLES_MIN;
    sampler->until_next = sampler_gap(&worker->random);
    sampler->hotkeys = hotkeys_create(server->started_ms);
    sampler->samples = samples_create(window_max, server->started_ms);
    return sampler->hotkeys != NULL && sampler->samples != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

void sampler_release(struct sampler *sampler) {
    hotkeys_destroy(sampler->hotkeys);
    samples_destroy(sampler->samples);
}

static bool has_one_key(const struct request *request) {
    return request->last_key == (uint32_t)request->row->keys.first;
}

struct sampler_mark sampler_mark(const struct worker *worker, const struct request *request) {
    const struct client *client = request->client;
    struct sampler_mark mark = {
        .executed = client->executed,
        .waiting = buffer_waiting(&client->connection.output),
        .errors = client->reply.error_count,
    };
    if (request->shard == NULL) return mark;
    if (has_one_key(request)) {
        const struct counters *row = &worker->counters[request->shard->index];
        mark.hits = atomic_load_explicit(&row->hits, memory_order_relaxed);
        mark.misses = atomic_load_explicit(&row->misses, memory_order_relaxed);
    } else {
        const struct shards *shards = &worker->server->shards;
        struct counters_sum sum = counters_sum_worker(&shards->counters, worker->index);
        mark.hits = sum.hits;
        mark.misses = sum.misses;
    }
    return mark;
}

/* Did a command with keys run? Not if the client is suspended, or lacks the password or the permission. */
static bool has_run(const struct request *request, const struct sampler_mark *before) {
    const struct client *client = request->client;
    bool has_failed = client->reply.error_count != before->errors;
    if (has_failed && strcmp(client->reply.error_code, "NOPERM") == 0) return false;
    return request->shard != NULL && client->executed == request->end && client->is_trusted;
}

/* Output is shorter than before when the client was closed, counters are smaller when somebody reset them. */
static uint64_t growth(uint64_t before, uint64_t after) {
    return after > before ? after - before : 0;
}

static void note_key(struct worker *worker, const struct sampled *sampled) {
    hotkeys_note(worker->sampler.hotkeys, sampled);
    samples_note(worker->sampler.samples, sampled, &worker->random);
}

static void note_keys(struct worker *worker, const struct request *request,
                      const struct sampler_mark *before) {
    const struct command *row = request->row;
    const struct bytes *args = &worker->arguments.data[request->first_argument];
    uint32_t first = (uint32_t)row->keys.first, step = (uint32_t)row->keys.step;
    uint32_t count = (request->last_key - first) / step + 1;
    struct sampler_mark after = sampler_mark(worker, request);
    uint64_t bytes = after.executed - before->executed + growth(before->waiting, after.waiting);
    struct sampled sampled = {
        .key = {args[first], request->hash},
        .database = atomic_load_explicit(&request->client->database, memory_order_relaxed),
        .is_write = (row->flags & COMMAND_WRITE) != 0,
        .bytes = bytes / count,
        .hits = (float)growth(before->hits, after.hits) / (float)count,
        .misses = (float)growth(before->misses, after.misses) / (float)count,
    };
    note_key(worker, &sampled);
    for (uint32_t i = 1; i < count && i < NOTED_KEYS_MAX; i++) {
        sampled.key = shards_key(&worker->server->shards, args[first + i * step]);
        note_key(worker, &sampled);
    }
}

/* Never waits: somebody may be collecting. */
static bool try_begin(struct sampler *sampler, int64_t now_ms) {
    if (!hotkeys_try_begin(sampler->hotkeys, now_ms)) return false;
    if (samples_try_begin(sampler->samples, now_ms)) return true;
    hotkeys_end(sampler->hotkeys);
    return false;
}

void sampler_note(struct worker *worker, const struct request *request,
                  const struct sampler_mark *before) {
    struct sampler *sampler = &worker->sampler;
    sampler->until_next = sampler_gap(&worker->random);
    if (!has_run(request, before)) return;
    if (config_number(&worker->server->config->request_sampling) == 0) return;
    if (!try_begin(sampler, worker->now_ms)) {
        sampler->until_next = 1; /* the next request instead */
        return;
    }
    note_keys(worker, request, before);
    samples_end(sampler->samples);
    hotkeys_end(sampler->hotkeys);
}
