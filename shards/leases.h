/* Leases: who may fill a missing key, and whether what he brings may still be put there. One table a database of a
 * shard.
 *
 * What a lease is and why it is so: leases.c. Lock: the shard's; for reading by the functions that take a const,
 * for writing by the others. Time and tokens are arguments. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "database.h"
#include "waiters.h"

enum {
    LEASES_MAX = 16384, /* a table: more fills than that at a time are refused */
    LEASES_APART_MS = 1000,
};

struct lease {
    struct lease *next; /* in its chain */
    uint64_t hash;
    uint64_t token;         /* its holder's: the last who was given it */
    uint64_t first;         /* the oldest of its tokens that may still fill */
    bool is_timed;          /* its fill's time is to be remembered */
    int64_t given_ms;       /* to its holder */
    int64_t until_ms;       /* from then on the next who asks is given the lease */
    struct waiters waiters; /* for a value or its end: woken by either */
    size_t key_size;
    char key[];
};

struct lease_terms {
    int64_t now_ms, lease_ms;
    bool is_timed; /* remember how long the fill takes, for leases_fill_ms */
    uint64_t
        token; /* of a new lease's holder: not to be guessed. The next ones' are one more each */
    uint64_t bytes_max; /* that all leases of the table may take; 0: any */
};

struct leases;

/* NULL when memory is refused. */
must_use struct leases *leases_create(void);
void leases_destroy(struct leases *leases);

/* The key's lease, held or run out; NULL when there is none. NULL `leases` have none. */
struct lease *leases_find(const struct leases *leases, const struct key *key);
/* One that was given in the future wasn't: the clock was set back, and would hold it for longer than was asked for. But
 * workers read their clocks a turn apart. */
static inline bool lease_is_held(const struct lease *lease, int64_t now_ms) {
    return lease != NULL && lease->until_ms > now_ms && lease->given_ms <= now_ms + LEASES_APART_MS;
}
/* Give out the key's lease, which nobody holds; `*token` is the new holder's own. STATUS_FULL, STATUS_NO_MEMORY. */
must_use enum status leases_grant(struct leases *leases, const struct key *key,
                                  const struct lease_terms *terms, uint64_t *token);
/* May the key be filled for this token? If so, it is about to be: by database_find_for_fill, under the same lock. Then
 * the lease ends if the token is its holder's. If it is a former holder's, the lease stays, but the token and all
 * before it are void. */
bool leases_fill(struct leases *leases, const struct key *key, uint64_t token, int64_t now_ms);
/* End the key's lease if the token is its holder's. */
bool leases_give_up(struct leases *leases, const struct key *key, uint64_t token);
/* End the key's lease, if there is one: whatever its holder is about to bring may be old. */
void leases_break(struct leases *leases, const struct key *key);
/* End all. */
void leases_clear(struct leases *leases);

/* How long the last timed fill of the key took, 1 ms at least; 0 when it isn't known (any more). */
uint32_t leases_fill_ms(const struct leases *leases, const struct key *key);
uint32_t leases_count(const struct leases *leases);
void leases_validate(const struct leases *leases);
