/* From a parsed request to its reply.
 *
 * Four passes over a batch make one memory round trip of many: prepare (while the request's bytes are hot:
 * command, route, hash), then ask for all buckets, then (they are here) for all entries, then run. Asking is a
 * loop of its own, for a prefetch waits for its address to be translated: with nothing but other prefetches
 * behind it the processor walks the page tables for several at once. Asking for the bucket as soon as a request
 * was parsed cost 2 % more at 16 requests deep and 7 % more at 64 (a million keys, 88 bytes each); asking for
 * an entry four or eight requests before its own runs, 15 to 20 % more. Huge pages for slabs and buckets gained
 * nothing on the virtual machine where all of this was measured.
 *
 * Locks: a command of one key takes its shard's lock; one of several takes all its shards' locks by
 * ascending index before its first effect (shards.h, THE LOCK ORDER). Replies are written under the lock,
 * straight into the client's output.
 *
 * Time is taken around slow commands always, around fast ones (COMMAND_FAST) one call in COMMAND_SAMPLE,
 * weighted: two reads of the cycle counter a call would be a tenth of a pipelined GET. Where a fast one is held up, the
 * timing begins there (timing.c). */
#include "dispatch.h"

#include <stdio.h>

#include "access/access.h"
#include "call.h"
#include "clock.h"
#include "gate.h"
#include "limit.h"
#include "log.h"
#include "net/address.h"
#include "server.h"
#include "shards/base/memory.h"

/* The arguments of a request. */
static const struct bytes *arguments_of(const struct worker *worker,
                                        const struct request *request) {
    return &worker->arguments.data[request->first_argument];
}

static bool arity_fits(const struct command *row, uint32_t count) {
    return row->arity >= 0 ? count == (uint32_t)row->arity : count >= (uint32_t)-row->arity;
}

static uint32_t last_key_of(const struct command *row, uint32_t argument_count) {
    uint32_t last =
        row->keys.last >= 0 ? (uint32_t)row->keys.last : argument_count - (uint32_t)-row->keys.last;
    return last < argument_count ? last : argument_count - 1;
}

/* Where the first key is looked for. The databases' array is immutable; a pointer in it may be exchanged at
 * this moment, but no database is freed while the server runs (shard.c), so a hint may look at either. */
static const struct table *table_hint(const struct request *request) {
    uint32_t database = atomic_load_explicit(&request->client->database, memory_order_relaxed);
    return &shard_database(request->shard, database)->table;
}

void dispatch_prepare(struct worker *worker, struct request *request) {
    struct server *server = worker->server;
    const struct bytes *args = arguments_of(worker, request);
    struct command_found found = command_table_find(server->commands, args[0]);
    if (__builtin_expect(found.row == NULL, 0)) return;
    if (__builtin_expect(found.row->subcommand_count != 0, 0) && request->argument_count > 1) {
        struct command_found sub = command_table_find_sub(server->commands, found, args[1]);
        if (sub.row != NULL) found = sub;
    }
    const struct command *row = found.row;
    request->row = row;
    request->id = found.id;
    request->is_sound = row->run != NULL && arity_fits(row, request->argument_count);
    uint32_t first = (uint32_t)row->keys.first;
    if (first == 0 || first >= request->argument_count || !request->is_sound) return;
    struct bytes name = args[first];
    request->last_key = last_key_of(row, request->argument_count);
    request->shard = shards_of(&server->shards, name);
    request->hash = hash_seeded(name, server->shards.seed);
}

void dispatch_prefetch(const struct request *requests, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (requests[i].shard != NULL)
            table_prefetch_bucket(table_hint(&requests[i]), requests[i].hash);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (requests[i].shard != NULL)
            table_prefetch_entry(table_hint(&requests[i]), requests[i].hash);
    }
}

/* ---- What may run ---------------------------------------------------------------------------- */

/* Redis quotes the unknown name and the beginning of its arguments, each cut at 128 bytes in all. */
static void reply_unknown_command(struct call *call) {
    char text[CALL_SHOWN_MAX + 64] = "";
    size_t size = 0;
    for (uint32_t i = 1; i < call->arg_count && size < CALL_SHOWN_MAX; i++) {
        size_t room = CALL_SHOWN_MAX - size;
        size_t shown = call->args[i].size < room ? call->args[i].size : room;
        size += (size_t)snprintf(text + size, sizeof(text) - size, "'%.*s' ", (int)shown,
                                 call->args[i].data);
    }
    reply_error_format(call->reply, "ERR unknown command '%.*s', with args beginning with: %s",
                       call_shown(call->args[0]), call->args[0].data, text);
}

/* A web browser that was made to talk to us begins so. It is cut off before it comes to its body, which whoever
 * made it talk may have written. Said once a minute. */
static bool aborts_attack(struct call *call) {
    enum { SAID_EACH_MS = 60000 };
    struct server *server = call->server;
    if (!call_is(call, 0, "POST") && !call_is(call, 0, "Host:")) return false;
    call->client->is_finishing = true;
    int64_t said_ms = atomic_load_explicit(&server->attack_said_ms, memory_order_relaxed);
    if (call->now_ms - said_ms < SAID_EACH_MS ||
        !atomic_compare_exchange_strong_explicit(&server->attack_said_ms, &said_ms, call->now_ms,
                                                 memory_order_relaxed, memory_order_relaxed))
        return true;
    char peer[ADDRESS_TEXT_MAX];
    address_of_peer(call->client->connection.fd, peer);
    log_warning(
        "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: "
        "commands to sherd. This is likely due to an attacker attempting to use Cross "
        "Protocol Scripting to compromise your sherd instance. Connection from %s aborted.",
        peer);
    return true;
}

/* The usual case of `is_allowed`. */
static inline bool is_plainly_allowed(const struct client *client, const struct request *request) {
    return request->is_sound && client->may_all && client->protocol_error == NULL;
}

/* Why goes to the log, too; it may quote a byte of what came. */
static void break_with(struct call *call) {
    struct client *client = call->client;
    char peer[ADDRESS_TEXT_MAX], why[RESP_ERROR_MAX];
    size_t size = 0;
    for (; size + 1 < sizeof(why) && client->protocol_error[size] != 0; size++) {
        char c = client->protocol_error[size];
        why[size] = c >= ' ' && c <= '~' ? c : '.';
    }
    why[size] = 0;
    address_of_peer(client->connection.fd, peer);
    log_verbose_limited("Breaking with client %llu (%s): %s", (unsigned long long)client->id, peer,
                        why);
    reply_error_format(call->reply, "ERR %s", client->protocol_error);
    worker_dismiss_client(call->worker, client);
}

/* Reply why the command is not run, and return false; or true. */
static bool is_allowed(struct call *call, const struct request *request) {
    const struct command *row = request->row;
    struct client *client = call->client;
    if (client->protocol_error != NULL) {
        break_with(call);
        return false;
    }
    if (row == NULL) {
        if (!aborts_attack(call)) reply_unknown_command(call);
        return false;
    }
    if (row->run == NULL && call->arg_count > 1) {
        call_unknown_subcommand(call);
        return false;
    }
    if (!request->is_sound) {
        reply_error_format(call->reply, "ERR wrong number of arguments for '%s' command",
                           row->name);
        return false;
    }
    if (row->flags & COMMAND_NO_AUTH) return true;
    if (client->is_trusted) return client->may_all || access_permits(call, request->id);
    reply_error(call->reply, "NOAUTH Authentication required.");
    return false;
}

/* ---- Running under locks --------------------------------------------------------------------- */

/* It is held up, so it is timed. */
static void begin_timing(struct call *call) {
    if (call->begun_ticks == 0) call->begun_ticks = clock_ticks();
}

__attribute__((noinline, cold)) static void wait_for_lock(struct call *call, struct rwlock *lock,
                                                          bool for_writing) {
    begin_timing(call);
    uint64_t before_ns = rwlock_waited_ns();
    if (for_writing) {
        rwlock_write_lock_slow(lock);
    } else {
        rwlock_read_lock_slow(lock);
    }
    timing_note_wait(call, rwlock_waited_ns() - before_ns);
}

static inline void lock_for_reading(struct call *call, struct rwlock *lock) {
    if (!rwlock_read_lock_begin(lock)) wait_for_lock(call, lock, false);
}

static inline void lock_for_writing(struct call *call, struct rwlock *lock) {
    if (!rwlock_write_lock_begin(lock)) wait_for_lock(call, lock, true);
}

__attribute__((noinline, cold)) static bool make_room(struct call *call, struct shard *shard) {
    struct server *server = call->server;
    uint64_t begun_ticks = clock_ticks();
    if (call->begun_ticks == 0) call->begun_ticks = begun_ticks;
    bool has_room = room_make(shard, call->now_ms, LIMIT_VICTIMS, &server->shards.reclaimer);
    timing_note_event(server, LATENCY_EVICTION_CYCLE, begun_ticks);
    return has_room;
}

/* With the shard locked for writing, before the command runs: is there memory for it? Makes room where it can. */
static inline bool is_admitted(struct call *call, struct shard *shard) {
    const struct shards *shards = &call->server->shards;
    int64_t limit = atomic_load_explicit(&shards->eviction.limit_bytes, memory_order_relaxed);
    if (__builtin_expect(limit == 0, 1) || !(call->command->flags & COMMAND_DENY_OOM)) return true;
    if (__builtin_expect(room_is_short(&shards->eviction), 0)) return make_room(call, shard);
    return room_make(shard, call->now_ms, LIMIT_VICTIMS, &shards->reclaimer);
}

/* At the memory limit a shard had nobody to evict: perhaps others have. */
__attribute__((noinline)) static void run_relieved(struct call *call, const uint32_t *indexes,
                                                   uint32_t count) {
    begin_timing(call);
    if (!limit_relieve(call, indexes[0])) return;
    struct shards *shards = &call->server->shards;
    shards_lock(shards, indexes, count, true);
    call->command->run(call);
    shards_unlock(shards, indexes, count, true);
}

static bool try_reading(struct call *call, const struct command *row) {
    struct rwlock *lock = &call->first_shard->lock;
    lock_for_reading(call, lock);
    bool is_done = row->run_reading(call);
    rwlock_read_unlock(lock);
    return is_done;
}

__attribute__((always_inline)) static inline void run_single(struct call *call,
                                                             const struct command *row) {
    struct rwlock *lock = &call->first_shard->lock;
    if (row->flags & COMMAND_WRITE) {
        if (__builtin_expect(row->run_reading != NULL, 0) && try_reading(call, row)) return;
        lock_for_writing(call, lock);
        bool has_room = is_admitted(call, call->first_shard);
        if (__builtin_expect(has_room, 1)) row->run(call);
        rwlock_write_unlock(lock);
        if (__builtin_expect(!has_room, 0)) run_relieved(call, &call->first_shard->index, 1);
    } else {
        lock_for_reading(call, lock);
        row->run(call);
        rwlock_read_unlock(lock);
    }
}

__attribute__((noinline)) static void run_several(struct call *call, const struct command *row,
                                                  uint32_t last) {
    struct worker *worker = call->worker;
    struct shards *shards = &call->server->shards;
    begin_timing(call);
    uint32_t count = 0;
    for (uint32_t i = (uint32_t)row->keys.first; i <= last; i += (uint32_t)row->keys.step) {
        count =
            shards_insert(worker->lock_indexes, count, router_shard(call->args[i], shards->count));
    }
    bool for_writing = (row->flags & COMMAND_WRITE) != 0;
    uint64_t before_ns = rwlock_waited_ns();
    shards_lock(shards, worker->lock_indexes, count, for_writing);
    if (rwlock_waited_ns() != before_ns) timing_note_wait(call, rwlock_waited_ns() - before_ns);
    bool has_room = true;
    for (uint32_t i = 0; for_writing && i < count && has_room; i++) {
        has_room = is_admitted(call, &shards->shards[worker->lock_indexes[i]]);
    }
    if (has_room) row->run(call);
    shards_unlock(shards, worker->lock_indexes, count, for_writing);
    if (!has_room) run_relieved(call, worker->lock_indexes, count);
}

__attribute__((always_inline)) static inline void
run_locked(struct call *call, const struct command *row, uint32_t last_key) {
    if (call->first_shard == NULL) {
        row->run(call);
    } else if (last_key == (uint32_t)row->keys.first) {
        run_single(call, row);
    } else {
        run_several(call, row, last_key);
    }
}

/* ---- Accounting ------------------------------------------------------------------------------ */

static void account_time(struct command_statistics *statistics, uint64_t ticks, uint32_t weight) {
    uint64_t microseconds = (uint64_t)((double)ticks / clock_ticks_per_us());
    uint32_t bucket = microseconds == 0 ? 0 : 64 - (uint32_t)__builtin_clzll(microseconds);
    if (bucket >= COMMAND_HISTOGRAM) bucket = COMMAND_HISTOGRAM - 1;
    counters_add(&statistics->ticks, ticks * weight);
    atomic_store_explicit(
        &statistics->histogram[bucket],
        atomic_load_explicit(&statistics->histogram[bucket], memory_order_relaxed) + weight,
        memory_order_relaxed);
}

/* A fast command that was timed for another reason than its count is not one of the sample. */
__attribute__((noinline)) static void account_fast(const struct call *call,
                                                   const struct request *request, uint64_t ticks,
                                                   uint64_t calls) {
    struct worker *worker = call->worker;
    if (calls % COMMAND_SAMPLE == 0 && !call->is_refused)
        account_time(&worker->commands[request->id], ticks, COMMAND_SAMPLE);
    worker->timing.timed |= UINT32_C(1) << (request - worker->batch);
}

static inline void end_timing(struct call *call, const struct request *request,
                              struct command_statistics *statistics, uint64_t calls) {
    struct timing *timing = &call->worker->timing;
    uint64_t ticks = clock_ticks() - call->begun_ticks;
    if (request->row->flags & COMMAND_FAST) {
        account_fast(call, request, ticks, calls);
    } else if (!call->is_refused) {
        account_time(statistics, ticks, 1);
    }
    timing->timed_ticks += ticks;
    if (__builtin_expect(ticks >= timing->notable_ticks, 0)) timing_note(call, ticks);
    timing->waited_ns = 0;
}

/* What was refused, at the memory limit, isn't counted as a call: in Redis neither. */
__attribute__((always_inline)) static inline void run_accounted(struct call *call,
                                                                const struct request *request) {
    const struct command *row = request->row;
    struct command_statistics *statistics = &call->worker->commands[request->id];
    uint64_t calls = atomic_load_explicit(&statistics->calls, memory_order_relaxed);
    uint32_t errors = call->reply->error_count;
    bool is_fast = (row->flags & COMMAND_FAST) != 0;
    bool is_timed = !is_fast || (calls & call->worker->timing.sample_mask) == 0;
    if (is_timed) call->begun_ticks = clock_ticks();
    run_locked(call, row, request->last_key);
    if (call->begun_ticks != 0) end_timing(call, request, statistics, calls);
    if (call->worker->scratch_used > 16) call_scratch_reset(call->worker);
    if (__builtin_expect(call->reply->error_count != errors, 0)) {
        counters_add(call->is_refused ? &statistics->rejected : &statistics->failed, 1);
        errors_add(&call->worker->errors, call->reply->error_code);
        if (call->is_refused) return;
    }
    counters_add(&statistics->calls, 1);
    counters_add(&call->client->command_count, 1);
    counters_add(&call->worker->command_count, 1);
}

/* A container's word that isn't one of its subcommands is no command, so no command's call was
 * rejected. Nor is there an error where an attack was aborted: nothing was replied since there were
 * `errors`. */
static void account_rejected(struct worker *worker, const struct request *request,
                             uint32_t errors) {
    const struct command *row = request->row;
    if (request->client->reply.error_count == errors) return;
    bool is_command = row != NULL && (row->run != NULL || request->argument_count == 1);
    if (is_command) counters_add(&worker->commands[request->id].rejected, 1);
    errors_add(&worker->errors, request->client->reply.error_code);
}

/* CLIENT REPLY: where this command's reply goes, and what the next one's will do. */
static void choose_output(struct worker *worker, struct client *client) {
    client->reply.buffer =
        client->reply_mode == CLIENT_REPLY_ON || client->reply_mode == CLIENT_REPLY_SKIP_NEXT
            ? &client->connection.output
            : &worker->discard;
}

static void settle_output(struct worker *worker, struct client *client, uint8_t mode_before) {
    client->reply.buffer = &client->connection.output;
    if (!buffer_is_empty(&worker->discard)) {
        buffer_release(&worker->discard);
        buffer_init(&worker->discard, &worker->buffers, 0);
    }
    /* SKIP takes effect with the next command, for that one only. */
    if (client->reply_mode == CLIENT_REPLY_SKIP_NEXT) {
        client->reply_mode = CLIENT_REPLY_SKIP;
    } else if (client->reply_mode == CLIENT_REPLY_SKIP && mode_before == CLIENT_REPLY_SKIP) {
        client->reply_mode = CLIENT_REPLY_ON;
    }
}

/* What it may do can have changed while it waited. */
static bool is_still_allowed(struct call *call) {
    const struct client *client = call->client;
    if (client->may_all) return true;
    if (!client->is_trusted) {
        reply_error(call->reply, "NOAUTH Authentication required.");
        return false;
    }
    struct bytes name = bytes_of_text(call->command->name);
    return access_permits(call, command_table_find_full(call->server->original_commands, name).id);
}

void dispatch_again(struct call *call) {
    uint32_t errors = call->reply->error_count;
    const struct command *row = call->command;
    if (!is_still_allowed(call)) {
        errors_add(&call->worker->errors, call->reply->error_code);
        return;
    }
    call->begun_ticks = clock_ticks();
    /* Not by run_single: with a second caller it would no longer be expanded in the path of every request. */
    if (row->run_reading == NULL || !try_reading(call, row)) {
        rwlock_write_lock(&call->first_shard->lock);
        row->run(call);
        rwlock_write_unlock(&call->first_shard->lock);
    }
    uint64_t ticks = clock_ticks() - call->begun_ticks;
    if (ticks >= call->worker->timing.notable_ticks) timing_note(call, ticks);
    call->worker->timing.waited_ns = 0;
    if (call->reply->error_count != errors) {
        errors_add(&call->worker->errors, call->reply->error_code);
    }
    call_scratch_reset(call->worker);
}

/* Compiled twice: for all gates open, where nothing of them is left, and for any other time. Always inline, with
 * run_accounted: as functions of their own they cost 20 instructions a request. */
__attribute__((always_inline)) static inline bool
run_request(struct worker *worker, const struct request *request, bool is_gated) {
    struct client *client = request->client;
    struct server *server = worker->server;
    const struct command *row = request->row;
    struct call call = {
        .server = server,
        .worker = worker,
        .client = client,
        .command = row,
        .args = arguments_of(worker, request),
        .arg_count = request->argument_count,
        .database = atomic_load_explicit(&client->database, memory_order_relaxed),
        .reply = &client->reply,
        .now_ms = worker->now_ms,
        .first_shard = request->shard,
    };
    if (call.first_shard != NULL) {
        call.first_key = (struct key){call.args[row->keys.first], request->hash};
    }
    uint8_t mode = client->reply_mode;
    if (__builtin_expect(mode != CLIENT_REPLY_ON, 0)) choose_output(worker, client);

    uint32_t errors = client->reply.error_count;
    bool is_run =
        __builtin_expect(is_plainly_allowed(client, request), 1) || is_allowed(&call, request);
    if (is_run && is_gated) is_run = !gate_refuses(&call, row);
    /* What is refused is refused at once: of a stranger, say, nothing is kept until a gate opens. */
    if (is_run && is_gated && gate_holds(server, row, worker->now_ms)) {
        client->reply.buffer = &client->connection.output; /* it has replied nothing yet */
        return false;
    }
    if (__builtin_expect(is_run, 1)) {
        atomic_store_explicit(&client->last_command, row, memory_order_relaxed);
        run_accounted(&call, request);
    } else {
        account_rejected(worker, request, errors);
    }

    if (__builtin_expect(mode != CLIENT_REPLY_ON || client->reply_mode != CLIENT_REPLY_ON, 0)) {
        settle_output(worker, client, mode);
    }
    return true;
}

__attribute__((noinline, cold)) static bool run_gated(struct worker *worker,
                                                      const struct request *request) {
    return run_request(worker, request, true);
}

bool dispatch_run(struct worker *worker, const struct request *request) {
    uint32_t gates = atomic_load_explicit(&worker->server->gates, memory_order_relaxed);
    if (__builtin_expect(gates != 0, 0)) return run_gated(worker, request);
    return run_request(worker, request, false);
}
