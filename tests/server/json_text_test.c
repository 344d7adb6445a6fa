/* Whatever goes in, what comes out may stand between two quotes of a JSON text. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "server/json_text.h"

static void what_json_cannot_hold_is_escaped(void **state) {
    (void)state;
    static const struct {
        const char *text, *json;
    } examples[] = {
        {"", ""},
        {"plain / text", "plain / text"},
        {"\"\\\n\x01\x7f", "\\\"\\\\\\u000a\\u0001\\u007f"},
        {"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},                 /* overlong */
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* a surrogate */
        {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd"}, /* cut */
        {"\xc3"
         "a",
         "\xef\xbf\xbd"
         "a"},
    };
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        char out[64];
        size_t size = json_text_write(out, sizeof out, examples[i].text);
        assert_int_equal(size, strlen(examples[i].json));
        assert_memory_equal(out, examples[i].json, size);
    }
}

static void only_whole_characters_are_written(void **state) {
    (void)state;
    char out[8];
    assert_int_equal(json_text_write(out, 3, "a\n"), 1);
    assert_int_equal(json_text_write(out, 6, "\n\n"), 6);
    assert_int_equal(json_text_write(out, 2, "a\xe2\x82\xac"), 1);
    assert_int_equal(json_text_write(out, 0, "a"), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_json_cannot_hold_is_escaped),
        cmocka_unit_test(only_whole_characters_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
