/* What INFO tells is what was counted, summed over workers and shards. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/clock.h"
#include "server/metrics.h"
#include "server/server.h"
#include "tests/support/idle_server.h"

enum { NOW_MS = 1000000 };

static void assert_section_has(const struct metrics *metrics, enum metric_section section,
                               const char *line) {
    struct text text = {0};
    metrics_write_section(metrics, section, &text);
    text_add(&text, bytes_of("", 1));
    if (strstr(text.data, line) == NULL) fail_msg("\"%s\" is not in:\n%s", line, text.data);
    text_release(&text);
}

/* ---- Rows ------------------------------------------------------------------------------------ */

static void rows_of_a_section_stand_together(void **state) {
    (void)state;
    for (size_t i = 1; i < metrics_row_count; i++) {
        assert_true(metrics_rows[i].section >= metrics_rows[i - 1].section);
    }
}

static void no_section_has_a_name_twice(void **state) {
    (void)state;
    for (size_t i = 0; i < metrics_row_count; i++) {
        const struct metric *one = &metrics_rows[i];
        for (size_t k = 0; one->name != NULL && k < i; k++) {
            const struct metric *other = &metrics_rows[k];
            if (other->name == NULL || other->section != one->section) continue;
            assert_string_not_equal(one->name, other->name);
        }
    }
}

static void a_row_says_in_one_way_how_it_is_made(void **state) {
    (void)state;
    for (size_t i = 0; i < metrics_row_count; i++) {
        const struct metric *row = &metrics_rows[i];
        int ways = (row->number != 0) + (row->human != 0) + (row->fixed != NULL) +
                   (row->value != NULL) + (row->lines != NULL);
        assert_int_equal(ways, 1);
        assert_int_equal(row->name == NULL, row->lines != NULL);
    }
}

static void bytes_for_people_have_two_digits_and_a_unit(void **state) {
    (void)state;
    static const struct {
        int64_t bytes;
        const char *line;
    } cases[] = {
        {0, "maxmemory_human:0B\r\n"},
        {1023, "maxmemory_human:1023B\r\n"},
        {1024, "maxmemory_human:1.00K\r\n"},
        {1536 * 1024, "maxmemory_human:1.50M\r\n"},
        {INT64_C(3) << 40, "maxmemory_human:3.00T\r\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct metrics metrics = {.memory_max = cases[i].bytes};
        assert_section_has(&metrics, METRICS_MEMORY, cases[i].line);
    }
}

/* ---- Sums ------------------------------------------------------------------------------------ */

static void counters_are_summed_over_workers_and_shards(void **state) {
    struct server *server = *state;
    counters_add(&counters_of_worker(&server->shards.counters, 0)[1].hits, 5);
    counters_add(&counters_of_worker(&server->shards.counters, 1)[3].hits, 7);
    counters_add(&counters_of_worker(&server->shards.counters, 1)[3].writes, 2);
    counters_add(&server->workers[0].command_count, 10);
    counters_add(&server->workers[1].command_count, 20);
    struct metrics metrics;
    metrics_gather(&metrics, server, NOW_MS);
    assert_int_equal(metrics.hits, 12);
    assert_int_equal(metrics.misses, 0);
    assert_int_equal(metrics.writes, 2);
    assert_int_equal(metrics.commands, 30);
    assert_section_has(&metrics, METRICS_STATS, "keyspace_hits:12\r\n");
    assert_section_has(
        &metrics, METRICS_WORKERS,
        "worker1:clients=0,commands=20,batches=0,hits=7,misses=0,reads=0,writes=2,receiving_");
}

static uint32_t id_of(const struct server *server, const char *name) {
    struct command_found found = command_table_find_full(server->commands, bytes_of_text(name));
    assert_non_null(found.row);
    return found.id;
}

static void a_sampled_call_shows_its_own_time(void **state) {
    struct server *server = *state;
    uint32_t id = id_of(server, "get");
    struct command_statistics *statistics = &server->workers[0].commands[id];
    double ticks =
        clock_ticks_per_us() * 100 * COMMAND_SAMPLE; /* one call of 100 microseconds, weighted */
    atomic_store(&statistics->calls, 1);
    atomic_store(&statistics->ticks, (uint64_t)ticks);
    atomic_store(&statistics->histogram[7], COMMAND_SAMPLE);
    struct command_sum sum = metrics_command(server, id);
    assert_int_equal(sum.timed, COMMAND_SAMPLE);
    assert_true(metrics_command_us(&sum) > 99 && metrics_command_us(&sum) < 101);
    struct metrics metrics;
    metrics_gather(&metrics, server, NOW_MS);
    assert_section_has(&metrics, METRICS_COMMANDSTATS,
                       "cmdstat_get:calls=1,usec=100,usec_per_call=100.00,rejected_calls=0,");
    assert_section_has(&metrics, METRICS_LATENCYSTATS,
                       "latency_percentiles_usec_get:p50=128.000,p99=128.000,p99.9=128.000\r\n");
}

static void a_command_without_calls_took_no_time(void **state) {
    struct command_sum sum = metrics_command(*state, id_of(*state, "set"));
    assert_int_equal(sum.timed, 0);
    assert_true(metrics_command_us(&sum) == 0);
}

static void a_percentile_is_the_bucket_that_reaches_it(void **state) {
    (void)state;
    struct command_sum sum = {.timed = 1000};
    sum.histogram[0] = 500;
    sum.histogram[3] = 490;
    sum.histogram[10] = 10;
    assert_int_equal(metrics_percentile_us(&sum, 0), 1);
    assert_int_equal(metrics_percentile_us(&sum, 50), 1);
    assert_int_equal(metrics_percentile_us(&sum, 50.1), 8);
    assert_int_equal(metrics_percentile_us(&sum, 99), 8);
    assert_int_equal(metrics_percentile_us(&sum, 99.9), 1024);
    assert_int_equal(metrics_percentile_us(&sum, 100), 1024);
}

static void errors_are_summed_by_their_codes(void **state) {
    struct server *server = *state;
    errors_add(&server->workers[0].errors, "ERR");
    errors_add(&server->workers[1].errors, "WRONGTYPE");
    errors_add(&server->workers[1].errors, "ERR");
    struct metrics metrics;
    metrics_gather(&metrics, server, NOW_MS);
    assert_int_equal(metrics.errors, 3);
    assert_section_has(&metrics, METRICS_ERRORSTATS,
                       "# Errorstats\r\nerrorstat_ERR:count=2\r\nerrorstat_WRONGTYPE:count=1\r\n");
}

static void more_codes_than_there_is_room_for_count_in_the_total(void **state) {
    struct server *server = *state;
    for (int i = 0; i < ERRORS_MAX + 3; i++) {
        char code[REPLY_CODE_MAX];
        snprintf(code, sizeof(code), "CODE%d", i);
        errors_add(&server->workers[i % IDLE_WORKERS].errors, code);
        errors_add(&server->workers[i % IDLE_WORKERS].errors, code);
    }
    struct metrics metrics;
    metrics_gather(&metrics, server, NOW_MS);
    assert_int_equal(metrics.errors, 2 * (ERRORS_MAX + 3));
    struct error_sum sums[ERRORS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < IDLE_WORKERS; i++) {
        count = errors_collect(&server->workers[i].errors, sums, count);
    }
    assert_int_equal(count, ERRORS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(sums[i].count, 2);
    }
}

static void an_empty_keyspace_has_no_lines(void **state) {
    struct metrics metrics;
    metrics_gather(&metrics, *state, NOW_MS);
    struct text text = {0};
    metrics_write_section(&metrics, METRICS_KEYSPACE, &text);
    assert_true(bytes_equal(text_bytes(&text), BYTES("# Keyspace\r\n")));
    text_release(&text);
}

static void a_bucket_that_came_around_loses_nothing(void **state) {
    struct server *server = *state;
    uint32_t id = command_table_find(server->commands, BYTES("get")).id;
    struct worker *worker = &server->workers[1];
    _Atomic uint32_t *bucket = &worker->commands[id].histogram[2];
    atomic_store(bucket, UINT32_MAX - 5);
    metrics_carry(worker, id);
    atomic_fetch_add(bucket, 16);
    assert_int_equal(metrics_command(server, id).histogram[2], UINT64_C(0xffffffff) + 11);
    metrics_carry(worker, id);
    assert_int_equal(metrics_command(server, id).histogram[2], UINT64_C(0xffffffff) + 11);
    metrics_reset(server, NOW_MS + 1);
    assert_int_equal(metrics_command(server, id).histogram[2], 0);
    metrics_carry(worker, id);
    atomic_fetch_add(bucket, 3);
    assert_int_equal(metrics_command(server, id).histogram[2], 3);
}

static void a_reset_starts_all_counters_again(void **state) {
    struct server *server = *state;
    uint32_t id = id_of(server, "get");
    atomic_store(&server->connections_received, 9);
    atomic_store(&server->workers[1].commands[id].calls, 4);
    atomic_store(&server->workers[1].commands[id].histogram[2], 4);
    counters_add(&counters_of_worker(&server->shards.counters, 1)[0].misses, 3);
    counters_add(&server->workers[0].command_count, 10);
    errors_add(&server->workers[0].errors, "ERR");
    metrics_reset(server, NOW_MS + 1);
    struct metrics metrics;
    metrics_gather(&metrics, server, NOW_MS + 2);
    struct command_sum sum = metrics_command(server, id);
    assert_int_equal(metrics.connections_received, 0);
    assert_int_equal(metrics.misses, 0);
    assert_int_equal(metrics.commands, 0);
    assert_int_equal(metrics.errors, 0);
    assert_section_has(&metrics, METRICS_ERRORSTATS, "# Errorstats\r\n");
    assert_int_equal(sum.calls, 0);
    assert_int_equal(sum.timed, 0);
    assert_int_equal(atomic_load(&server->statistics_since_ms), NOW_MS + 1);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, idle_server_set_up, idle_server_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_a_section_stand_together),
        cmocka_unit_test(no_section_has_a_name_twice),
        cmocka_unit_test(a_row_says_in_one_way_how_it_is_made),
        cmocka_unit_test(bytes_for_people_have_two_digits_and_a_unit),
        TEST(counters_are_summed_over_workers_and_shards),
        TEST(a_sampled_call_shows_its_own_time),
        TEST(a_command_without_calls_took_no_time),
        cmocka_unit_test(a_percentile_is_the_bucket_that_reaches_it),
        TEST(errors_are_summed_by_their_codes),
        TEST(more_codes_than_there_is_room_for_count_in_the_total),
        TEST(an_empty_keyspace_has_no_lines),
        TEST(a_bucket_that_came_around_loses_nothing),
        TEST(a_reset_starts_all_counters_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
