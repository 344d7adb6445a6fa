/* The text is read back by a small parser that holds it to the format's rules, and then asked for numbers. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/clock.h"
#include "server/http/prometheus.h"
#include "shards/leases.h"
#include "tests/support/idle_server.h"

/* ---- A parser -------------------------------------------------------------------------------- */

enum { SAMPLES_MAX = 2048, LINE_MAX_BYTES = 512, NAME_MAX_BYTES = 128 };

struct sample {
    char series[LINE_MAX_BYTES]; /* name and labels, as written */
    double value;
};

struct exposition {
    struct sample samples[SAMPLES_MAX];
    size_t count;
    char family[NAME_MAX_BYTES], type[16]; /* of the lines being read */
    char helped[NAME_MAX_BYTES];           /* the name of the last HELP */
    char families[NAME_MAX_BYTES][NAME_MAX_BYTES];
    size_t family_count;
};

static bool is_name(char c, bool is_first) {
    bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    return is_letter || (!is_first && c >= '0' && c <= '9');
}

static size_t name_size(const char *text) {
    size_t size = 0;
    while (is_name(text[size], size == 0)) {
        size++;
    }
    return size;
}

static void read_help(struct exposition *exposition, const char *line) {
    size_t size = name_size(line);
    assert_in_range(size, 1, NAME_MAX_BYTES - 1);
    assert_int_equal(line[size], ' ');
    assert_true(strlen(line + size + 1) > 0);
    snprintf(exposition->helped, NAME_MAX_BYTES, "%.*s", (int)size, line);
}

static void read_type(struct exposition *exposition, const char *line) {
    assert_int_equal(sscanf(line, "%127s %15s", exposition->family, exposition->type), 2);
    assert_string_equal(exposition->family, exposition->helped);
    assert_int_equal(strncmp(exposition->family, "sherd_", 6), 0);
    for (size_t i = 0; i < exposition->family_count; i++) {
        assert_string_not_equal(exposition->families[i], exposition->family); /* once each */
    }
    assert_true(exposition->family_count < NAME_MAX_BYTES);
    strcpy(exposition->families[exposition->family_count++], exposition->family);
    static const char *const types[] = {"counter", "gauge", "histogram", "summary"};
    bool is_known = false;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        is_known |= strcmp(types[i], exposition->type) == 0;
    }
    assert_true(is_known);
    const char *end = exposition->family + strlen(exposition->family) - strlen("_total");
    assert_int_equal(strcmp(end, "_total") == 0, strcmp(exposition->type, "counter") == 0);
}

/* Past the labels of `at`, which stands at their brace. */
static const char *skip_labels(const char *at) {
    do {
        at++;
        size_t size = name_size(at);
        assert_true(size > 0);
        at += size;
        assert_int_equal(strncmp(at, "=\"", 2), 0);
        for (at += 2; *at != '"'; at++) {
            assert_true((unsigned char)*at >= ' '); /* nor the end */
            if (*at == '\\') at++;
        }
        at++;
    } while (*at == ',');
    assert_int_equal(*at, '}');
    return at + 1;
}

static bool is_of_family(const struct exposition *exposition, const char *name, size_t size) {
    static const char *const parts[] = {"", "_bucket", "_sum", "_count"};
    bool has_parts = strcmp(exposition->type, "histogram") == 0;
    bool has_count = has_parts || strcmp(exposition->type, "summary") == 0;
    for (size_t i = has_parts; i < (has_count ? 4U : 1U); i++) {
        char whole[NAME_MAX_BYTES + 8];
        int length = snprintf(whole, sizeof whole, "%s%s", exposition->family, parts[i]);
        if ((size_t)length == size && memcmp(whole, name, size) == 0) return true;
    }
    return false;
}

static void read_sample(struct exposition *exposition, const char *line) {
    size_t size = name_size(line);
    if (!is_of_family(exposition, line, size)) fail_msg("not of %s: %s", exposition->family, line);
    const char *at = line[size] == '{' ? skip_labels(line + size) : line + size;
    assert_int_equal(*at, ' ');
    assert_true(exposition->count < SAMPLES_MAX);
    struct sample *sample = &exposition->samples[exposition->count];
    snprintf(sample->series, sizeof sample->series, "%.*s", (int)(at - line), line);
    char *end;
    sample->value = strtod(at + 1, &end);
    assert_true(end != at + 1 && *end == '\0');
    for (size_t i = 0; i < exposition->count; i++) {
        assert_string_not_equal(exposition->samples[i].series, sample->series);
    }
    exposition->count++;
}

static struct exposition *parse(const struct text *text) {
    struct exposition *exposition = calloc(1, sizeof *exposition);
    assert_non_null(exposition);
    const char *at = text->data, *end = text->data + text->size;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        assert_non_null(newline); /* the last line ends with one, too */
        char line[LINE_MAX_BYTES];
        assert_true((size_t)(newline - at) < sizeof line);
        snprintf(line, sizeof line, "%.*s", (int)(newline - at), at);
        if (strncmp(line, "# HELP ", 7) == 0) {
            read_help(exposition, line + 7);
        } else if (strncmp(line, "# TYPE ", 7) == 0) {
            read_type(exposition, line + 7);
        } else {
            read_sample(exposition, line);
        }
        at = newline + 1;
    }
    return exposition;
}

static const struct sample *find(const struct exposition *exposition, const char *series) {
    for (size_t i = 0; i < exposition->count; i++) {
        if (strcmp(exposition->samples[i].series, series) == 0) return &exposition->samples[i];
    }
    return NULL;
}

static void expect(const struct exposition *exposition, const char *series, double value) {
    const struct sample *sample = find(exposition, series);
    if (sample == NULL) fail_msg("no %s", series);
    if (sample->value != value) fail_msg("%s is %g, not %g", series, sample->value, value);
}

/* ---- Tests ----------------------------------------------------------------------------------- */

static struct exposition *expose(struct server *server) {
    struct metrics metrics;
    metrics_gather(&metrics, server, clock_unix_ms());
    struct text text = {0};
    prometheus_write(&metrics, &text);
    assert_false(text.has_failed);
    struct exposition *exposition = parse(&text);
    text_release(&text);
    return exposition;
}

static uint32_t id_of(const struct server *server, const char *name) {
    struct command_found found = command_table_find_full(server->commands, bytes_of_text(name));
    assert_non_null(found.row);
    return found.id;
}

static void grant_lease(struct server *server, struct bytes name) {
    struct key key = shards_key(&server->shards, name);
    struct database *database = shard_database(shards_of(&server->shards, name), 1);
    database->leases = leases_create();
    assert_non_null(database->leases);
    struct lease_terms terms = {.lease_ms = 1000, .token = 1};
    uint64_t token;
    assert_int_equal(leases_grant(database->leases, &key, &terms, &token), STATUS_OK);
}

static void numbers_are_those_that_were_counted(void **state) {
    struct server *server = *state;
    counters_add(&counters_of_worker(&server->shards.counters, 0)[1].reads, 5);
    counters_add(&counters_of_worker(&server->shards.counters, 1)[1].reads, 2);
    counters_add(&counters_of_worker(&server->shards.counters, 1)[3].writes, 4);
    counters_add(&server->workers[1].command_count, 20);
    counters_add(&misses_of_worker(&server->shards.misses, 0)[1].by_reason[MISS_EVICTED], 3);
    counters_add(&server->workers[0].closed_idle, 6);
    atomic_store(&server->shards.shards[2].lock.waits, 9);
    atomic_store(&server->shards.shards[2].lock.waited_ns, 1500000);
    errors_add(&server->workers[0].errors, "OOM");
    counters_add(&server->workers[0].leases.granted, 11);
    counters_add(&server->workers[1].leases.granted, 1);
    counters_add(&server->workers[1].leases.early, 13);
    counters_add(&server->workers[0].leases.filled, 14);
    counters_add(&server->workers[0].leases.void_tokens, 15);
    counters_add(&server->workers[0].leases.stale, 16);
    counters_add(&server->workers[0].leases.waited, 17);
    grant_lease(server, BYTES("key"));
    struct exposition *exposition = expose(server);
    expect(exposition, "sherd_leases_open", 1);
    expect(exposition, "sherd_reads_total", 7);
    expect(exposition, "sherd_shard_reads_total{shard=\"1\"}", 7);
    expect(exposition, "sherd_shard_writes_total{shard=\"3\"}", 4);
    expect(exposition, "sherd_shard_lock_waits_total{shard=\"2\"}", 9);
    expect(exposition, "sherd_lock_wait_seconds_total", 0.0015);
    expect(exposition, "sherd_worker_commands_total{worker=\"1\"}", 20);
    expect(exposition, "sherd_commands_total", 20);
    expect(exposition, "sherd_misses_total{reason=\"evicted\"}", 3);
    expect(exposition, "sherd_database_misses_total{db=\"1\",reason=\"evicted\"}", 3);
    expect(exposition, "sherd_database_misses_total{db=\"1\",reason=\"expired\"}", 0);
    expect(exposition, "sherd_connections_closed_total{reason=\"idle\"}", 6);
    expect(exposition, "sherd_errors_total{code=\"OOM\"}", 1);
    expect(exposition, "sherd_leases_granted_total{reason=\"missing\"}", 12);
    expect(exposition, "sherd_leases_granted_total{reason=\"early\"}", 13);
    expect(exposition, "sherd_leases_filled_total", 14);
    expect(exposition, "sherd_leases_refused_total", 15);
    expect(exposition, "sherd_lease_stale_hits_total", 16);
    expect(exposition, "sherd_lease_waits_total", 17);
    free(exposition);
}

static void databases_and_commands_that_were_not_used_have_no_series(void **state) {
    struct exposition *exposition = expose(*state);
    for (size_t i = 0; i < exposition->count; i++) {
        assert_null(strstr(exposition->samples[i].series, "command=\""));
        assert_null(strstr(exposition->samples[i].series, "db=\""));
    }
    assert_true(exposition->count < 100);
    free(exposition);
}

static void a_histogram_adds_up(void **state) {
    struct server *server = *state;
    struct command_statistics *statistics = &server->workers[1].commands[id_of(server, "keys")];
    atomic_store(&statistics->calls, 10);
    atomic_store(&statistics->failed, 1);
    atomic_store(&statistics->histogram[0], 2);
    atomic_store(&statistics->histogram[3], 7);
    atomic_store(&statistics->histogram[COMMAND_HISTOGRAM - 1], 1);
    atomic_store(&statistics->ticks, (uint64_t)(clock_ticks_per_us() * 4e6));
    struct exposition *exposition = expose(server);
    expect(exposition, "sherd_command_calls_total{command=\"keys\"}", 10);
    expect(exposition, "sherd_command_errors_total{command=\"keys\",kind=\"failed\"}", 1);
#define BUCKET(le) "sherd_command_duration_seconds_bucket{command=\"keys\",le=\"" le "\"}"
    expect(exposition, BUCKET("1e-06"), 2);
    expect(exposition, BUCKET("4e-06"), 2);
    expect(exposition, BUCKET("8e-06"), 9);
    expect(exposition, BUCKET("16.777216"), 9);
    expect(exposition, BUCKET("+Inf"), 10);
    expect(exposition, "sherd_command_duration_seconds_count{command=\"keys\"}", 10);
    const struct sample *sum =
        find(exposition, "sherd_command_duration_seconds_sum{command=\"keys\"}");
    assert_non_null(sum);
    assert_true(sum->value > 3.999 && sum->value < 4.001);
    free(exposition);
}

static void without_tracking_there_are_no_histograms(void **state) {
    struct server *server = *state;
    atomic_store(&server->workers[0].commands[id_of(server, "get")].calls, 1);
    atomic_store(&server->workers[0].commands[id_of(server, "get")].histogram[1], 16);
    atomic_store(&server->config->latency_tracking, 0);
    struct exposition *exposition = expose(server);
    expect(exposition, "sherd_command_calls_total{command=\"get\"}", 1);
    assert_null(find(exposition, "sherd_command_duration_seconds_count{command=\"get\"}"));
    free(exposition);
}

static void many_shards_are_told_in_sum(void **state) {
    struct server *server = *state;
    shards_release(&server->shards);
    struct shards_options options = {.shard_count = 2 * PROMETHEUS_SHARDS_MAX,
                                     .database_count = IDLE_DATABASES,
                                     .worker_count = IDLE_WORKERS,
                                     .reserve_bytes = 1 << 20};
    assert_int_equal(shards_init(&server->shards, &options), STATUS_OK);
    counters_add(&counters_of_worker(&server->shards.counters, 0)[200].reads, 5);
    struct exposition *exposition = expose(server);
    expect(exposition, "sherd_shards", 2 * PROMETHEUS_SHARDS_MAX);
    expect(exposition, "sherd_reads_total", 5);
    assert_null(find(exposition, "sherd_shard_reads_total{shard=\"0\"}"));
    free(exposition);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, idle_server_set_up, idle_server_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(numbers_are_those_that_were_counted),
        TEST(databases_and_commands_that_were_not_used_have_no_series),
        TEST(a_histogram_adds_up),
        TEST(without_tracking_there_are_no_histograms),
        TEST(many_shards_are_told_in_sum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
