#include "tests/support/idle_server.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

struct server *idle_server_create(void) {
    struct server *server = calloc(1, sizeof(*server));
    assert_non_null(server);
    server->config = config_create();
    server->commands = command_table_create();
    server->jobs =
        jobs_create(&(struct jobs_options){.queue_max = 8, .threads_max = 1, .linger_ms = 10});
    server->worker_count = IDLE_WORKERS;
    server->workers = calloc(IDLE_WORKERS, sizeof(*server->workers));
    assert_true(server->config != NULL && server->commands != NULL && server->jobs != NULL &&
                server->workers != NULL);
    struct shards_options options = {.shard_count = IDLE_SHARDS,
                                     .database_count = IDLE_DATABASES,
                                     .worker_count = IDLE_WORKERS,
                                     .reserve_bytes = 1 << 24};
    assert_int_equal(shards_init(&server->shards, &options), STATUS_OK);
    assert_int_equal(timing_start(server), STATUS_OK);
    saver_init(&server->saver, server);
    for (uint32_t i = 0; i < IDLE_WORKERS; i++) {
        assert_int_equal(worker_init(&server->workers[i], server, i), STATUS_OK);
    }
    return server;
}

void idle_server_destroy(struct server *server) {
    for (uint32_t i = 0; i < IDLE_WORKERS; i++) {
        worker_release(&server->workers[i]);
    }
    free(server->workers);
    saver_release(&server->saver);
    jobs_destroy(server->jobs);
    timing_stop(server);
    shards_release(&server->shards);
    command_table_destroy(server->commands);
    config_destroy(server->config);
    free(server);
}

int idle_server_set_up(void **state) {
    *state = idle_server_create();
    return 0;
}

int idle_server_tear_down(void **state) {
    idle_server_destroy(*state);
    return 0;
}
