/* Leases against an array: random grants, fills by holders present and former, breaks and passing time; after each
 * step both must say the same.
 *
 * The keys' hashes lie in few chains, so that leases meet there, and those that ran out are forgotten. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "model.h"
#include "shards/base/check.h"
#include "shards/base/memory.h"
#include "shards/leases.h"

enum {
    KEYS = 60,
    MODEL_CHAINS = 5,
    STEPS = 200000,
    LEASE_MS = 50,
    WAITERS = 3,
    HOLDERS_MAX = 64, /* of one lease, one after the other */
    PAST = 4,
    STEPS_A_VALIDATION = 100
};
static const int64_t START_MS = 1700000000000;

struct model_waiter {
    struct waiter waiter; /* first */
    bool is_waiting;
    unsigned woken;
};

/* Whoever was given the lease, in turn: the last is its holder. */
struct holder {
    uint64_t token;
    bool may_fill;
};

struct twin {
    bool has_lease;
    struct holder holders[HOLDERS_MAX];
    uint32_t holder_count;
    uint64_t past[PAST]; /* some tokens of the key's leases that have ended, or 0 */
    int64_t until_ms;
    int64_t given_ms, fill_ms;
    bool is_timed;
    struct model_waiter waiters[WAITERS];
};

struct model {
    struct leases *leases;
    struct random random;
    int64_t now_ms;
    uint64_t last_token, filled, late, former, kept, refused, woken, left;
    struct twin twins[KEYS];
    char key_text[MODEL_KEY_MAX];
};

static uint32_t chain_of(uint32_t number) {
    return number % MODEL_CHAINS;
}

/* The chain is told by the hash's upper bits; where a fill is remembered by the lower ones, a place for each key. */
static struct key key_of(struct model *model, uint32_t number) {
    uint64_t hash = (uint64_t)chain_of(number) << 54 | number;
    return (struct key){model_key(model->key_text, number), hash};
}

static bool is_held(const struct model *model, const struct twin *twin) {
    return twin->has_lease && twin->until_ms > model->now_ms;
}

static void wake(struct waiter *waiter) {
    ((struct model_waiter *)waiter)->woken++;
}

/* Each that waited for the key's lease must have been woken, once. */
static void expect_woken(struct model *model, struct twin *twin) {
    for (int i = 0; i < WAITERS; i++) {
        struct model_waiter *waiter = &twin->waiters[i];
        assert_int_equal(waiter->woken, waiter->is_waiting);
        model->woken += waiter->woken;
        waiter->is_waiting = false;
        waiter->woken = 0;
    }
}

/* Its lease is gone. */
static void end(struct model *model, struct twin *twin) {
    if (twin->has_lease) {
        uint32_t which = (uint32_t)random_below(&model->random, twin->holder_count);
        twin->past[random_below(&model->random, PAST)] = twin->holders[which].token;
    }
    twin->has_lease = false;
    twin->holder_count = 0;
    expect_woken(model, twin);
}

/* A waiter comes, or goes. */
static void come_or_go(struct model *model, uint32_t number) {
    struct twin *twin = &model->twins[number];
    struct model_waiter *waiter = &twin->waiters[random_below(&model->random, WAITERS)];
    struct key key = key_of(model, number);
    struct lease *lease = leases_find(model->leases, &key);
    if (waiter->is_waiting) {
        assert_true(waiter_leave(&waiter->waiter));
        waiter->is_waiting = false;
        model->left++;
    } else if (lease != NULL) {
        assert_false(waiter_leave(&waiter->waiter));
        waiter->waiter.wake = wake;
        waiters_join(&lease->waiters, &waiter->waiter);
        waiter->is_waiting = true;
    }
}

static void forget_run_out(struct model *model, uint32_t chain) {
    for (uint32_t i = 0; i < KEYS; i++) {
        struct twin *twin = &model->twins[i];
        if (chain_of(i) == chain && !is_held(model, twin)) end(model, twin);
    }
}

/* Its own, of all that were ever given; that of a lease's next holder is one more. */
static uint64_t new_token(struct model *model) {
    return model->last_token += HOLDERS_MAX;
}

static void add_holder(struct twin *twin, uint64_t new_token) {
    assert_true(twin->holder_count < HOLDERS_MAX);
    struct holder *holder = &twin->holders[twin->holder_count];
    *holder = (struct holder){.token = new_token, .may_fill = true};
    if (twin->holder_count > 0) holder->token = holder[-1].token + 1;
    twin->holder_count++;
}

static void grant(struct model *model, uint32_t number) {
    struct twin *twin = &model->twins[number];
    if (is_held(model, twin)) return;
    struct key key = key_of(model, number);
    struct lease_terms terms = {
        .now_ms = model->now_ms,
        .lease_ms = 1 + (int64_t)random_below(&model->random, LEASE_MS),
        .is_timed = random_below(&model->random, 2) == 0,
        .token = new_token(model),
    };
    bool is_refused = random_below(&model->random, 10) == 0;
    if (is_refused) memory_refuse_after(0);
    uint64_t token = 0;
    enum status status = leases_grant(model->leases, &key, &terms, &token);
    memory_refuse_after(-1);
    if (!twin->has_lease) {
        forget_run_out(model, chain_of(number));
        model->refused += is_refused;
        twin->has_lease = !is_refused;
    }
    assert_int_equal(status, twin->has_lease ? STATUS_OK : STATUS_NO_MEMORY);
    if (status != STATUS_OK) return;
    add_holder(twin, terms.token);
    assert_int_equal(token, twin->holders[twin->holder_count - 1].token);
    twin->is_timed = terms.is_timed;
    twin->given_ms = model->now_ms;
    twin->until_ms = model->now_ms + terms.lease_ms;
}

/* The holder's, a former one's, one of a lease that has ended, or one never given. */
static uint64_t draw_token(struct model *model, const struct twin *twin) {
    uint64_t draw = random_below(&model->random, 12);
    if (draw == 0) return random_below(&model->random, model->last_token + 2);
    if (draw == 1 || twin->holder_count == 0) return twin->past[random_below(&model->random, PAST)];
    uint64_t last = twin->holders[twin->holder_count - 1].token;
    if (draw == 2) return last + 1;
    if (draw < 8) return last;
    return twin->holders[random_below(&model->random, twin->holder_count)].token;
}

/* Which of the lease's holders has the token; -1: none. */
static int find_holder(const struct twin *twin, uint64_t token) {
    int which = (int)twin->holder_count - 1;
    while (which >= 0 && twin->holders[which].token != token) {
        which--;
    }
    return which;
}

static bool is_last(const struct twin *twin, int which) {
    return which >= 0 && which == (int)twin->holder_count - 1;
}

static void fill(struct model *model, uint32_t number) {
    struct twin *twin = &model->twins[number];
    struct key key = key_of(model, number);
    uint64_t token = draw_token(model, twin);
    int which = find_holder(twin, token);
    bool is_good = which >= 0 && twin->holders[which].may_fill;
    assert_int_equal(leases_fill(model->leases, &key, token, model->now_ms), is_good);
    if (!is_good) return;
    model->filled++;
    model->late += !is_held(model, twin);
    if (is_last(twin, which)) {
        int64_t took_ms = model->now_ms - twin->given_ms;
        if (twin->is_timed) twin->fill_ms = took_ms > 0 ? took_ms : 1;
        end(model, twin);
        return;
    }
    for (int i = 0; i <= which; i++) {
        twin->holders[i].may_fill = false;
    }
    model->former++;
    expect_woken(model, twin);
}

static void give_up(struct model *model, uint32_t number) {
    struct twin *twin = &model->twins[number];
    struct key key = key_of(model, number);
    uint64_t token = draw_token(model, twin);
    int which = find_holder(twin, token);
    bool is_good = is_last(twin, which);
    assert_int_equal(leases_give_up(model->leases, &key, token), is_good);
    model->kept += which >= 0 && !is_good;
    if (is_good) end(model, twin);
}

static void break_lease(struct model *model, uint32_t number) {
    struct key key = key_of(model, number);
    leases_break(model->leases, &key);
    end(model, &model->twins[number]);
}

static void clear(struct model *model) {
    leases_clear(model->leases);
    for (uint32_t i = 0; i < KEYS; i++) {
        end(model, &model->twins[i]);
    }
}

static void check_key(struct model *model, uint32_t number) {
    const struct twin *twin = &model->twins[number];
    struct key key = key_of(model, number);
    const struct lease *lease = leases_find(model->leases, &key);
    assert_int_equal(lease != NULL, twin->has_lease);
    assert_int_equal(lease_is_held(lease, model->now_ms), is_held(model, twin));
    if (lease != NULL) {
        uint32_t count = twin->holder_count;
        assert_int_equal(lease->token, twin->holders[count - 1].token);
        for (uint32_t i = 0; i < count; i++) {
            const struct holder *holder = &twin->holders[i];
            assert_int_equal(holder->token >= lease->first, holder->may_fill);
        }
    }
    assert_int_equal(leases_fill_ms(model->leases, &key), twin->fill_ms);
    for (int i = 0; i < WAITERS; i++) {
        assert_int_equal(twin->waiters[i].woken, 0); /* nobody is woken without a reason */
    }
}

static void check_all(struct model *model) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < KEYS; i++) {
        check_key(model, i);
        count += model->twins[i].has_lease;
    }
    assert_int_equal(leases_count(model->leases), count);
    leases_validate(model->leases);
}

static void step(struct model *model) {
    uint32_t number = (uint32_t)random_below(&model->random, KEYS);
    uint64_t draw = random_below(&model->random, 1000);
    if (draw < 400) {
        grant(model, number);
    } else if (draw < 590) {
        fill(model, number);
    } else if (draw < 650) {
        give_up(model, number);
    } else if (draw < 750) {
        break_lease(model, number);
    } else if (draw < 753) {
        clear(model);
    } else if (draw < 900) {
        come_or_go(model, number);
    } else if (draw < 980) {
        model->now_ms += (int64_t)random_below(&model->random, LEASE_MS / 2);
    }
    check_key(model, number);
}

static void leases_and_an_array_agree_on_every_key(void **state) {
    struct model *model = *state;
    for (uint32_t i = 0; i < STEPS; i++) {
        step(model);
        if (i % STEPS_A_VALIDATION == 0) check_all(model);
    }
    check_all(model);
    assert_true(model->former > 0 && model->kept > 0);
    assert_true(model->filled > model->late && model->late > 0 && model->refused > 0);
    assert_true(model->woken > model->left && model->left > 0);
}

static int set_up(void **state) {
    struct model *model = calloc(1, sizeof(*model));
    if (model == NULL) return -1;
    *state = model;
    model_seed(&model->random, "leases");
    model->now_ms = START_MS;
    model->leases = leases_create();
    return model->leases == NULL;
}

static int tear_down(void **state) {
    struct model *model = *state;
    leases_destroy(model->leases);
    check(memory_used() == 0); /* everything was given back, and accounted for */
    free(model);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(leases_and_an_array_agree_on_every_key, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
