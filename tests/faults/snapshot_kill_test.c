/* kill -9 at random moments of a save under writers: what is in the place of the snapshot is a whole file,
 * always. The moment is drawn again each round, from before the save to after it, as a save without writers takes here:
 * from a fixed span a fast machine would seldom draw one within. The seed is printed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/models/model.h"
#include "tests/support/client.h"
#include "tests/support/server.h"
#include "tests/support/wire.h"

enum { ROUNDS = 12, KEYS = 60000, WRITERS = 2, BATCH = 500 };

struct writer {
    const struct test_server *server;
    unsigned seed;
    pthread_t thread;
};

/* Until the server is gone. */
static void *write_on(void *argument) {
    struct writer *writer = argument;
    redisContext *client = hiredis_open(writer->server);
    while (client != NULL && client->err == 0) {
        unsigned number = (unsigned)rand_r(&writer->seed) % KEYS;
        freeReplyObject(redisCommand(client, "SET key:%u %u", number, number));
    }
    if (client != NULL) redisFree(client);
    return NULL;
}

static void fill(const struct test_server *server) {
    redisContext *client = hiredis_expect_open(server);
    for (int i = 0; i < KEYS; i++) {
        redisAppendCommand(client, "SET key:%d a-value-that-is-%d-to-begin-with", i, i);
        if (i % BATCH != BATCH - 1) continue;
        for (int k = 0; k < BATCH; k++) {
            assert_true(hiredis_take(client, REDIS_REPLY_STATUS));
        }
    }
    redisFree(client);
}

/* Ours says so by loading it, Redis's by checking it, where it is installed. */
static void expect_whole(const char *folder) {
    char command[160];
    snprintf(command, sizeof command,
             "if command -v redis-check-rdb >/dev/null; then redis-check-rdb %s/dump.rdb "
             ">/dev/null; fi",
             folder);
    assert_int_equal(system(command), 0);
}

static struct test_server *start_in(const char *folder) {
    const char *const options[] = {"--dir", folder, NULL};
    struct test_server *server = test_server_start(options);
    struct wire *wire = wire_connect(server);
    wire_await(wire, "PING", "+PONG"); /* loaded */
    wire_close(wire);
    return server;
}

static uint64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static bool is_saving(struct wire *wire) {
    return wire_ask_field(wire, "INFO persistence", "rdb_bgsave_in_progress") != 0;
}

static uint64_t save_us(struct wire *wire) {
    uint64_t begun_us = now_us();
    wire_expect(wire, "BGSAVE", "+Background saving started");
    while (is_saving(wire)) {
        /* on it goes */
    }
    return now_us() - begun_us;
}

static void save_and_kill(const char *folder, struct random *random, uint64_t moment_us_max,
                          bool *was_saving) {
    struct test_server *server = start_in(folder);
    struct wire *wire = wire_connect(server);
    wire_expect(wire, "DBSIZE", ":60000");
    struct writer writers[WRITERS];
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.server = server, .seed = (unsigned)random_next(random)};
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_on, &writers[i]), 0);
    }
    wire_expect(wire, "BGSAVE", "+Background saving started");
    usleep((useconds_t)random_below(random, moment_us_max)); /* the moment is what this is about */
    *was_saving = is_saving(wire);
    kill(server->pid, SIGKILL);
    for (unsigned i = 0; i < WRITERS; i++) {
        pthread_join(writers[i].thread, NULL);
    }
    wire_close(wire);
    test_server_kill(server);
}

static void a_killed_server_leaves_a_whole_file(void **state) {
    (void)state;
    char folder[] = "/tmp/sherd-kill-XXXXXX", command[64];
    assert_non_null(mkdtemp(folder));
    struct random random;
    model_seed(&random, "snapshot_kill");
    struct test_server *server = start_in(folder);
    fill(server);
    struct wire *wire = wire_connect(server);
    wire_expect(wire, "SAVE", "+OK");
    uint64_t moment_us_max = 2 * save_us(wire);
    wire_close(wire);
    test_server_stop(server);
    int in_the_midst = 0;
    for (int round = 0; round < ROUNDS; round++) {
        bool was_saving;
        save_and_kill(folder, &random, moment_us_max, &was_saving);
        expect_whole(folder);
        in_the_midst += was_saving;
    }
    print_message("%d of %d were killed in the midst, within %llu us\n", in_the_midst, ROUNDS,
                  (unsigned long long)moment_us_max);
    assert_true(in_the_midst > 0);
    test_server_stop(start_in(folder));
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    assert_int_equal(system(command), 0);
}

int main(void) {
    test_server_require();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_server_leaves_a_whole_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
