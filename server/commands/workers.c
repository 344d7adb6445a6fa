/* WORKERS: what each worker does with its time. Ours; Redis has nothing of the kind. */
#include "server/call.h"
#include "server/profile.h"
#include "server/server.h"

static void reply_share(struct reply *reply, const char *name, double percent) {
    reply_bulk_text(reply, name);
    reply_double(reply, (double)(int64_t)(percent * 100 + 0.5) / 100);
}

static void reply_time(struct reply *reply, const struct worker *worker) {
    struct profile_shares shares = profile_shares(&worker->profile);
    reply_bulk_text(reply, "time_percent");
    reply_map(reply, PROFILE_PARTS);
    for (int part = 0; part < PROFILE_PARTS; part++) {
        reply_share(reply, profile_part_name((enum profile_part)part), shares.percent[part]);
    }
}

static void reply_ratio(struct reply *reply, const char *name, uint64_t count, uint64_t each) {
    reply_bulk_text(reply, name);
    reply_double(reply, each != 0 ? (double)(count * 100 / each) / 100 : 0);
}

static uint64_t load(const _Atomic uint64_t *counter) {
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void reply_worker(struct reply *reply, const struct worker *worker) {
    const struct engine_statistics *engine = &worker->engine->statistics;
    uint64_t turns = load(&engine->turns), receives = load(&engine->receives);
    uint64_t sends = load(&engine->sends), batches = load(&worker->batches);
    uint64_t commands = load(&worker->command_count);
    reply_map(reply, 17);
    reply_field(reply, "worker", worker->index);
    reply_field(reply, "clients",
                atomic_load_explicit(&worker->client_count, memory_order_relaxed));
    reply_field(reply, "commands", commands);
    reply_field(reply, "commands_per_sec", rate_per_second(&worker->command_rate));
    reply_field(reply, "batches", batches);
    reply_ratio(reply, "commands_per_batch", commands, batches);
    reply_time(reply, worker);
    reply_field(reply, "turns", turns);
    reply_field(reply, "receives", receives);
    reply_field(reply, "sends", sends);
    reply_ratio(reply, "completions_per_turn", receives + sends, turns);
    reply_field(reply, "received_bytes", load(&engine->received_bytes));
    reply_field(reply, "sent_bytes", load(&engine->sent_bytes));
    reply_field(reply, "starved_receives", load(&engine->starved));
    reply_field(reply, "receive_memory", load(&engine->receive_memory));
    reply_field(reply, "completion_overflows", load(&engine->overflows));
    reply_field(reply, "rearms", load(&engine->rearms));
}

static void workers(struct call *call) {
    const struct server *server = call->server;
    reply_array(call->reply, server->worker_count);
    for (uint32_t i = 0; i < server->worker_count; i++) {
        reply_worker(call->reply, &server->workers[i]);
    }
}

/* ---- Rows ------------------------------------------------------------------------------------ */

static const struct command rows[] = {
    {.name = "workers",
     .run = workers,
     .arity = 1,
     .flags = COMMAND_LOADING | COMMAND_STALE | COMMAND_ADMIN,
     .group = GROUP_SERVER,
     .since = "0.1.0",
     .complexity = "O(workers)",
     .summary = "Describes each worker: what its time goes into, its batches, its engine.",
     .syntax = ""},
};

const struct command_group_rows commands_workers = {rows, sizeof(rows) / sizeof(rows[0])};
