/* The console by the keyboard alone: every control can be reached, is seen to have the focus, does what it says, and
 * lets go. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "tests/support/browser.h"
#include "tests/support/client.h"
#include "tests/support/web.h"

enum { WIDE = 1280, PHONE = 390, HEIGHT = 844 };

struct visit {
    struct test_server *server;
    struct browser browser;
    char url[64];
};

static int start(void **state) {
    struct visit *visit = calloc(1, sizeof *visit);
    assert_non_null(visit);
    char port[16];
    snprintf(port, sizeof port, "%d", test_server_free_port());
    const char *const options[] = {"--metrics-port", port, "--shards", "16", NULL};
    visit->server = test_server_start(options);
    snprintf(visit->url, sizeof visit->url, "http://127.0.0.1:%s/", port);
    *state = visit;
    return 0;
}

static int stop(void **state) {
    struct visit *visit = *state;
    browser_close(&visit->browser);
    test_server_stop(visit->server);
    free(visit);
    return 0;
}

/* With the numbers there: from then on all of it works. */
static struct browser *open_page(struct visit *visit, int width) {
    browser_open(&visit->browser, visit->url, width, HEIGHT);
    browser_await(&visit->browser, "document.querySelectorAll('#cells i').length === 16");
    return &visit->browser;
}

static void expect(struct browser *browser, const char *condition) {
    if (!browser_finds(browser, condition)) fail_msg("not true: %s", condition);
}

/* It has the focus, and a person sees that, on the screen. */
static void expect_at(struct browser *browser, const char *selector) {
    char condition[512];
    snprintf(condition, sizeof condition,
             "(() => { const at = document.activeElement, style = getComputedStyle(at), box = "
             "at.getBoundingClientRect(); return at.matches('%s') && style.outlineStyle === "
             "'solid' && parseFloat(style.outlineWidth) >= 2 && box.bottom > 0 && box.top < "
             "innerHeight; })()",
             selector);
    expect(browser, condition);
}

static void every_control_is_reached_and_left_by_the_tab_key(void **state) {
    struct browser *browser = open_page(*state, WIDE);
    static const char *const stops[] = {"#pause", "input[name=heat]", "#cells"};
    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++) {
        browser_press(browser, "Tab");
        expect_at(browser, stops[i]);
    }
    browser_press(browser, "Tab"); /* nothing else that wants keys */
    expect(browser, "document.activeElement === document.body");
    for (size_t i = sizeof stops / sizeof stops[0]; i-- != 0;) {
        browser_press(browser, "Shift+Tab");
        expect_at(browser, stops[i]);
    }
}

static void pausing_and_going_on_take_a_key(void **state) {
    struct browser *browser = open_page(*state, WIDE);
    browser_press(browser, "Tab");
    browser_press(browser, "Space");
    expect(browser, "document.querySelector('#pause').ariaPressed === 'true'");
    expect(browser, "document.querySelector('#state').textContent === 'paused'");
    browser_press(browser, "Enter");
    expect(browser, "document.querySelector('#pause').ariaPressed === 'false'");
    browser_await(browser, "document.querySelector('#state').textContent === 'live'");
}

static void the_heat_map_is_walked_by_arrow_keys(void **state) {
    struct browser *browser = open_page(*state, WIDE);
    browser_press(browser, "Tab");
    browser_press(browser, "Tab");
    browser_press(browser, "ArrowRight");
    expect(browser, "document.querySelector('input:checked').value === '1'");
    expect(browser, "document.querySelector('#cell').textContent.includes(' writes a second')");
    browser_press(browser, "Tab");
    static const struct {
        const char *key, *said;
    } steps[] = {
        {"ArrowRight", "Shard 0:"}, {"ArrowRight", "Shard 1:"}, {"ArrowLeft", "Shard 0:"},
        {"ArrowLeft", "Shard 0:"},  {"End", "Shard 15:"},       {"ArrowRight", "Shard 15:"},
        {"Home", "Shard 0:"},       {"ArrowUp", "Shard 0:"},    {"Escape", "Full colour"},
    };
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        char condition[128];
        browser_press(browser, steps[i].key);
        snprintf(condition, sizeof condition,
                 "document.querySelector('#cell').textContent.startsWith('%s')", steps[i].said);
        expect(browser, condition);
    }
}

/* On a phone; where all fits, as here, no table is one. Paused, so that the page doesn't look again meanwhile. */
static void a_table_is_a_stop_only_when_it_scrolls(void **state) {
    struct browser *browser = open_page(*state, PHONE);
    expect(browser, "document.documentElement.scrollWidth <= innerWidth");
    expect(browser, "[...document.querySelectorAll('.scroll')].every(box => box.tabIndex < 0)");
    browser_press(browser, "Tab");
    browser_press(browser, "Space");
    expect(browser, "(document.querySelector('#workers td').textContent = 'x'.repeat(99), "
                    "letScroll(), true)");
    browser_press(browser, "Tab");
    browser_press(browser, "Tab");
    browser_press(browser, "Tab");
    expect_at(browser, ".scroll");
    browser_press(browser, "ArrowRight");
    browser_await(browser, "document.activeElement.scrollLeft > 0");
    browser_press(browser, "Tab");
    expect(browser, "document.activeElement === document.body");
}

int main(void) {
    test_server_require();
    if (!browser_is_installed()) {
        fprintf(stderr, "skipped: there is no chromium to look at the console with\n");
        return TEST_SKIPPED;
    }
    if (!web_is_built_in()) return TEST_SKIPPED;
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(every_control_is_reached_and_left_by_the_tab_key),
        TEST(pausing_and_going_on_take_a_key),
        TEST(the_heat_map_is_walked_by_arrow_keys),
        TEST(a_table_is_a_stop_only_when_it_scrolls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
