/* The sampler: who is noted, and what of it.
 *
 * A countdown that each request looked at would cost 19 instructions a request, most of them for registers that run short.
 * So the countdown is the batch's: requests to be noted part it (`execute` in batch.c), and those between run as ever.
 *
 * The gap is drawn anew each time, evenly from 1 to 2 * SAMPLED_WEIGHT - 1. A fixed stride would hear a load with a rhythm at
 * one beat only: pipelines of 128 that each begin with the same key would show that key always, or never. The draw happens
 * once a sample; a coin tossed for each request would give the same at a hundred times the price.
 *
 * What it costs, GET and SET evenly, 100,000 keys, 16 requests deep, instructions a request in user space (callgrind):
 * 1,077 without a sampler, 1,082 with it (1,077 switched off); 1,767 and 1,775 without a pipeline. With one request in 64 it was
 * 1 %, for a note is some 500 instructions (chance, lock, find, take over, sift).
 *
 * The price of sampling is noise: n requests are seen as n give or take about 11 sqrt(n), some percent for whatever is worth
 * being called hot. */
#include "sampler.h"

#include "hotkeys.h"
#include "server.h"
#include "shards/shards.h"
#include "worker.h"

enum { NOTED_KEYS_MAX = 64 };

enum status sampler_init(struct sampler *sampler, struct random *random, int64_t now_ms) {
    sampler->until_next = sampler_gap(random);
    sampler->hotkeys = hotkeys_create(now_ms);
    return sampler->hotkeys != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

void sampler_release(struct sampler *sampler) {
    hotkeys_destroy(sampler->hotkeys);
}

struct sampler_mark sampler_mark(const struct request *request) {
    const struct client *client = request->client;
    return (struct sampler_mark){client->executed, buffer_waiting(&client->connection.output)};
}

/* Did a command with keys run? Not if the client is suspended, or lacks the password. */
static bool has_run(const struct request *request) {
    const struct client *client = request->client;
    return request->shard != NULL && client->executed == request->end && client->is_authenticated;
}

/* Bytes that it took from the network and gives to it. The output is shorter than before when the client was closed. */
static uint64_t bytes_moved(const struct request *request, const struct sampler_mark *before) {
    size_t waiting = buffer_waiting(&request->client->connection.output);
    return request->end - before->executed +
           (waiting > before->waiting ? waiting - before->waiting : 0);
}

static void note_keys(struct worker *worker, const struct request *request, uint64_t bytes) {
    const struct command *row = request->row;
    const struct bytes *args = &worker->arguments.data[request->first_argument];
    uint32_t first = (uint32_t)row->keys.first, step = (uint32_t)row->keys.step;
    uint32_t count = (request->last_key - first) / step + 1;
    struct sampled sampled = {
        .key = {args[first], request->hash},
        .database = atomic_load_explicit(&request->client->database, memory_order_relaxed),
        .is_write = (row->flags & COMMAND_WRITE) != 0,
        .bytes = bytes / count,
    };
    hotkeys_note(worker->sampler.hotkeys, &sampled);
    for (uint32_t i = 1; i < count && i < NOTED_KEYS_MAX; i++) {
        sampled.key = shards_key(&worker->server->shards, args[first + i * step]);
        hotkeys_note(worker->sampler.hotkeys, &sampled);
    }
}

void sampler_note(struct worker *worker, const struct request *request,
                  const struct sampler_mark *before) {
    struct sampler *sampler = &worker->sampler;
    sampler->until_next = sampler_gap(&worker->random);
    if (!has_run(request)) return;
    if (config_number(&worker->server->config->request_sampling) == 0) return;
    if (!hotkeys_try_begin(sampler->hotkeys, worker->now_ms)) {
        sampler->until_next = 1; /* somebody collects: the next request instead */
        return;
    }
    note_keys(worker, request, bytes_moved(request, before));
    hotkeys_end(sampler->hotkeys);
}
