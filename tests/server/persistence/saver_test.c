/* Who may save, and when: server/persistence/saver.c on a server that runs nothing. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/gate.h"
#include "tests/support/folder.h"
#include "tests/support/idle_server.h"

enum { LATER_MS = 3600 * 1000 };

struct fixture {
    char folder[32], error[SAVER_ERROR_MAX];
    struct server *server;
    struct saver *saver;
};

/* In a folder of its own, with a save point of one second and no change. */
static int set_up(void **state) {
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    snprintf(fixture->folder, sizeof fixture->folder, "/tmp/sherd-saver-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    assert_int_equal(chdir(fixture->folder), 0);
    fixture->server = idle_server_create();
    fixture->server->worker_count = 0; /* nobody to be woken */
    fixture->saver = &fixture->server->saver;
    snprintf(fixture->server->config->save, CONFIG_TEXT_MAX, "1 0");
    saver_configure(fixture->saver);
    *state = fixture;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    idle_server_destroy(fixture->server);
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(folder_remove(fixture->folder), 0);
    free(fixture);
    return 0;
}

static uint64_t saves(const struct fixture *fixture) {
    return atomic_load(&fixture->saver->saves);
}

static void no_save_point_is_reached_while_keys_are_loaded(void **state) {
    struct fixture *fixture = *state;
    gate_close(fixture->server, GATE_LOADING);
    saver_tick(fixture->saver, fixture->server->started_ms + LATER_MS);
    assert_int_equal(saves(fixture), 0);
    gate_open(fixture->server, GATE_LOADING);
    saver_tick(fixture->saver, fixture->server->started_ms + LATER_MS);
    while (atomic_load(&fixture->saver->is_saving)) {
        usleep(100);
    }
    assert_int_equal(saves(fixture), 1);
    assert_int_equal(access("dump.rdb", F_OK), 0);
}

static void after_the_last_save_none_begins_but_another_last_one(void **state) {
    struct fixture *fixture = *state;
    assert_int_equal(saver_save_last(fixture->saver, fixture->error), STATUS_OK);
    assert_int_equal(saver_save(fixture->saver, fixture->error), STATUS_FULL);
    assert_int_equal(saver_start(fixture->saver, fixture->error), STATUS_FULL);
    saver_tick(fixture->saver, fixture->server->started_ms + LATER_MS);
    assert_false(saver_claim(fixture->saver));
    assert_int_equal(saves(fixture), 1);
    assert_int_equal(saver_save_last(fixture->saver, fixture->error), STATUS_OK);
    assert_int_equal(saves(fixture), 2);
}

static void a_last_save_that_fails_was_none(void **state) {
    struct fixture *fixture = *state;
    assert_int_equal(mkdir("dump.rdb", 0700), 0); /* nothing can take its place */
    assert_int_equal(saver_save_last(fixture->saver, fixture->error), STATUS_FAILED);
    assert_int_equal(rmdir("dump.rdb"), 0);
    assert_int_equal(saver_save(fixture->saver, fixture->error), STATUS_OK);
    assert_true(saver_claim(fixture->saver));
    saver_yield(fixture->saver, false);
}

static void who_claims_keeps_others_away_until_the_claim_is_given_back(void **state) {
    struct fixture *fixture = *state;
    assert_true(saver_claim(fixture->saver));
    assert_false(saver_claim(fixture->saver));
    assert_int_equal(saver_save(fixture->saver, fixture->error), STATUS_FULL);
    saver_yield(fixture->saver, false);
    assert_int_equal(saver_save(fixture->saver, fixture->error), STATUS_OK);
}

static void who_has_retired_says_that_it_went_well_and_writes_nothing(void **state) {
    struct fixture *fixture = *state;
    assert_true(saver_claim(fixture->saver));
    saver_yield(fixture->saver, true);
    assert_int_equal(saver_save(fixture->saver, fixture->error), STATUS_OK);
    assert_int_equal(saver_start(fixture->saver, fixture->error), STATUS_OK);
    assert_int_equal(saver_save_last(fixture->saver, fixture->error), STATUS_OK);
    assert_int_equal(saves(fixture), 0);
    assert_int_equal(folder_count(fixture->folder), 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(no_save_point_is_reached_while_keys_are_loaded),
        TEST(after_the_last_save_none_begins_but_another_last_one),
        TEST(a_last_save_that_fails_was_none),
        TEST(who_claims_keeps_others_away_until_the_claim_is_given_back),
        TEST(who_has_retired_says_that_it_went_well_and_writes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
