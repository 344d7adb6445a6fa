/* What the page asks for is JSON, whatever keys are called; the page needs nothing from elsewhere. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "server/hotkeys.h"
#include "server/http/console.h"
#include "tests/support/idle_server.h"

/* ---- A reader of JSON that only says whether it is some -------------------------------------- */

static const char *skip_value(const char *at);

static const char *skip_string(const char *at) {
    assert_int_equal(*at, '"');
    for (at++; *at != '"'; at++) {
        assert_true((unsigned char)*at >= ' '); /* nor the end */
        if (*at == '\\') {
            at++;
            assert_true(*at == '"' || *at == '\\');
        }
    }
    return at + 1;
}

/* Members between `close`'s opening and itself. */
static const char *skip_members(const char *at, char close) {
    at++;
    if (*at == close) return at + 1;
    for (;; at++) {
        if (close == '}') {
            at = skip_string(at);
            assert_int_equal(*at++, ':');
        }
        at = skip_value(at);
        if (*at == close) return at + 1;
        assert_int_equal(*at, ',');
    }
}

static const char *skip_value(const char *at) {
    if (*at == '{') return skip_members(at, '}');
    if (*at == '[') return skip_members(at, ']');
    if (*at == '"') return skip_string(at);
    if (strncmp(at, "null", 4) == 0) return at + 4;
    char *end;
    assert_true(isdigit((unsigned char)*at) || *at == '-');
    strtoll(at, &end, 10);
    return end;
}

/* ---- Tests ----------------------------------------------------------------------------------- */

static void note(struct server *server, struct bytes name) {
    struct hotkeys *hotkeys = server->workers[1].sampler.hotkeys;
    struct sampled sampled = {.key = {.name = name, .hash = name.size}, .bytes = 10};
    assert_true(hotkeys_try_begin(hotkeys, 1000));
    hotkeys_note(hotkeys, &sampled);
    hotkeys_end(hotkeys);
}

static struct text answer(struct server *server) {
    struct metrics metrics;
    struct text text = {0};
    metrics_gather(&metrics, server, 1000);
    console_write(&metrics, &text);
    assert_false(text.has_failed);
    text_add(&text, bytes_of("", 1));
    assert_string_equal(skip_value(text.data), "\n");
    return text;
}

static void an_idle_server_answers_json(void **state) {
    struct text text = answer(*state);
    assert_non_null(strstr(text.data, "\"shards\":[[0,0,0],[0,0,0],[0,0,0],[0,0,0]]"));
    assert_non_null(strstr(text.data, "\"workers\":[[0,0,0,0,0,0,0,0],[0,0,0,0,0,0,0,0]]"));
    assert_non_null(strstr(text.data, "\"hot\":[],\"busiest\":[]"));
    assert_non_null(strstr(text.data, "\"slow\":[],\"curve\":null}"));
    text_release(&text);
}

static void any_key_can_be_told(void **state) {
    struct server *server = *state;
    char name[2 * HOTKEYS_NAME_MAX];
    memset(name, 'n', sizeof name);
    note(server, BYTES("<script>alert(1)</script>"));
    note(server, BYTES("\"},{\\\x01\xff"));
    note(server, bytes_of(name, sizeof name));
    note(server, BYTES(""));
    struct text text = answer(server);
    assert_non_null(
        strstr(text.data, "{\"key\":\"<script>alert(1)</script>\",\"db\":0,\"reads\":"));
    assert_non_null(strstr(text.data, "{\"key\":\"\\\"},{\\\\\\\\x01\\\\xff\",\"db\":0"));
    assert_non_null(strstr(text.data, "nnn...\""));
    assert_non_null(strstr(text.data, "{\"key\":\"\",\"db\":0"));
    text_release(&text);
}

/* `words`: arguments, with `gap` between them. */
static void add_slow(struct server *server, const char *client, const char *words, char gap) {
    struct bytes args[8];
    uint32_t count = 0;
    for (const char *at = words, *end; at != NULL; at = end == NULL ? NULL : end + 1) {
        end = strchr(at, gap);
        args[count++] = end == NULL ? bytes_of_text(at) : bytes_of(at, (size_t)(end - at));
    }
    struct slowlog_entry *entry = slowlog_entry_create(args, count);
    assert_non_null(entry);
    entry->took_us = 20000;
    strcpy(entry->client, client);
    slowlog_add(&server->slowlog, entry, 100);
}

static void of_slow_commands_keys_are_told_and_no_values(void **state) {
    struct server *server = *state;
    add_slow(server, "[::1]:99", "MSET a\" secret b secret", ' ');
    add_slow(server, "[::1]:99", "Config SET requirepass secret", ' ');
    add_slow(server, "[::1]:99", "DEL 1 2 3 4 5", ' ');
    add_slow(server, "[::1]:99", "no\"ne secret", ' ');
    add_slow(server, "", "(one of 2 commands)|set x|get y", '|');
    struct text text = answer(server);
    assert_non_null(strstr(
        text.data,
        "\"command\":\"(one of 2 commands)\",\"keys\":[\"set x\",\"get y\"],\"from\":\"\"}"));
    assert_non_null(strstr(text.data, "\"command\":\"mset\",\"keys\":[\"a\\\"\",\"b\"]"));
    assert_non_null(strstr(text.data, "\"command\":\"config|set\",\"keys\":[]"));
    assert_non_null(strstr(text.data, "\"command\":\"del\",\"keys\":[\"1\",\"2\",\"3\",\"4\"]"));
    assert_non_null(strstr(text.data, "\"command\":\"\",\"keys\":[]"));
    assert_null(strstr(text.data, "secret"));
    text_release(&text);
    slowlog_release(&server->slowlog);
}

static void more_shards_than_cells_share_them(void **state) {
    struct server *server = *state;
    shards_release(&server->shards);
    struct shards_options options = {.shard_count = 4 * CONSOLE_CELLS_MAX,
                                     .database_count = 1,
                                     .worker_count = IDLE_WORKERS,
                                     .reserve_bytes = 1 << 20};
    assert_int_equal(shards_init(&server->shards, &options), STATUS_OK);
    counters_add(&counters_of_worker(&server->shards.counters, 0)[5].reads, 3);
    counters_add(&counters_of_worker(&server->shards.counters, 1)[7].reads, 4);
    struct text text = answer(server);
    assert_non_null(strstr(text.data, "\"shards_a_cell\":4,\"shards\":[[0,0,0],[7,0,0],[0,0,0],"));
    text_release(&text);
}

static void the_page_needs_nothing_from_elsewhere(void **state) {
    (void)state;
    struct bytes page = console_page();
    static const char *const outside[] = {"src=", "https:",    "@import",
                                          "url(", "innerHTML", " style="};
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
        assert_null(memmem(page.data, page.size, outside[i], strlen(outside[i])));
    }
    char policy[CONSOLE_POLICY_MAX];
    console_policy(policy);
    assert_int_equal(strncmp(policy, "default-src 'none'; script-src 'sha256-", 39), 0);
    assert_null(strstr(policy, "unsafe"));
    assert_non_null(strstr(policy, "; frame-ancestors 'none'")); /* it is whole */
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, idle_server_set_up, idle_server_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(an_idle_server_answers_json),
        TEST(any_key_can_be_told),
        TEST(of_slow_commands_keys_are_told_and_no_values),
        TEST(more_shards_than_cells_share_them),
        cmocka_unit_test(the_page_needs_nothing_from_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
