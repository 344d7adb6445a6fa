/* Leases against stampedes and stale fills.
 *
 * A cached key that goes missing is missed by everybody at once: a thousand clients ask the database for the same
 * row. And whoever read the row before it changed may put it into the cache after the change deleted it, where it
 * stays. Facebook's memcached cures both with one thing, a lease (Nishtala et al., "Scaling Memcache at Facebook",
 * NSDI 2013, section 3.2.1): the first that misses is told to fill the key and given a token; the others are told
 * that somebody does; and a value is stored only for a token that no write to the key has made void since.
 *
 *      none ── leases_grant ──▶ HELD ── its time is over ──▶ RUN OUT ── leases_grant ──▶ HELD by the next: token + 1
 *
 *      HELD, RUN OUT ── leases_fill, leases_give_up ──▶ none     by the holder
 *      HELD, RUN OUT ── leases_fill ──▶ as it was, first = his token + 1     by a former holder who may fill
 *      HELD, RUN OUT ── leases_break, leases_clear ───▶ none     the key was written or flushed: all tokens are void
 *            RUN OUT ── another grant in its chain ───▶ none     its room is needed
 *
 *      tokens of one lease, oldest first:   n   n + 1   n + 2   n + 3   n + 4
 *                                           ╰─ void ─╯  first           token: its holder's
 *                            n + 1 has filled ──┘       ╰──── may fill ────╯
 *
 * That a token may fill says: since it was given nothing was written but what those brought who had been given the
 * lease before. So a former holder's value is taken though his lease ran out long ago, for it is as good as any: were
 * it void, a fill that takes longer than its lease would be void whenever the key is in demand, by each of the
 * successors' too, and the key would never be filled. The holder, who was sent last, replaces it when he comes;
 * what he has brought is replaced by none who was sent before. Hence a token for each. When all had the same, the
 * first value was kept and the later one refused, and a former holder's DELLEASE ended the lease of the present
 * one, whose value was refused then. The tokens of a lease are consecutive, so that two numbers say which of them may fill.
 *
 * After a former holder's fill the key has a value while its lease is held, as it has in an early refresh: whoever
 * reads it has a hit, nobody else is told to refresh it, and those who wait are woken for the value.
 *
 * What ends a lease is any look at its key by a writer (database_find_for_write), be it for a DEL of the key that
 * is missing: that is how an application says that its source has changed. Only who fills looks another way
 * (database_find_for_fill), as the lease may be another's by then. The deadline of a value ends none: it says that
 * the value is too old, not that the next one is. Were it to, early refreshes would be thrown away that begin less
 * than a fill's time before it. With XFetch's beta of 1 and readers at random times (simulated, 40,000 deadlines
 * each) those are 51 % of all where a key is read once in a fill's time, 40 % at twice, 3 % at ten times.
 *
 * A lease that ran out is worth little and is kept as long as nothing else wants the room: each grant first
 * forgets those in its own chain. So what nobody fills (a row that doesn't exist) adds up to no more than one
 * grant's worth a chain and what is held. Where there is no room for another, all that ran out are forgotten. The
 * chains are as many from the start as LEASES_MAX needs, 8 KiB, so that none is ever rehashed under the lock.
 *
 * Early refresh wants to know how long a fill takes (server/commands/leases.c). Leases that ask for it are timed,
 * and the last times of up to FILLS keys are remembered, each in the place that its hash gives: of two keys that
 * share one the later counts, and the other's time is unknown until its next fill. In the entry it would have cost
 * every key four bytes.
 *
 * Whoever uses no leases has no table: all it costs is a writer's look at a pointer beside the table it has just
 * read.
 *
 * Invariants (leases_validate): a lease is in the chain of its hash, a key has one at most, its holder may fill
 * (first <= token), `count` is right and no more than LEASES_MAX, `bytes` is the sum of what they take. */
#include "leases.h"

#include <string.h>

#include "base/check.h"
#include "base/memory.h"

enum {
    CHAIN_BITS = 10,
    CHAINS = 1 << CHAIN_BITS,
    FILLS = 4096,
    FILL_MS_MAX = 60 * 60 * 1000,
    WEED_MS = 100
};

struct fill {
    uint32_t mark; /* the lower half of the key's hash */
    uint32_t ms;
};

struct leases {
    struct lease *chains[CHAINS];
    struct fill *fills; /* FILLS of them, by the hash's lowest bits; NULL before the first */
    uint32_t count;
    uint64_t bytes;    /* of all leases, their keys included */
    int64_t weeded_ms; /* when all chains were last gone through */
};

/* The upper bits: the table's buckets are chosen by the lower ones. */
static uint32_t chain_of(uint64_t hash) {
    return (uint32_t)(hash >> (64 - CHAIN_BITS));
}

static bool is_of(const struct lease *lease, const struct key *key) {
    return lease->hash == key->hash &&
           bytes_equal(bytes_of(lease->key, lease->key_size), key->name);
}

static uint64_t bytes_with(size_t key_size) {
    return sizeof(struct lease) + key_size;
}

/* Where the key's lease is linked: the pointer to it, or the end of its chain. */
static struct lease **link_of(struct leases *leases, const struct key *key) {
    struct lease **link = &leases->chains[chain_of(key->hash)];
    while (*link != NULL && !is_of(*link, key)) {
        link = &(*link)->next;
    }
    return link;
}

/* End the lease at this link, which then is the next one's. */
static void end(struct leases *leases, struct lease **link) {
    struct lease *lease = *link;
    *link = lease->next;
    leases->count--;
    leases->bytes -= bytes_with(lease->key_size);
    waiters_wake(&lease->waiters);
    memory_free(lease);
}

/* ---- Lifetime -------------------------------------------------------------------------------- */

struct leases *leases_create(void) {
    return memory_allocate_zeroed(sizeof(struct leases));
}

void leases_clear(struct leases *leases) {
    for (uint32_t i = 0; i < CHAINS; i++) {
        while (leases->chains[i] != NULL) {
            end(leases, &leases->chains[i]);
        }
    }
}

void leases_destroy(struct leases *leases) {
    if (leases == NULL) return;
    leases_clear(leases);
    memory_free(leases->fills);
    memory_free(leases);
}

/* ---- Giving and taking ----------------------------------------------------------------------- */

struct lease *leases_find(const struct leases *leases, const struct key *key) {
    if (leases == NULL) return NULL;
    struct lease *lease = leases->chains[chain_of(key->hash)];
    while (lease != NULL && !is_of(lease, key)) {
        lease = lease->next;
    }
    return lease;
}

static void forget_run_out(struct leases *leases, uint32_t chain, int64_t now_ms) {
    struct lease **link = &leases->chains[chain];
    while (*link != NULL) {
        if (lease_is_held(*link, now_ms)) {
            link = &(*link)->next;
        } else {
            end(leases, link);
        }
    }
}

static bool has_room(const struct leases *leases, const struct key *key,
                     const struct lease_terms *terms) {
    return leases->count < LEASES_MAX &&
           (terms->bytes_max == 0 ||
            leases->bytes + bytes_with(key->name.size) <= terms->bytes_max);
}

/* Forget all that ran out: some ten microseconds, so not for each that asks. */
static void weed(struct leases *leases, int64_t now_ms) {
    bool is_early = now_ms >= leases->weeded_ms && now_ms < leases->weeded_ms + WEED_MS;
    if (is_early) return; /* not so when the clock was set back */
    leases->weeded_ms = now_ms;
    for (uint32_t i = 0; i < CHAINS; i++) {
        forget_run_out(leases, i, now_ms);
    }
}

static enum status add(struct leases *leases, const struct key *key,
                       const struct lease_terms *terms) {
    if (!has_room(leases, key, terms)) weed(leases, terms->now_ms);
    if (!has_room(leases, key, terms)) return STATUS_FULL;
    struct lease *lease = memory_allocate(bytes_with(key->name.size));
    if (lease == NULL) return STATUS_NO_MEMORY;
    struct lease **first = &leases->chains[chain_of(key->hash)];
    *lease = (struct lease){
        .next = *first,
        .hash = key->hash,
        .token = terms->token,
        .first = terms->token,
        .is_timed = terms->is_timed,
        .given_ms = terms->now_ms,
        .until_ms = terms->now_ms + terms->lease_ms,
        .key_size = key->name.size,
    };
    memcpy(lease->key, key->name.data, key->name.size);
    *first = lease;
    leases->count++;
    leases->bytes += bytes_with(lease->key_size);
    return STATUS_OK;
}

enum status leases_grant(struct leases *leases, const struct key *key,
                         const struct lease_terms *terms, uint64_t *token) {
    struct lease *lease = leases_find(leases, key);
    if (lease != NULL) {
        check(!lease_is_held(lease, terms->now_ms));
        lease->is_timed = terms->is_timed;
        lease->given_ms = terms->now_ms;
        lease->until_ms = terms->now_ms + terms->lease_ms;
        *token = ++lease->token;
        return STATUS_OK;
    }
    forget_run_out(leases, chain_of(key->hash), terms->now_ms);
    *token = terms->token;
    return add(leases, key, terms);
}

/* It is an estimate: without memory there is none. */
static void remember_fill(struct leases *leases, const struct lease *lease, int64_t now_ms) {
    if (leases->fills == NULL) {
        leases->fills = memory_allocate_zeroed(FILLS * sizeof(*leases->fills));
    }
    if (leases->fills == NULL) return;
    int64_t took_ms = now_ms - lease->given_ms;
    if (took_ms < 1) took_ms = 1;
    if (took_ms > FILL_MS_MAX) took_ms = FILL_MS_MAX;
    leases->fills[lease->hash % FILLS] = (struct fill){(uint32_t)lease->hash, (uint32_t)took_ms};
}

uint32_t leases_fill_ms(const struct leases *leases, const struct key *key) {
    if (leases == NULL || leases->fills == NULL) return 0;
    const struct fill *fill = &leases->fills[key->hash % FILLS];
    return fill->mark == (uint32_t)key->hash ? fill->ms : 0;
}

/* How long a former holder's fill took isn't known: `given_ms` is his successor's. */
bool leases_fill(struct leases *leases, const struct key *key, uint64_t token, int64_t now_ms) {
    if (leases == NULL) return false;
    struct lease **link = link_of(leases, key), *lease = *link;
    if (lease == NULL || token < lease->first || token > lease->token) return false;
    if (token == lease->token) {
        if (lease->is_timed) remember_fill(leases, lease, now_ms);
        end(leases, link);
    } else {
        lease->first = token + 1;
        waiters_wake(&lease->waiters);
    }
    return true;
}

bool leases_give_up(struct leases *leases, const struct key *key, uint64_t token) {
    if (leases == NULL) return false;
    struct lease **link = link_of(leases, key);
    bool is_holder = *link != NULL && (*link)->token == token;
    if (is_holder) end(leases, link);
    return is_holder;
}

void leases_break(struct leases *leases, const struct key *key) {
    struct lease **link = link_of(leases, key);
    if (*link != NULL) end(leases, link);
}

/* ---- Validation ------------------------------------------------------------------------------ */

uint32_t leases_count(const struct leases *leases) {
    return leases != NULL ? leases->count : 0;
}

void leases_validate(const struct leases *leases) {
    if (leases == NULL) return;
    uint32_t count = 0;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < CHAINS; i++) {
        for (const struct lease *lease = leases->chains[i]; lease != NULL; lease = lease->next) {
            struct key key = {bytes_of(lease->key, lease->key_size), lease->hash};
            check(chain_of(lease->hash) == i);
            check(lease->first <= lease->token);
            check(leases_find(leases, &key) == lease);
            count++;
            bytes += bytes_with(lease->key_size);
        }
    }
    check(count == leases->count && count <= LEASES_MAX && bytes == leases->bytes);
}
