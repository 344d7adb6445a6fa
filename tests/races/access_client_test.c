/* Users change while their clients run, over several workers: what the thread sanitizer should see, and that nobody is
 * judged by what held before. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/client.h"
#include "tests/support/crowd.h"

enum { CLIENTS = 6, CHANGES = 300 };

static const char *const options[] = {"--workers", "3", NULL};

struct race {
    struct test_server *server;
    _Atomic bool is_over;
};

static bool freed(redisReply *reply) {
    bool is_there = reply != NULL;
    freeReplyObject(reply);
    return is_there;
}

/* Logs in again and again as a user who comes and goes: any reply will do, or the end of the connection. */
static bool log_in_and_out(void *context, size_t index) {
    struct race *race = context;
    while (!atomic_load(&race->is_over)) {
        redisContext *client = hiredis_open(race->server);
        if (client == NULL) return false;
        bool is_alive = freed(redisCommand(client, "AUTH ghost %d", (int)index));
        for (int i = 0; i < 50 && is_alive; i++) {
            is_alive = freed(redisCommand(client, i % 3 == 0 ? "SET k v" : "GET k")) &&
                       freed(redisCommand(client, i % 7 == 0 ? "RESET" : "ACL WHOAMI"));
        }
        redisFree(client);
    }
    return true;
}

static bool look_at_users(void *context, size_t index) {
    static const char *const commands[] = {"ACL LIST",
                                           "CLIENT LIST",
                                           "ACL LOG",
                                           "ACL GETUSER ghost",
                                           "CLIENT KILL USER ghost",
                                           "ACL DRYRUN default GET k"};
    struct race *race = context;
    redisContext *client = hiredis_open(race->server);
    bool is_alive = client != NULL;
    for (size_t i = index; is_alive && !atomic_load(&race->is_over); i++) {
        is_alive = freed(redisCommand(client, commands[i % (sizeof commands / sizeof *commands)]));
    }
    if (client != NULL) redisFree(client);
    return is_alive;
}

static bool play(void *context, size_t index) {
    return index % 2 == 0 ? log_in_and_out(context, index) : look_at_users(context, index);
}

static void users_come_and_go_while_clients_run(void **state) {
    struct race race = {.server = *state};
    struct crowd *crowd = crowd_start(CLIENTS, play, &race);
    redisContext *admin = hiredis_expect_open(*state);
    for (int i = 0; i < CHANGES; i++) {
        hiredis_expect_status(admin, "OK", "ACL SETUSER ghost on nopass ~* +@all -set");
        hiredis_expect_status(admin, "OK", "ACL SETUSER ghost +set (~k +get) -acl|whoami");
        if (i % 3 == 0) hiredis_expect_integer(admin, 1, "ACL DELUSER ghost");
        hiredis_expect_status(admin, "OK", "CONFIG SET requirepass %s", i % 2 == 0 ? "p" : "");
    }
    hiredis_expect_status(admin, "OK", "CONFIG SET requirepass %s", "");
    atomic_store(&race.is_over, true);
    bool went_well = crowd_finish(crowd);
    redisFree(admin);
    assert_true(went_well);
}

/* One takes a permission away, and then asks another connection, which must not have it any more. */
static bool ask_after_each_change(void *context, size_t index) {
    struct race *race = context;
    redisContext *admin = hiredis_open(race->server), *client = hiredis_open(race->server);
    bool is_right = admin != NULL && client != NULL &&
                    hiredis_ask_status(admin, "OK", "ACL SETUSER u%d on nopass ~*", (int)index) &&
                    hiredis_ask_status(client, "OK", "AUTH u%d x", (int)index);
    for (int i = 0; i < CHANGES && is_right; i++) {
        is_right = hiredis_ask_status(admin, "OK", "ACL SETUSER u%d +set", (int)index) &&
                   hiredis_ask_status(client, "OK", "SET k v") &&
                   hiredis_ask_status(admin, "OK", "ACL SETUSER u%d -set", (int)index);
        redisReply *reply = is_right ? redisCommand(client, "SET k v") : NULL;
        is_right = reply != NULL && reply->type == REDIS_REPLY_ERROR &&
                   strncmp(reply->str, "NOPERM ", 7) == 0;
        freeReplyObject(reply);
    }
    if (admin != NULL) redisFree(admin);
    if (client != NULL) redisFree(client);
    return is_right;
}

static void nobody_is_judged_by_what_held_before(void **state) {
    struct race race = {.server = *state};
    assert_true(crowd_run(CLIENTS, ask_after_each_change, &race));
}

int main(void) {
    test_server_require();
    const struct CMUnitTest tests[] = {
        TEST_WITH_SERVER(users_come_and_go_while_clients_run, options),
        TEST_WITH_SERVER(nobody_is_judged_by_what_held_before, options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
