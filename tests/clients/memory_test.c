/* MEMORY STATS tells the truth: its figures agree with each other, with INFO and with what was just stored. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/client.h"
#include "tests/support/server.h"

enum { FIELDS = 9, VALUE_MAX = 65536, DEPTH = 500, STRAY_BYTES = 256 << 10 };

static const char *const options[] = {"--workers", "2", "--shards", "8", NULL};

/* What was answered to MEMORY STATS, and to INFO right after it. */
struct figures {
    double peak, total, keys, bytes_a_key, data, data_percent, peak_percent, fragmentation,
        fragmentation_bytes;
    double info_used, info_data, info_peak;
};

static double number_of(const redisReply *reply) {
    if (reply->type == REDIS_REPLY_INTEGER) return (double)reply->integer;
    assert_int_equal(reply->type, REDIS_REPLY_STRING);
    char *end;
    double number = strtod(reply->str, &end);
    assert_true(reply->len > 0 && *end == 0);
    return number;
}

static double figure(const redisReply *reply, const char *name) {
    for (size_t i = 0; i < reply->elements; i += 2) {
        if (strcmp(reply->element[i]->str, name) == 0) return number_of(reply->element[i + 1]);
    }
    fail_msg("there is no %s", name);
    return 0;
}

static double info_field(const redisReply *reply, const char *name) {
    const char *line = strstr(reply->str, name);
    assert_non_null(line);
    return strtod(line + strlen(name), NULL);
}

static redisReply *take(redisContext *context, int type) {
    void *reply = NULL;
    assert_int_equal(redisGetReply(context, &reply), REDIS_OK);
    assert_int_equal(((redisReply *)reply)->type, type);
    return reply;
}

static struct figures ask(redisContext *context) {
    redisAppendCommand(context, "MEMORY STATS");
    redisAppendCommand(context, "INFO memory");
    redisReply *stats = take(context, REDIS_REPLY_ARRAY), *info = take(context, REDIS_REPLY_STRING);
    assert_int_equal(stats->elements, 2 * FIELDS);
    struct figures figures = {
        .peak = figure(stats, "peak.allocated"),
        .total = figure(stats, "total.allocated"),
        .keys = figure(stats, "keys.count"),
        .bytes_a_key = figure(stats, "keys.bytes-per-key"),
        .data = figure(stats, "dataset.bytes"),
        .data_percent = figure(stats, "dataset.percentage"),
        .peak_percent = figure(stats, "peak.percentage"),
        .fragmentation = figure(stats, "fragmentation"),
        .fragmentation_bytes = figure(stats, "fragmentation.bytes"),
        .info_used = info_field(info, "\r\nused_memory:"),
        .info_data = info_field(info, "\r\nused_memory_dataset:"),
        .info_peak = info_field(info, "\r\nused_memory_peak:"),
    };
    freeReplyObject(stats);
    freeReplyObject(info);
    return figures;
}

static void expect_near(double number, double expected, double by) {
    if (fabs(number - expected) <= by) return;
    fail_msg("%.3f instead of %.3f, give or take %.3f", number, expected, by);
}

/* A little may come and go between two looks: buffers, mostly. */
static void expect_agreement(const struct figures *figures) {
    assert_true(figures->data < figures->total);
    assert_true(figures->total <= figures->peak);
    expect_near(figures->info_used, figures->total, STRAY_BYTES);
    expect_near(figures->info_peak, figures->peak, STRAY_BYTES);
    expect_near(figures->info_data, figures->data, 0);
    double a_key = figures->keys != 0 ? floor(figures->data / figures->keys) : 0;
    expect_near(figures->bytes_a_key, a_key, 0);
    expect_near(figures->data_percent, figures->data * 100 / figures->total, 0.01);
    expect_near(figures->peak_percent, figures->total * 100 / figures->peak, 0.01);
    expect_near(figures->fragmentation_bytes, (figures->fragmentation - 1) * figures->total,
                figures->total / 1000 + 1);
}

static void set_all(redisContext *context, int database, int count, size_t bytes) {
    static char value[VALUE_MAX];
    memset(value, 'v', bytes);
    hiredis_expect_status(context, "OK", "SELECT %d", database);
    for (int i = 0; i < count; i++) {
        redisAppendCommand(context, "SET key:%d:%d %b", (int)bytes, i, value, bytes);
        if (i % DEPTH != DEPTH - 1 && i != count - 1) continue;
        for (int j = i / DEPTH * DEPTH; j <= i; j++) {
            assert_true(hiredis_take(context, REDIS_REPLY_STATUS));
        }
    }
}

static void its_figures_agree(void **state) {
    redisContext *context = hiredis_expect_open(*state);
    struct figures empty = ask(context);
    expect_agreement(&empty);
    expect_near(empty.keys, 0, 0);
    set_all(context, 0, 3000, 100);
    set_all(context, 1, 1000, 20000);
    struct figures figures = ask(context);
    expect_agreement(&figures);
    expect_near(figures.keys, 4000, 0);
    hiredis_expect_integer(context, 1000, "DBSIZE");
    hiredis_expect_integer(context, 1, "DEL key:20000:7");
    expect_near(ask(context).keys, 3999, 0);
    redisFree(context);
}

/* By no less than the values, and no more than a third beyond them and their keys: slots are of sizes of their own. */
static void its_dataset_grows_by_what_is_set(void **state) {
    static const struct {
        int count;
        size_t bytes;
    } loads[] = {{40000, 100}, {8000, 1000}, {2000, 5000}, {400, 50000}};
    redisContext *context = hiredis_expect_open(*state);
    for (size_t i = 0; i < sizeof loads / sizeof loads[0]; i++) {
        struct figures before = ask(context);
        set_all(context, 0, loads[i].count, loads[i].bytes);
        struct figures after = ask(context);
        double values = (double)loads[i].count * (double)loads[i].bytes;
        double most = (values + 60.0 * loads[i].count) * 4 / 3 + STRAY_BYTES;
        assert_true(after.data - before.data >= values);
        assert_true(after.data - before.data <= most);
        assert_true(after.total - before.total >= values);
        assert_true(after.total - before.total <= most + STRAY_BYTES);
        expect_near(after.keys - before.keys, loads[i].count, 0);
        expect_agreement(&after);
    }
    redisFree(context);
}

/* What is flushed is freed in the background. */
static void all_shrinks_when_all_is_flushed(void **state) {
    redisContext *context = hiredis_expect_open(*state);
    struct figures empty = ask(context);
    set_all(context, 0, 20000, 300);
    set_all(context, 1, 500, 20000);
    struct figures full = ask(context);
    hiredis_expect_status(context, "OK", "FLUSHALL");
    struct figures figures = ask(context);
    expect_near(figures.keys, 0, 0);
    while (figures.data > empty.data + (full.data - empty.data) / 10) {
        figures = ask(context); /* the test's time is bounded by ctest */
    }
    expect_near(figures.total, empty.total, (full.total - empty.total) / 5);
    expect_near(figures.peak, full.peak, STRAY_BYTES);
    assert_true(figures.peak_percent < 50);
    expect_agreement(&figures);
    redisFree(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST_WITH_SERVER(its_figures_agree, options),
        TEST_WITH_SERVER(its_dataset_grows_by_what_is_set, options),
        TEST_WITH_SERVER(all_shrinks_when_all_is_flushed, options),
    };
    test_server_require();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
