/* A database against an array: random puts, removals, deadlines, jumps in time and refused allocations; after each step
 * both must say the same, and from time to time every invariant is checked. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "model.h"
#include "shards/base/check.h"
#include "shards/base/hash.h"
#include "shards/base/memory.h"
#include "shards/database.h"

enum {
    KEYS = 3000,
    STEPS = 60000,
    PHASE_STEPS = 6000, /* growing and shrinking take turns */
    STEPS_A_VALIDATION = 500,
    VALUE_MAX = 100 * 1024,
    REFUSALS_MAX = 4, /* allocations granted before one is refused */
};
static const int64_t START_MS = 1700000000000;

/* What the array knows of one key. Its value is made of `version`, so that an old one is told from the new. */
struct twin {
    bool is_present; /* put and not removed; maybe expired, and then maybe gone */
    uint32_t version;
    size_t value_size;
    int64_t deadline_ms;
    int64_t set_ms; /* when it got this deadline */
};

struct model {
    struct slabs slabs;
    struct expiry expiry;
    struct database database;
    struct random random;
    uint64_t seed;
    int64_t now_ms;
    uint64_t deferred; /* large blobs handed to the reclaimer */
    uint64_t refused;
    struct reclaimer reclaimer;
    struct twin twins[KEYS];
    char value[VALUE_MAX];
    char key_text[MODEL_KEY_MAX];
};

static void take_blob(void *context, struct blob *blob) {
    struct model *model = context;
    model->deferred++;
    blob_release(blob);
}

static struct key key_of(struct model *model, uint32_t number) {
    struct bytes name = model_key(model->key_text, number);
    return (struct key){name, hash_seeded(name, model->seed)};
}

static char value_byte(uint32_t number, uint32_t version, size_t i) {
    return (char)(number * 31 + version * 7 + i);
}

static struct bytes make_value(struct model *model, uint32_t number, uint32_t version,
                               size_t size) {
    for (size_t i = 0; i < size; i++) {
        model->value[i] = value_byte(number, version, i);
    }
    return bytes_of(model->value, size);
}

static bool is_live(const struct model *model, const struct twin *twin) {
    return twin->is_present &&
           (twin->deadline_ms == ENTRY_NO_EXPIRY || twin->deadline_ms > model->now_ms);
}

/* Mostly short; around what a slot can hold; now and then large. */
static size_t draw_size(struct random *random) {
    switch (random_below(random, 20)) {
    case 0:
        return (random_below(random, 2) == 0 ? SLABS_SLOT_MAX : SLABS_OBJECT_MAX) - 300 +
               (size_t)random_below(random, 400);
    case 1:
        return random_below(random, 20) == 0 ? (size_t)random_below(random, VALUE_MAX) : 3000;
    default:
        return (size_t)random_below(random, 100);
    }
}

static int64_t draw_deadline(struct model *model) {
    static const uint64_t RANGES_MS[] = {100, 5000, 100000, 10000000, 100000000000, 10000000000000};
    if (random_below(&model->random, 2) == 0) return ENTRY_NO_EXPIRY;
    uint64_t range = RANGES_MS[random_below(&model->random, 6)];
    return model->now_ms + (int64_t)random_below(&model->random, range) - 50;
}

/* Let one allocation of the next call be refused, now and then. */
static void draw_refusal(struct model *model) {
    if (random_below(&model->random, 8) != 0) return;
    memory_refuse_after((int64_t)random_below(&model->random, REFUSALS_MAX));
}

static void check_key(struct model *model, uint32_t number) {
    const struct twin *twin = &model->twins[number];
    struct key key = key_of(model, number);
    const struct entry *entry = database_find(&model->database, &key, model->now_ms);
    assert_int_equal(entry != NULL, is_live(model, twin));
    if (entry == NULL) return;
    assert_true(bytes_equal(entry_key(entry), key.name));
    struct bytes value = entry_value(entry);
    assert_true(bytes_equal(value, make_value(model, number, twin->version, twin->value_size)));
    assert_int_equal(entry_deadline_ms(entry), twin->deadline_ms);
    assert_true(entry_footprint(entry) >= sizeof(struct entry) + value.size);
}

/* A writer's look: what is expired goes, in the twin, too. */
static struct entry *find_for_write(struct model *model, uint32_t number, const struct key *key) {
    struct entry *entry =
        database_find_for_write(&model->database, key, model->now_ms, &model->reclaimer, NULL);
    assert_int_equal(entry != NULL, is_live(model, &model->twins[number]));
    if (entry == NULL) model->twins[number].is_present = false;
    return entry;
}

static void put(struct model *model, uint32_t number) {
    struct key key = key_of(model, number);
    struct entry *entry = find_for_write(model, number, &key);
    struct twin next = {
        .is_present = true,
        .version = model->twins[number].version + 1,
        .value_size = draw_size(&model->random),
        .deadline_ms = draw_deadline(model),
        .set_ms = model->now_ms,
    };
    struct entry_content content = {.value =
                                        make_value(model, number, next.version, next.value_size)};
    if (random_below(&model->random, 8) ==
        0) { /* as a command does that has built a blob already */
        content.blob = blob_create(next.value_size, next.value_size);
        assert_non_null(content.blob);
        if (next.value_size > 0) memcpy(content.blob->data, content.value.data, next.value_size);
    }
    draw_refusal(model);
    enum status status =
        database_put(&model->database, &key, &entry, &content, next.deadline_ms, &model->reclaimer);
    memory_refuse_after(-1);
    if (status == STATUS_OK) {
        model->twins[number] = next;
        assert_true(entry == table_find(&model->database.table, key.name, key.hash));
        return;
    }
    assert_int_equal(status, STATUS_NO_MEMORY);
    model->refused++;
    if (content.blob != NULL) blob_release(content.blob); /* still ours */
    database_validate(&model->database);
    expiry_validate(&model->expiry);
}

static void remove_key(struct model *model, uint32_t number) {
    struct key key = key_of(model, number);
    struct entry *entry = find_for_write(model, number, &key);
    draw_refusal(model); /* joining buckets may be refused: nothing may show */
    if (entry != NULL) database_remove(&model->database, &key, entry, &model->reclaimer);
    memory_refuse_after(-1);
    model->twins[number].is_present = false;
}

static void set_deadline(struct model *model, uint32_t number) {
    struct key key = key_of(model, number);
    struct entry *entry = find_for_write(model, number, &key);
    if (entry == NULL) return;
    int64_t deadline_ms = draw_deadline(model);
    draw_refusal(model);
    struct entry *moved = database_set_deadline(&model->database, &key, entry, deadline_ms);
    memory_refuse_after(-1);
    if (moved == NULL) {
        model->refused++;
        return;
    }
    model->twins[number].deadline_ms = deadline_ms;
    model->twins[number].set_ms = model->now_ms;
}

/* At the latest a rest after its deadline, or after it was set to one already past. */
static bool is_surely_gone(const struct model *model, const struct twin *twin) {
    if (twin->deadline_ms == ENTRY_NO_EXPIRY) return false;
    int64_t due_ms = twin->deadline_ms > twin->set_ms ? twin->deadline_ms : twin->set_ms;
    return due_ms + EXPIRY_REST_MS <= model->now_ms;
}

static void expire_some(struct model *model, uint32_t looks) {
    uint32_t reference;
    while ((reference = expiry_take_due(&model->expiry, model->now_ms, &looks)) != 0) {
        struct bytes name = entry_key(slabs_at(&model->slabs, reference));
        uint64_t hash = hash_seeded(name, model->seed);
        assert_true(database_holds(&model->database, reference, hash));
        database_expire(&model->database, reference, hash, &model->reclaimer);
    }
}

static void expire(struct model *model) {
    while (expiry_has_work(&model->expiry, model->now_ms)) {
        expire_some(model, 1 + (uint32_t)random_below(&model->random, 300));
        if (random_below(&model->random, 4) == 0) return; /* leave it in the middle of its work */
    }
    uint64_t live = 0;
    uint64_t maybe = 0;
    for (uint32_t i = 0; i < KEYS; i++) {
        const struct twin *twin = &model->twins[i];
        live += is_live(model, twin);
        maybe += twin->is_present && !is_surely_gone(model, twin);
    }
    uint64_t count = database_key_count(&model->database);
    assert_true(count >= live && count <= maybe);
}

static void pass_time(struct model *model) {
    static const uint64_t JUMPS_MS[] = {10, 100, 5000, 200000, 20000000, 50000000000};
    uint64_t kind = random_below(&model->random, 400);
    uint64_t jump = kind == 0 ? JUMPS_MS[5] : JUMPS_MS[kind % 40 == 1 ? kind % 5 : 0];
    model->now_ms += (int64_t)random_below(&model->random, jump);
}

static void step(struct model *model, bool is_growing) {
    uint32_t number = (uint32_t)random_below(&model->random, KEYS);
    uint64_t draw = random_below(&model->random, 100);
    if (draw < (is_growing ? 60u : 20u)) {
        put(model, number);
    } else if (draw < 75) {
        remove_key(model, number);
    } else if (draw < 85) {
        set_deadline(model, number);
    } else if (draw < 90) {
        pass_time(model);
    } else if (draw < 92) {
        expire(model);
    }
    check_key(model, number);
    check_key(model, (uint32_t)random_below(&model->random, KEYS));
}

static void clear(struct model *model) {
    while (!database_clear_some(&model->database, 1 + (uint32_t)random_below(&model->random, 300),
                                &model->reclaimer)) {
        database_validate(&model->database);
    }
    for (uint32_t i = 0; i < KEYS; i++) {
        model->twins[i].is_present = false;
    }
}

static void a_database_and_an_array_agree_on_every_key(void **state) {
    struct model *model = *state;
    for (uint32_t i = 0; i < STEPS; i++) {
        step(model, i / PHASE_STEPS % 2 == 0);
        if (i % STEPS_A_VALIDATION != 0) continue;
        database_validate(&model->database);
        slabs_validate(&model->slabs);
        if (random_below(&model->random, 30) == 0) clear(model);
    }
    for (uint32_t i = 0; i < KEYS; i++) {
        check_key(model, i);
    }
    assert_true(model->refused > 0 && model->deferred > 0);
}

static int set_up(void **state) {
    struct model *model = calloc(1, sizeof(*model));
    if (model == NULL) return -1;
    *state = model;
    model_seed(&model->random, "database");
    model->seed = random_next(&model->random);
    model->now_ms = START_MS;
    model->reclaimer = (struct reclaimer){take_blob, model};
    if (slabs_init(&model->slabs, (size_t)256 << 20) != STATUS_OK) return -1;
    expiry_init(&model->expiry, &model->slabs);
    database_init(&model->database, &model->slabs, &model->expiry, model->seed);
    return 0;
}

static int tear_down(void **state) {
    struct model *model = *state;
    database_release(&model->database);
    expiry_release(&model->expiry);
    check(model->slabs.used_bytes == 0);
    slabs_validate(&model->slabs);
    slabs_release(&model->slabs);
    check(memory_used() == 0); /* everything was given back, and accounted for */
    free(model);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_database_and_an_array_agree_on_every_key, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
