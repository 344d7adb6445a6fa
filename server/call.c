/* What command bodies share. The hot ones are call_read and call_reply_value: a GET is little else. */
#include "call.h"

#include <stdio.h>

#include "client.h"
#include "server.h"
#include "shards/base/check.h"
#include "shards/base/memory.h"
#include "shards/base/number.h"
#include "worker.h"

/* The key of an argument: its name, hash and shard. The first is known since the request was read. */
struct located {
    struct shard *shard;
    struct key key;
};

static inline struct located locate(const struct call *call, uint32_t index) {
    struct bytes name = call->args[index];
    if (__builtin_expect(name.data == call->first_key.name.data, 1)) {
        return (struct located){call->first_shard, call->first_key};
    }
    const struct shards *shards = &call->server->shards;
    return (struct located){shards_of(shards, name), shards_key(shards, name)};
}

/* Not inline: a hit shouldn't carry it. */
static __attribute__((noinline)) void
count_reason(const struct call *call, const struct database *database, const struct key *key) {
    enum miss_reason reason = database_miss_reason(database, key);
    counters_add(&call->worker->misses[call->database].by_reason[reason], 1);
}

/* Does a look count as a use of what is found? */
static inline bool leaves_trace(const struct call *call) {
    return !(call->command->flags & COMMAND_TOUCHES_NOTHING) && !call->client->no_touch;
}

static inline void count_read(const struct call *call, const struct located *at,
                              const struct entry *entry) {
    struct counters *counters = &call->worker->counters[at->shard->index];
    counters_add(&counters->reads, 1);
    counters_add(entry != NULL ? &counters->hits : &counters->misses, 1);
    if (__builtin_expect(entry == NULL, 0))
        count_reason(call, shard_database(at->shard, call->database), &at->key);
}

static inline void note_read(struct call *call, const struct located *at, struct entry *entry) {
    count_read(call, at, entry);
    if (entry != NULL && leaves_trace(call)) {
        const struct eviction_rules *rules = &call->server->shards.eviction;
        eviction_touch(rules, entry, call->now_ms, &call->worker->random);
    }
}

struct entry *call_read(struct call *call, uint32_t index) {
    struct located at = locate(call, index);
    struct entry *entry =
        database_find(shard_database(at.shard, call->database), &at.key, call->now_ms);
    note_read(call, &at, entry);
    return entry;
}

void call_note_read(struct call *call, struct entry *entry) {
    struct located at = {call->first_shard, call->first_key};
    note_read(call, &at, entry);
}

void call_count_read(struct call *call, const struct place *place) {
    struct located at = {call->first_shard, call->first_key};
    count_read(call, &at, place->entry);
}

/* Inlined always: one of the two is on every write's path, and has no business with the other. */
static inline __attribute__((always_inline)) struct place
write_at(struct call *call, const struct located *at, uint32_t database, bool is_fill) {
    struct place place = {
        .database = shard_database(at->shard, database),
        .reclaimer = &call->server->shards.reclaimer,
        .key = at->key,
        .now_ms = call->now_ms,
        .value_max = (uint64_t)atomic_load_explicit(&call->server->shards.eviction.value_max,
                                                    memory_order_relaxed),
    };
    bool expired = false;
    place.entry = (is_fill ? database_find_for_fill : database_find_for_write)(
        place.database, &place.key, call->now_ms, place.reclaimer, &expired);
    if (expired) atomic_fetch_add_explicit(&at->shard->expired, 1, memory_order_relaxed);
    counters_add(&call->worker->counters[at->shard->index].writes, 1);
    if (place.entry != NULL && leaves_trace(call))
        database_touch(place.database, place.entry, call->now_ms);
    return place;
}

struct place call_write_in(struct call *call, uint32_t index, uint32_t database) {
    struct located at = locate(call, index);
    return write_at(call, &at, database, false);
}

struct place call_write(struct call *call, uint32_t index) {
    return call_write_in(call, index, call->database);
}

struct place call_fill(struct call *call) {
    struct located at = {call->first_shard, call->first_key};
    return write_at(call, &at, call->database, true);
}

enum { SCRATCH_KEPT_MAX = 64 * 1024 };

void *call_scratch(struct call *call, size_t size) {
    struct worker *worker = call->worker;
    size = (size + 15) & ~(size_t)15;
    if (worker->scratch_capacity - worker->scratch_used < size) {
        /* A block a request for more: earlier pieces must not move, so the old block is chained inside the
         * new one. */
        size_t capacity =
            worker->scratch_capacity * 2 > size + 64 ? worker->scratch_capacity * 2 : size + 64;
        void **block = memory_allocate(capacity);
        if (block == NULL) {
            call_failed(call, STATUS_NO_MEMORY);
            return NULL;
        }
        *block = worker->scratch;
        worker->scratch = block;
        worker->scratch_capacity = capacity;
        worker->scratch_used = 16;
    }
    void *piece = (char *)worker->scratch + worker->scratch_used;
    worker->scratch_used += size;
    return piece;
}

void call_scratch_reset(struct worker *worker) {
    void **block = worker->scratch;
    if (block == NULL) return;
    bool is_kept = worker->scratch_capacity <= SCRATCH_KEPT_MAX;
    for (void **older = is_kept ? *block : block; older != NULL;) {
        void **next = *older;
        memory_free(older);
        older = next;
    }
    if (is_kept) {
        *block = NULL;
        worker->scratch_used = 16;
    } else {
        worker->scratch = NULL;
        worker->scratch_capacity = worker->scratch_used = 0;
    }
}

bool call_integer(struct call *call, uint32_t index, int64_t *number) {
    if (number_read(call->args[index], number)) return true;
    call_failed(call, STATUS_NOT_NUMBER);
    return false;
}

bool call_database(struct call *call, uint32_t index, uint32_t *database) {
    int64_t number;
    if (!call_integer(call, index, &number)) return false;
    if (number < INT32_MIN || number > INT32_MAX) {
        reply_error_format(call->reply, "ERR value is out of range, value must between %d and %d",
                           INT32_MIN, INT32_MAX);
        return false;
    }
    if (number < 0 || number >= call->server->shards.database_count) {
        reply_error(call->reply, "ERR DB index is out of range");
        return false;
    }
    *database = (uint32_t)number;
    return true;
}

void call_syntax_error(struct call *call) {
    reply_error(call->reply, "ERR syntax error");
}

void call_wrong_type(struct call *call) {
    reply_error(call->reply, "WRONGTYPE Operation against a key holding the wrong kind of value");
}

void call_failed(struct call *call, enum status status) {
    static const char *const texts[] = {
        [STATUS_NO_MEMORY] = "OOM command not allowed: the server is out of memory",
        [STATUS_FULL] = "OOM command not allowed: the shard is full",
        [STATUS_TOO_LONG] = "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
        [STATUS_NO_ROOM] = "OOM value is larger than 'maxmemory' has room for",
        [STATUS_WRONG_TYPE] = "WRONGTYPE Operation against a key holding the wrong kind of value",
        [STATUS_NOT_NUMBER] = "ERR value is not an integer or out of range",
        [STATUS_OVERFLOW] = "ERR increment or decrement would overflow",
        [STATUS_UNSUPPORTED] = "ERR not supported here",
        [STATUS_REFUSED] = "ERR refused by the system",
        [STATUS_FAILED] = "ERR failed: see the server's log",
    };
    check(status != STATUS_OK);
    reply_error(call->reply, texts[status]);
}

/* From this size on a value is sent from where it lies: 16 KiB is where copying twice costs more than a
 * reference does. */
enum { REPLY_REFERENCE_MIN = 16 * 1024 };

/* The value was sent. Should it be deleted or replaced by now, we may be the last who holds it. */
static void release_sent(void *context, void *subject) {
    const struct server *server = context;
    struct blob *blob = subject;
    if (!blob_release_shared(blob)) reclaimer_take(&server->shards.reclaimer, blob);
}

void call_reply_value(struct call *call, const struct entry *entry) {
    struct bytes value = entry_value(entry);
    if (__builtin_expect(value.size >= REPLY_REFERENCE_MIN, 0)) {
        struct blob *blob = entry_blob(entry);
        if (blob != NULL) {
            struct buffer_owner owner = {release_sent, call->server, blob_retain(blob)};
            reply_bulk_reference(call->reply, value, owner);
            return;
        }
    }
    reply_bulk(call->reply, value);
}

enum { CONTAINER_TEXT_MAX = 32 };

/* The container's name in capitals, as it was called: it may have been renamed. */
static void write_container(const struct call *call, char out[CONTAINER_TEXT_MAX]) {
    struct bytes name = call->args[0];
    size_t size = 0;
    for (; size < name.size && size < CONTAINER_TEXT_MAX - 1; size++) {
        char c = name.data[size];
        out[size] = c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
    }
    out[size] = 0;
}

void call_unknown_subcommand(struct call *call) {
    char container[CONTAINER_TEXT_MAX];
    write_container(call, container);
    reply_error_format(call->reply, "ERR unknown subcommand '%.*s'. Try %s HELP.",
                       call_shown(call->args[1]), call->args[1].data, container);
}

void call_reply_help(struct call *call, const char *const *lines) {
    char container[CONTAINER_TEXT_MAX];
    write_container(call, container);
    size_t count = 0;
    while (lines[count] != NULL) {
        count++;
    }
    reply_array(call->reply, count + 3);
    char first[128];
    snprintf(first, sizeof(first),
             "%s <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", container);
    reply_simple(call->reply, first);
    for (size_t i = 0; i < count; i++) {
        reply_simple(call->reply, lines[i]);
    }
    reply_simple(call->reply, "HELP");
    reply_simple(call->reply, "    Print this help.");
}
