#include "tests/support/engine_rows.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

enum { KINDS = 2, NAME_MAX_BYTES = 128 };

static const enum engine_kind kinds[KINDS] = {ENGINE_EPOLL, ENGINE_URING};

struct example {
    const struct engine_row *row;
    enum engine_kind kind;
    char name[NAME_MAX_BYTES];
    struct world *world;
};

static void run_example(void **state) {
    struct example *example = *state;
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    example->world = world;
    world->kind = example->kind;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &world->files), 0);
    example->row->run(world);
}

static int end_example(void **state) {
    struct example *example = *state;
    if (example->world == NULL) return 0;
    setrlimit(RLIMIT_NOFILE, &example->world->files);
    free(example->world);
    return 0;
}

static bool is_available(enum engine_kind kind) {
    char text[ENGINE_TEXT_MAX];
    struct engine_options options = {
        .events = &world_events, .receive_buffer_count = 4, .receive_buffer_bytes = 1024};
    struct engine *engine = engine_create(kind, &options, text);
    print_message("%s\n", text);
    if (engine != NULL) engine_destroy(engine);
    return engine != NULL;
}

static struct CMUnitTest test_of(struct example *example) {
    snprintf(example->name, sizeof example->name, "%s: %s",
             example->kind == ENGINE_URING ? "io_uring" : "epoll", example->row->name);
    return (struct CMUnitTest){.name = example->name,
                               .test_func = run_example,
                               .teardown_func = end_example,
                               .initial_state = example};
}

int engine_rows_run(const char *group, const struct engine_row *rows, size_t count,
                    int (*set_up)(void **state), int (*tear_down)(void **state)) {
    struct example *examples = calloc(KINDS * count, sizeof *examples);
    struct CMUnitTest *tests = calloc(KINDS * count, sizeof *tests);
    size_t made = 0;
    if (examples == NULL || tests == NULL) abort();
    for (size_t i = 0; i < KINDS; i++) {
        if (!is_available(kinds[i])) continue; /* its text was printed */
        for (size_t j = 0; j < count; j++, made++) {
            examples[made] = (struct example){.row = &rows[j], .kind = kinds[i]};
            tests[made] = test_of(&examples[made]);
        }
    }
    int failed = _cmocka_run_group_tests(group, tests, made, set_up, tear_down);
    free(tests);
    free(examples);
    return failed;
}
