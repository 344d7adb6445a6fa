/* The sketch of hot keys against exact counts: streams of several kinds through several workers' sketches, which age,
 * are reset and are asked, each alone and all together.
 *
 * What Space-Saving promises holds of whatever comes, so nothing here is a matter of the mean: a key's number is never
 * too large, and with what may be unseen never too small; what may be unseen is no more than 1/HOTKEYS_MAX of all
 * requests; a key that isn't shown was asked for no more often than that. Halving rounds a count up, and a key's reads and
 * writes down, which comes to less than SLACK a sketch; the twin's don't round. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "model.h"
#include "server/hotkeys.h"
#include "shards/base/hash.h"
#include "shards/base/memory.h"

enum {
    SKETCHES = 4,
    DATABASES = 2,
    KEYS = 3000, /* a database's */
    PHASES = 300,
    NOTES = 2500,            /* a phase's */
    SKETCH_BYTES = 60 << 10, /* as the allocator rounds it */
    SLACK = 3,
    LONG_NAME = 2 * HOTKEYS_NAME_MAX,
    SAME_HASHES = 7, /* some keys' hashes are one of so few */
};

/* What one sketch was told of a key, halved as it ought to be. */
struct twin_key {
    double reads, writes, bytes;
};

struct twin {
    struct hotkeys *hotkeys;
    int64_t halved_ms;
    double requests;
    uint32_t next; /* of a stream that goes round */
    struct twin_key keys[DATABASES * KEYS];
};

struct model {
    struct random random;
    struct twin twins[SKETCHES];
    int64_t now_ms;
    uint64_t halvings, hot;
    struct hotkey found[SKETCHES * HOTKEYS_MAX];
};

static uint32_t draw(struct model *model, uint32_t below) {
    return (uint32_t)random_below(&model->random, below);
}

/* ---- Keys ------------------------------------------------------------------------------------ */

/* Some are too long to be kept whole. The number comes first. */
static struct key key_of(uint32_t number, char text[LONG_NAME]) {
    size_t size = (size_t)snprintf(text, LONG_NAME, "%" PRIu32 ":", number);
    if (number % 5 == 0) {
        memset(text + size, '.', LONG_NAME - size);
        size = LONG_NAME;
    }
    struct bytes name = bytes_of(text, size);
    return (struct key){name, number % 11 == 0 ? number % SAME_HASHES : hash_seeded(name, 7)};
}

static uint32_t number_of(const struct hotkey *key) {
    struct bytes name = hotkey_name(key);
    uint32_t number = 0;
    for (size_t i = 0; name.data[i] != ':'; i++) {
        number = number * 10 + (uint32_t)(name.data[i] - '0');
    }
    assert_true(number < KEYS && key->database < DATABASES);
    char text[LONG_NAME];
    struct key whole = key_of(number, text);
    assert_int_equal(key->name_size, whole.name.size);
    assert_int_equal(key->hash, whole.hash);
    assert_memory_equal(name.data, text, name.size);
    return key->database * KEYS + number;
}

/* ---- Streams --------------------------------------------------------------------------------- */

typedef uint32_t stream_function(struct model *model, struct twin *twin);

/* Zipf's law with exponent 1, in a continuous form. */
static uint32_t draw_zipf(struct model *model, struct twin *twin) {
    (void)twin;
    double uniform = (double)(random_next(&model->random) >> 11) * 0x1p-53;
    uint32_t rank = (uint32_t)exp(uniform * log(DATABASES * KEYS)) - 1;
    return rank < DATABASES * KEYS ? rank : DATABASES * KEYS - 1;
}

static uint32_t draw_uniform(struct model *model, struct twin *twin) {
    (void)twin;
    return draw(model, DATABASES * KEYS);
}

/* What is hot changes all the time. */
static uint32_t draw_shifting(struct model *model, struct twin *twin) {
    twin->next++;
    return (draw_zipf(model, twin) + twin->next / 64 * 97) % (DATABASES * KEYS);
}

/* The worst for a sketch: whoever comes has just lost his slot. */
static uint32_t go_round(struct model *model, struct twin *twin) {
    (void)model;
    return twin->next++ % (HOTKEYS_MAX + 1);
}

/* Strangers, each once, and one key among them that is just hot enough to be promised a slot. */
static uint32_t hide_one(struct model *model, struct twin *twin) {
    (void)model;
    uint32_t turn = twin->next++;
    return turn % (HOTKEYS_MAX - 5) == 0 ? 4242 : turn % (DATABASES * KEYS);
}

static void note(struct model *model, struct twin *twin, uint32_t index) {
    char text[LONG_NAME];
    struct sampled sampled = {
        .key = key_of(index % KEYS, text),
        .database = index / KEYS,
        .is_write = draw(model, 3) == 0,
        .bytes = draw(model, 1000),
    };
    hotkeys_note(twin->hotkeys, &sampled);
    struct twin_key *key = &twin->keys[index];
    *(sampled.is_write ? &key->writes : &key->reads) += SAMPLED_WEIGHT;
    key->bytes += (double)sampled.bytes * SAMPLED_WEIGHT;
    twin->requests += SAMPLED_WEIGHT;
}

/* ---- Time ------------------------------------------------------------------------------------ */

static void halve(struct twin *twin) {
    twin->requests /= 2;
    for (uint32_t i = 0; i < DATABASES * KEYS; i++) {
        twin->keys[i].reads /= 2;
        twin->keys[i].writes /= 2;
        twin->keys[i].bytes /= 2;
    }
}

/* Whenever a sketch is looked at. */
static void age(struct model *model, struct twin *twin) {
    if (model->now_ms < twin->halved_ms) twin->halved_ms = model->now_ms;
    while (model->now_ms - twin->halved_ms >= HOTKEYS_HALVING_MS) {
        twin->halved_ms += HOTKEYS_HALVING_MS;
        halve(twin);
        model->halvings++;
    }
}

static void pass_time(struct model *model) {
    switch (draw(model, 8)) {
    case 0:
        model->now_ms += draw(model, 12 * HOTKEYS_HALVING_MS);
        break;
    case 1:
        model->now_ms -= draw(model, 3 * HOTKEYS_HALVING_MS);
        break;
    default:
        model->now_ms += draw(model, HOTKEYS_HALVING_MS);
    }
}

static void reset(struct model *model, struct twin *twin) {
    hotkeys_reset(twin->hotkeys, model->now_ms);
    *twin = (struct twin){.hotkeys = twin->hotkeys, .halved_ms = model->now_ms, .next = twin->next};
}

/* ---- What is promised ------------------------------------------------------------------------ */

/* What the sketches [first, end) were told. */
struct truth {
    uint32_t first, end;
    double requests;
    struct twin_key keys[DATABASES * KEYS];
};

static void add_up(const struct model *model, struct truth *truth) {
    for (uint32_t i = truth->first; i < truth->end; i++) {
        const struct twin *twin = &model->twins[i];
        truth->requests += twin->requests;
        for (uint32_t j = 0; j < DATABASES * KEYS; j++) {
            truth->keys[j].reads += twin->keys[j].reads;
            truth->keys[j].writes += twin->keys[j].writes;
            truth->keys[j].bytes += twin->keys[j].bytes;
        }
    }
}

static double requests_of(const struct twin_key *key) {
    return key->reads + key->writes;
}

/* A slot whose key has faded is not shown, though its count may be a fraction above the least: where others know that
 * key, `faded_max` of it may be missing. */
static void expect_key_bounded(const struct hotkey *key, const struct twin_key *truth,
                               double unseen_max, double faded_max) {
    assert_true((double)key->reads <= truth->reads);
    assert_true((double)key->writes <= truth->writes);
    assert_true((double)key->bytes <= truth->bytes);
    assert_true(key->unseen >= 0 && (double)key->unseen <= unseen_max);
    double most = (double)(key->reads + key->writes) + (double)key->unseen;
    assert_true(requests_of(truth) <= most + faded_max);
}

static void ask(struct model *model, uint32_t first, uint32_t end) {
    static struct truth truth;
    truth = (struct truth){.first = first, .end = end};
    struct hotkeys_report report = {.keys = model->found};
    for (uint32_t i = first; i < end; i++) {
        age(model, &model->twins[i]);
        hotkeys_collect(model->twins[i].hotkeys, model->now_ms, &report);
    }
    hotkeys_rank(&report);
    add_up(model, &truth);
    double slack = SLACK * (end - first);
    assert_true(report.count <= (end - first) * HOTKEYS_MAX);
    assert_true((double)report.requests <= truth.requests);
    assert_true((double)report.requests >= truth.requests - slack);
    assert_true((double)report.unseen <= truth.requests / HOTKEYS_MAX + slack);
    bool is_known[DATABASES * KEYS] = {false};
    for (uint32_t i = 0; i < report.count; i++) {
        const struct hotkey *key = &report.keys[i];
        uint32_t index = number_of(key);
        assert_false(is_known[index]);
        is_known[index] = true;
        expect_key_bounded(key, &truth.keys[index], (double)report.unseen + slack, end - first - 1);
        if (i == 0) continue;
        assert_true(key->reads + key->writes <= key[-1].reads + key[-1].writes);
    }
    for (uint32_t i = 0; i < DATABASES * KEYS; i++) {
        double requests = requests_of(&truth.keys[i]);
        assert_true(is_known[i] || requests <= (double)report.unseen + slack);
        model->hot += requests > truth.requests / HOTKEYS_MAX + slack;
    }
}

/* ---- The test -------------------------------------------------------------------------------- */

static void run_phase(struct model *model, struct twin *twin) {
    static stream_function *const streams[] = {draw_zipf, draw_uniform, draw_shifting, go_round,
                                               hide_one};
    stream_function *stream = streams[draw(model, sizeof(streams) / sizeof(streams[0]))];
    age(model, twin);
    assert_true(hotkeys_try_begin(twin->hotkeys, model->now_ms));
    for (uint32_t i = 0; i < NOTES; i++) {
        note(model, twin, stream(model, twin));
    }
    hotkeys_end(twin->hotkeys);
    hotkeys_validate(twin->hotkeys);
}

static void hot_keys_are_bounded_by_exact_counts(void **state) {
    (void)state;
    static struct model model;
    model = (struct model){.now_ms = 1700000000000};
    model_seed(&model.random, "hotkeys");
    for (uint32_t i = 0; i < SKETCHES; i++) {
        model.twins[i].hotkeys = hotkeys_create(model.now_ms);
        assert_non_null(model.twins[i].hotkeys);
        model.twins[i].halved_ms = model.now_ms;
    }
    size_t bytes = memory_used();
    assert_in_range(bytes, 1, SKETCHES * SKETCH_BYTES);
    for (uint32_t i = 0; i < PHASES; i++) {
        struct twin *twin = &model.twins[draw(&model, SKETCHES)];
        run_phase(&model, twin);
        ask(&model, (uint32_t)(twin - model.twins), (uint32_t)(twin - model.twins) + 1);
        if (draw(&model, 3) == 0) pass_time(&model);
        ask(&model, 0, 1 + draw(&model, SKETCHES));
        if (draw(&model, 16) == 0) reset(&model, &model.twins[draw(&model, SKETCHES)]);
        assert_int_equal(memory_used(), bytes);
    }
    assert_true(model.halvings > 0 && model.hot > 0);
    for (uint32_t i = 0; i < SKETCHES; i++) {
        hotkeys_validate(model.twins[i].hotkeys);
        hotkeys_destroy(model.twins[i].hotkeys);
    }
    assert_int_equal(memory_used(), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hot_keys_are_bounded_by_exact_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
