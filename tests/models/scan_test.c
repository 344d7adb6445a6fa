/* SCAN's guarantee, over all shards: whoever is there from the first call to the last is returned, however the tables
 * grow and shrink between the calls; nobody is returned who never was there; and it ends. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>

#include "model.h"
#include "shards/base/check.h"
#include "shards/base/memory.h"
#include "shards/shards.h"

enum {
    SHARDS = 8,
    KEYS = 40000, /* numbers below STAYING stay; the others come and go */
    STAYING = 1000,
    ROUNDS = 12,
    BURST_MAX = 3000, /* changes between two calls */
    CALLS_MAX = 200000,
};

struct model {
    struct shards shards;
    struct random random;
    uint32_t churn_first, churn_end; /* the coming and going keys that are there: [first, end) */
    bool is_growing;
    uint32_t seen[KEYS];
};

static struct bytes name_of(char text[16], uint32_t number) {
    return bytes_of(text, (size_t)snprintf(text, 16, "%" PRIu32, number));
}

static void put(struct model *model, uint32_t number) {
    char text[16];
    struct key key = shards_key(&model->shards, name_of(text, number));
    struct shard *shard = shards_of(&model->shards, key.name);
    rwlock_write_lock(&shard->lock);
    struct entry *entry = NULL;
    struct entry_content content = {.value = key.name};
    enum status status =
        database_put(shard->databases[0], &key, &entry, &content, ENTRY_NO_EXPIRY, NULL);
    rwlock_write_unlock(&shard->lock);
    assert_int_equal(status, STATUS_OK);
}

static void remove_key(struct model *model, uint32_t number) {
    char text[16];
    struct key key = shards_key(&model->shards, name_of(text, number));
    struct shard *shard = shards_of(&model->shards, key.name);
    rwlock_write_lock(&shard->lock);
    struct entry *entry = database_find(shard->databases[0], &key, 0);
    assert_non_null(entry);
    database_remove(shard->databases[0], &key, entry, NULL);
    rwlock_write_unlock(&shard->lock);
}

/* Add or remove some of the coming and going keys, turning round when all or none are there, or just so. */
static void churn(struct model *model) {
    if (random_below(&model->random, 10) == 0) model->is_growing = !model->is_growing;
    uint64_t changes = random_below(&model->random, BURST_MAX);
    for (uint64_t i = 0; i < changes; i++) {
        if (model->churn_end == KEYS) model->is_growing = false;
        if (model->churn_end == model->churn_first) model->is_growing = true;
        if (model->is_growing) {
            put(model, model->churn_end++);
        } else {
            remove_key(model, --model->churn_end);
        }
    }
}

static void visit(void *context, struct entry *entry) {
    struct model *model = context;
    char text[16] = {0};
    struct bytes name = entry_key(entry);
    memcpy(text, name.data, name.size);
    uint32_t number = (uint32_t)strtoul(text, NULL, 10);
    assert_true(number < STAYING || number < model->churn_end);
    model->seen[number]++;
}

/* One full scan, with `between` called after some of its steps. Returns the calls it took. */
static uint32_t scan(struct model *model, void (*between)(struct model *), uint64_t one_in) {
    memset(model->seen, 0, sizeof(model->seen));
    uint32_t calls = 0;
    uint64_t cursor = 0;
    do {
        cursor = shards_scan(&model->shards, 0, cursor, 0, visit, model);
        if (between != NULL && random_below(&model->random, one_in) == 0) between(model);
        assert_true(++calls < CALLS_MAX);
    } while (cursor != 0);
    return calls;
}

static void validate(struct model *model) {
    for (uint32_t i = 0; i < SHARDS; i++) {
        shard_validate(&model->shards.shards[i]);
    }
}

static void a_scan_at_rest_returns_each_key_once(void **state) {
    struct model *model = *state;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        churn(model);
        scan(model, NULL, 1);
        for (uint32_t i = 0; i < KEYS; i++) {
            assert_int_equal(model->seen[i], i < STAYING || i < model->churn_end);
        }
    }
}

static void a_scan_returns_what_stays_however_the_tables_change(void **state) {
    struct model *model = *state;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        scan(model, churn, 1 + random_below(&model->random, 30));
        for (uint32_t i = 0; i < STAYING; i++) {
            assert_true(model->seen[i] > 0);
        }
        validate(model);
    }
}

static void every_cursor_a_client_may_invent_leads_to_an_end(void **state) {
    struct model *model = *state;
    for (uint32_t round = 0; round < 200; round++) {
        uint64_t cursor = random_next(&model->random);
        for (uint32_t calls = 0; cursor != 0; calls++) {
            cursor = shards_scan(&model->shards, 0, cursor, 0, visit, model);
            assert_true(calls < CALLS_MAX);
        }
    }
}

static void visit_all_returns_each_key_once(void **state) {
    struct model *model = *state;
    churn(model);
    memset(model->seen, 0, sizeof(model->seen));
    shards_visit_all(&model->shards, 0, 0, visit, model);
    for (uint32_t i = 0; i < KEYS; i++) {
        assert_int_equal(model->seen[i], i < STAYING || i < model->churn_end);
    }
}

/* Each of a few thousand keys is drawn about as often as the others: no one five times as often, or as seldom, as is
 * fair. */
static void random_keys_are_drawn_about_evenly(void **state) {
    struct model *model = *state;
    enum { DRAWS_A_KEY = 60 };
    while (model->churn_end > model->churn_first) {
        remove_key(model, --model->churn_end);
    }
    memset(model->seen, 0, sizeof(model->seen));
    for (uint32_t i = 0; i < DRAWS_A_KEY * STAYING; i++) {
        assert_true(shards_random(&model->shards, 0, 0, &model->random, visit, model));
    }
    for (uint32_t i = 0; i < STAYING; i++) {
        assert_in_range(model->seen[i], DRAWS_A_KEY / 5, DRAWS_A_KEY * 5);
    }
}

static int set_up(void **state) {
    struct model *model = calloc(1, sizeof(*model));
    if (model == NULL) return -1;
    *state = model;
    model_seed(&model->random, "scan");
    struct shards_options options = {
        .shard_count = SHARDS,
        .database_count = 1,
        .worker_count = 1,
        .seed = random_next(&model->random),
    };
    if (shards_init(&model->shards, &options) != STATUS_OK) return -1;
    for (uint32_t i = 0; i < STAYING; i++) {
        put(model, i);
    }
    model->churn_first = model->churn_end = STAYING;
    return 0;
}

static int tear_down(void **state) {
    struct model *model = *state;
    shards_release(&model->shards);
    check(memory_used() == 0);
    free(model);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_scan_at_rest_returns_each_key_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_scan_returns_what_stays_however_the_tables_change, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(every_cursor_a_client_may_invent_leads_to_an_end, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(visit_all_returns_each_key_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(random_keys_are_drawn_about_evenly, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
