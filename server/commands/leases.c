/* GETLEASE, SETLEASE, DELLEASE: filling a missing key once, and with nothing old. What a lease is:
 * shards/leases.c.
 *
 * GETLEASE answers three things: what may be used, a token if the asker is to fill the key, and what the value is.
 * They are an array in RESP2 and RESP3 alike, so that a client library that knows no GETLEASE hands them on as
 * they are.
 *
 *      ["value", nil, "hit"]    [nil, token, "miss"]    [nil, nil, "miss"]
 *      ["value", token, "hit"]  ["old", token, "stale"] ["old", nil, "stale"]
 *
 * A stale value is one whose deadline has passed. It is kept in its place by nothing but the sweep's being late on
 * purpose (`lease-stale-ms`): an expired entry is absent to every other command anyway, so it needs no second
 * home, no mark and no byte more a key, and whoever writes the key removes it on the way as ever. What is deleted
 * is never shown: it is wrong, not old. (Facebook's memcached keeps deleted values for a while, too; here an
 * application that wants that gives the key a deadline of a millisecond instead of deleting it.)
 *
 * EARLY refreshes a value before it expires (XFetch: Vattani, Chierichetti and Lowenstein, "Optimal Probabilistic
 * Cache Stampede Prevention", VLDB 2015). Each reader draws a number u in (0, 1], and one to whom beta * t *
 * -ln(u) is no less than the time left is told to refresh, where t is the time the last fill took; all the others
 * go on with what there is. So the more a key is read and the longer its fill takes, the earlier it is refreshed,
 * and by one reader.
 *
 * The usual answers change nothing, so they are given under the lock for reading: only who is given a lease comes
 * back with the lock for writing. */
#include <math.h>

#include "server/blocking.h"
#include "server/call.h"
#include "server/config.h"
#include "server/server.h"
#include "server/worker.h"
#include "shards/base/number.h"
#include "shards/leases.h"

#include "expiry_options.h"

static const int64_t LEASE_MS_MAX = 60 * 60 * 1000;
/* Tokens are whole numbers that a double holds exactly, so below 2^53: some languages have no others. A new lease's
 * is below this; the upper half is for later holders of a lease, one more each and one a millisecond at most. */
static const uint64_t NEW_TOKEN_END = UINT64_C(1) << 52;

static struct database *database_of(const struct call *call) {
    return shard_database(call->first_shard, call->database);
}

/* ---- GETLEASE -------------------------------------------------------------------------------- */

enum { NO_TOKEN = 0, BETA_MAX = 1000 };

struct question {
    int64_t lease_ms;
    int64_t wait_ms;  /* 0: no longer than it takes to say who fills the key */
    int64_t stale_ms; /* a value may have expired so long ago; 0: not at all */
    double beta;      /* of early refresh; 0: none */
};

static bool read_span(struct call *call, uint32_t index, const char *name, int64_t *ms) {
    if (number_read(call->args[index], ms) && *ms >= 1 && *ms <= LEASE_MS_MAX) return true;
    reply_error_format(call->reply, "ERR %s must be a number of milliseconds from 1 to %lld", name,
                       (long long)LEASE_MS_MAX);
    return false;
}

static bool read_stale(struct call *call, uint32_t index, int64_t *ms) {
    int64_t kept_ms = config_number(&call->server->config->lease_stale_ms);
    if (!read_span(call, index, "stale-ms", ms)) return false;
    if (*ms <= kept_ms) return true;
    reply_error_format(call->reply,
                       "ERR expired values are kept for %lld ms only: see lease-stale-ms",
                       (long long)kept_ms);
    return false;
}

static bool read_beta(struct call *call, uint32_t index, double *beta) {
    if (number_read_double(call->args[index], beta) && *beta > 0 && *beta <= BETA_MAX) return true;
    reply_error_format(call->reply, "ERR beta must be a number above 0, and %d at most", BETA_MAX);
    return false;
}

static bool read_option(struct call *call, uint32_t index, struct question *question) {
    if (index + 1 < call->arg_count) {
        if (call_is(call, index, "WAIT") && question->wait_ms == 0)
            return read_span(call, index + 1, "wait-ms", &question->wait_ms);
        if (call_is(call, index, "STALE") && question->stale_ms == 0)
            return read_stale(call, index + 1, &question->stale_ms);
        if (call_is(call, index, "EARLY") && question->beta == 0)
            return read_beta(call, index + 1, &question->beta);
    }
    call_syntax_error(call);
    return false;
}

static bool read_question(struct call *call, struct question *question) {
    *question = (struct question){0};
    if (!read_span(call, 2, "lease-ms", &question->lease_ms)) return false;
    for (uint32_t i = 3; i < call->arg_count; i += 2) {
        if (!read_option(call, i, question)) return false;
    }
    return true;
}

/* `entry` is NULL without a value, `token` NO_TOKEN when there is nothing to do for the asker. */
static void reply_lease(struct call *call, struct entry *entry, uint64_t token, const char *state) {
    reply_array(call->reply, 3);
    if (entry != NULL) {
        call_reply_value(call, entry);
    } else {
        reply_null(call->reply);
    }
    if (token != NO_TOKEN) {
        reply_integer(call->reply, (int64_t)token);
    } else {
        reply_null(call->reply);
    }
    reply_bulk_text(call->reply, state);
}

static bool is_held(const struct call *call) {
    const struct leases *leases = database_of(call)->leases;
    return lease_is_held(leases_find(leases, &call->first_key), call->now_ms);
}

static void reply_value(struct call *call, struct entry *entry, uint64_t token) {
    call_note_read(call, entry);
    if (entry_type(entry) == ENTRY_STRING) {
        reply_lease(call, entry, token, "hit");
    } else {
        call_wrong_type(call);
    }
}

/* The key is missing, even if there is a stale value to give. */
static void reply_miss(struct call *call, struct entry *stale, uint64_t token) {
    call_note_read(call, NULL);
    counters_add(&call->worker->leases.granted, token != NO_TOKEN);
    counters_add(&call->worker->leases.stale, stale != NULL);
    reply_lease(call, stale, token, stale != NULL ? "stale" : "miss");
}

static struct entry *find(const struct call *call) {
    return database_find(database_of(call), &call->first_key, call->now_ms);
}

/* The value of a key that is missing, if it expired so lately that the asker takes it. */
static struct entry *find_stale(const struct call *call, const struct question *question) {
    if (question->stale_ms == 0) return NULL;
    struct entry *entry =
        database_find(database_of(call), &call->first_key, call->now_ms - question->stale_ms);
    return entry != NULL && entry_type(entry) == ENTRY_STRING ? entry : NULL;
}

enum { LEASES_DIVISOR = 16, LEASES_BYTES_MIN = 64 * 1024 };

/* What the leases of a shard and database may take of the memory limit: nobody can be evicted for them. */
static uint64_t bytes_max(const struct call *call) {
    const struct shards *shards = &call->server->shards;
    int64_t limit = atomic_load_explicit(&shards->eviction.limit_bytes, memory_order_relaxed);
    uint64_t part = (uint64_t)limit / LEASES_DIVISOR / shards->count;
    return limit == 0 ? 0 : part > LEASES_BYTES_MIN ? part : LEASES_BYTES_MIN;
}

static enum status grant(struct call *call, const struct question *question, uint64_t *token) {
    struct database *database = database_of(call);
    if (database->leases == NULL) database->leases = leases_create();
    if (database->leases == NULL) return STATUS_NO_MEMORY;
    struct lease_terms terms = {
        .now_ms = call->now_ms,
        .lease_ms = question->lease_ms,
        .is_timed = question->beta != 0,
        .bytes_max = bytes_max(call),
        .token = 1 + random_below(&call->worker->random, NEW_TOKEN_END - 1),
    };
    return leases_grant(database->leases, &call->first_key, &terms, token);
}

static void give_lease(struct call *call, const struct question *question) {
    uint64_t token;
    enum status status = grant(call, question, &token);
    if (status == STATUS_OK) {
        reply_miss(call, find_stale(call, question), token);
    } else if (status == STATUS_FULL) {
        reply_error_format(call->reply,
                           "ERR too many leases are held: at most %d in one shard, and a %dth of "
                           "maxmemory in all",
                           LEASES_MAX, LEASES_DIVISOR);
    } else {
        call_failed(call, status);
    }
}

/* For whom the key is filled: as soon as somebody brings a value, or its lease ends, there is something new to say. */
static bool wait(struct call *call, const struct question *question) {
    if (question->wait_ms == 0) return false;
    struct lease *lease = leases_find(database_of(call)->leases, &call->first_key);
    if (!blocking_wait(call, &lease->waiters, question->wait_ms, lease->until_ms)) return false;
    counters_add(&call->worker->leases.waited, 1);
    return true;
}

/* XFetch: is this reader to refresh the value before its time? Drawn anew for each. */
static bool is_early(const struct call *call, const struct question *question,
                     const struct entry *entry, struct random *random) {
    if (question->beta == 0 || !entry_has_expiry(entry) || entry_type(entry) != ENTRY_STRING ||
        is_held(call))
        return false;
    uint32_t fill_ms = leases_fill_ms(database_of(call)->leases, &call->first_key);
    if (fill_ms == 0) return false;
    double draw = (double)((random_next(random) >> 11) + 1) * 0x1p-53; /* in (0, 1] */
    double left_ms = (double)(entry_deadline_ms(entry) - call->now_ms);
    return -log(draw) * question->beta * fill_ms >= left_ms;
}

/* Whoever is drawn comes back with the lock for writing, and draws the same number again. */
static bool get_lease_reading(struct call *call) {
    struct question question;
    if (!read_question(call, &question)) return true;
    struct entry *entry = find(call);
    if (entry != NULL) {
        struct random random = call->worker->random;
        if (is_early(call, &question, entry, &random)) return false;
        call->worker->random = random;
        reply_value(call, entry, NO_TOKEN);
        return true;
    }
    if (!is_held(call)) return false;
    struct entry *stale = find_stale(call, &question);
    if (stale == NULL && question.wait_ms != 0) return false;
    reply_miss(call, stale, NO_TOKEN);
    return true;
}

/* There is a value: give it, and the lease with it if it is to be refreshed early, and can be. */
static void give_value(struct call *call, const struct question *question, struct entry *entry) {
    uint64_t token = NO_TOKEN;
    bool is_given = is_early(call, question, entry, &call->worker->random) &&
                    grant(call, question, &token) == STATUS_OK;
    counters_add(&call->worker->leases.early, is_given);
    reply_value(call, entry, is_given ? token : NO_TOKEN);
}

/* Looks again: much may have happened between the two locks. */
static void get_lease(struct call *call) {
    struct question question;
    if (!read_question(call, &question)) return;
    struct entry *entry = find(call);
    if (entry != NULL) {
        give_value(call, &question, entry);
        return;
    }
    if (!is_held(call)) {
        give_lease(call, &question);
        return;
    }
    struct entry *stale = find_stale(call, &question);
    if (stale == NULL && wait(call, &question)) return;
    reply_miss(call, stale, NO_TOKEN);
}

/* ---- SETLEASE and DELLEASE ------------------------------------------------------------------- */

static bool read_token(struct call *call, uint64_t *token) {
    if (number_read_unsigned(call->args[2], token)) return true;
    reply_error(call->reply, "ERR token must be an integer that GETLEASE gave");
    return false;
}

static void set_lease(struct call *call) {
    struct expiry_option expiry = {.kind = EXPIRY_NONE};
    for (uint32_t i = 4; i < call->arg_count; i++) {
        if (!expiry_option_take(call, &i, EXPIRY_ALLOW_KEEP, &expiry)) {
            call_syntax_error(call);
            return;
        }
    }
    uint64_t token;
    if (!read_token(call, &token) || !expiry_option_resolve(call, &expiry)) return;
    if (!leases_fill(database_of(call)->leases, &call->first_key, token, call->now_ms)) {
        counters_add(&call->worker->leases.void_tokens, 1);
        reply_integer(call->reply, 0);
        return;
    }
    struct place place = call_fill(call);
    int64_t deadline_ms = expiry.deadline_ms;
    if (expiry.kind == EXPIRY_KEEP && place.entry != NULL) {
        deadline_ms = entry_deadline_ms(place.entry);
    }
    struct entry_content content = {.value = call->args[3], .type = ENTRY_STRING};
    enum status status = place_put(&place, &content, deadline_ms);
    if (status == STATUS_OK) {
        counters_add(&call->worker->leases.filled, 1);
        reply_integer(call->reply, 1);
    } else {
        call_failed(call, status);
    }
}

static void delete_lease(struct call *call) {
    uint64_t token;
    if (!read_token(call, &token)) return;
    bool is_given_up = leases_give_up(database_of(call)->leases, &call->first_key, token);
    counters_add(&call->worker->leases.void_tokens, !is_given_up);
    reply_integer(call->reply, is_given_up);
}

/* ---- Rows ------------------------------------------------------------------------------------ */

static const struct command rows[] = {
    {.name = "dellease",
     .run = delete_lease,
     .arity = 3,
     .flags = COMMAND_WRITE | COMMAND_FAST | COMMAND_UNSAVED,
     .keys = ONE_KEY_AT(1),
     .group = GROUP_STRING,
     .since = "0.1.0",
     .complexity = "O(1)",
     .summary = "Gives a lease up: the next who misses the key is to fill it.",
     .syntax = "key token"},
    {.name = "getlease",
     .run = get_lease,
     .run_reading = get_lease_reading,
     .arity = -3,
     .flags = COMMAND_WRITE | COMMAND_FAST | COMMAND_UNSAVED,
     .keys = ONE_KEY_AT(1),
     .group = GROUP_STRING,
     .since = "0.1.0",
     .complexity = "O(1)",
     .summary = "Returns the string of a key; of those who miss it, tells one to fill it.",
     .syntax = "key lease-ms [STALE stale-ms] [WAIT wait-ms] [EARLY beta]"},
    {.name = "setlease",
     .run = set_lease,
     .arity = -4,
     .flags = COMMAND_WRITE | COMMAND_DENY_OOM,
     .keys = ONE_KEY_AT(1),
     .group = GROUP_STRING,
     .since = "0.1.0",
     .complexity = "O(1)",
     .summary = "Sets the string of a key whose lease one holds, if nobody has written it since.",
     .syntax = "key token value [expiration: EX seconds | PX milliseconds | EXAT unix-time-seconds "
               "| PXAT "
               "unix-time-milliseconds | KEEPTTL]"},
};

const struct command_group_rows commands_leases = {rows, sizeof(rows) / sizeof(rows[0])};
