/* Samples grouped by prefix, against a twin that cuts byte by byte and looks for each group from the first on. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include "server/prefixes.h"
#include "tests/models/model.h"

enum { SAMPLES_COUNT_MAX = 200, NAME_MAX_SHORT = 9, ROUNDS = 3000 };

struct model {
    struct random random;
    struct sample samples[SAMPLES_COUNT_MAX];
    struct sample grouped[SAMPLES_COUNT_MAX]; /* a copy, for it is changed */
    struct prefix ours[SAMPLES_COUNT_MAX], twins[SAMPLES_COUNT_MAX];
    uint32_t count;
};

/* Names of three letters, so that delimiters meet, overlap, begin, end, and are missing. */
static void draw_sample(struct random *random, struct sample *sample) {
    *sample = (struct sample){
        .bytes = random_below(random, 1000),
        .stands_for = (float)(1 + random_below(random, 500)),
        .name_size = random_below(random, 50) == 0
                         ? SAMPLES_NAME_MAX
                         : (uint8_t)random_below(random, NAME_MAX_SHORT + 1),
        .is_write = random_below(random, 3) == 0,
    };
    sample->hits = (float)random_below(random, 2);
    sample->misses = 1 - sample->hits;
    for (size_t i = 0; i < sample->name_size; i++) {
        sample->name[i] = "ab:"[random_below(random, 3)];
    }
}

static struct bytes twin_prefix(const struct sample *sample, const struct prefixes_cut *cut) {
    size_t end = 0, at = 0;
    for (uint32_t found = 0; found < cut->depth && at + cut->delimiter.size <= sample->name_size;) {
        if (memcmp(sample->name + at, cut->delimiter.data, cut->delimiter.size) == 0) {
            end = at += cut->delimiter.size;
            found++;
        } else {
            at++;
        }
    }
    return bytes_of(sample->name, end);
}

static uint32_t twin_group(struct model *model, const struct prefixes_cut *cut) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < model->count; i++) {
        const struct sample *sample = &model->samples[i];
        struct bytes name = twin_prefix(sample, cut);
        uint32_t place = 0;
        while (place < count && !bytes_equal(model->twins[place].name, name)) {
            place++;
        }
        if (place == count) model->twins[count++] = (struct prefix){.name = name};
        struct prefix *twin = &model->twins[place];
        double weight = sample->stands_for;
        twin->samples++;
        twin->requests += weight;
        if (sample->is_write) twin->writes += weight;
        if (!sample->is_write) twin->reads += weight;
        if (sample->hits != 0) twin->hits += weight;
        if (sample->misses != 0) twin->misses += weight;
        twin->bytes += weight * (double)sample->bytes;
    }
    return count;
}

/* All are whole numbers, so sums are exact in any order. */
static void expect_same(const struct prefix *ours, const struct prefix *twin) {
    assert_true(ours->requests == twin->requests);
    assert_true(ours->reads == twin->reads);
    assert_true(ours->writes == twin->writes);
    assert_true(ours->hits == twin->hits);
    assert_true(ours->misses == twin->misses);
    assert_true(ours->bytes == twin->bytes);
    assert_int_equal(ours->samples, twin->samples);
}

static void expect_known_to_twin(const struct model *model, const struct prefix *ours,
                                 uint32_t twins) {
    for (uint32_t i = 0; i < twins; i++) {
        if (!bytes_equal(model->twins[i].name, ours->name)) continue;
        expect_same(ours, &model->twins[i]);
        return;
    }
    fail_msg("'%.*s' is no prefix", (int)ours->name.size, ours->name.data);
}

static void groups_are_those_of_the_twin(void **state) {
    (void)state;
    static const char *const delimiters[] = {":", "::", "ab", "a:a", "abababababab", "x"};
    static struct model model;
    model_seed(&model.random, "prefixes");
    for (int round = 0; round < ROUNDS; round++) {
        model.count = (uint32_t)random_below(&model.random, SAMPLES_COUNT_MAX + 1);
        for (uint32_t i = 0; i < model.count; i++) {
            draw_sample(&model.random, &model.samples[i]);
        }
        struct prefixes_cut cut = {
            .delimiter = bytes_of_text(delimiters[random_below(&model.random, 6)]),
            .depth = 1 + (uint32_t)random_below(&model.random, 4),
        };
        memcpy(model.grouped, model.samples, sizeof model.samples);
        uint32_t count = prefixes_group(model.grouped, model.count, &cut, model.ours);
        assert_int_equal(count, twin_group(&model, &cut));
        for (uint32_t i = 0; i < count; i++) {
            expect_known_to_twin(&model, &model.ours[i], count);
            assert_true(i == 0 || model.ours[i - 1].requests >= model.ours[i].requests);
            for (uint32_t j = 0; j < i; j++) {
                assert_false(bytes_equal(model.ours[i].name, model.ours[j].name));
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_are_those_of_the_twin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
