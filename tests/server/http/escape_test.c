/* Whatever bytes a name is of, the text is one that JSON can hold. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "server/http/escape.h"

static void expect(struct bytes bytes, const char *expected) {
    struct text text = {0};
    escape_add(&text, bytes);
    text_add(&text, bytes_of("", 1));
    assert_string_equal(text.data, expected);
    text_release(&text);
}

static void printable_text_stays(void **state) {
    (void)state;
    expect(BYTES(""), "");
    expect(BYTES("user:42 <script>"), "user:42 <script>");
    expect(BYTES("h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x8f\xba"),
           "h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x8f\xba");
}

static void quotes_and_backslashes_are_escaped(void **state) {
    (void)state;
    expect(BYTES("a\"b\\c"), "a\\\"b\\\\c");
}

static void controls_show_as_their_numbers(void **state) {
    (void)state;
    expect(bytes_of("\0\n\x7f", 3), "\\\\x00\\\\x0a\\\\x7f");
    expect(BYTES("\xc2\x85"), "\\\\xc2\\\\x85"); /* U+0085 */
}

static void what_is_no_utf8_shows_byte_by_byte(void **state) {
    (void)state;
    expect(BYTES("\xff"), "\\\\xff");
    expect(BYTES("\xc3"), "\\\\xc3");                                  /* cut */
    expect(BYTES("\xe2\x82z"), "\\\\xe2\\\\x82z");                     /* cut by a letter */
    expect(BYTES("\xc0\xaf"), "\\\\xc0\\\\xaf");                       /* overlong */
    expect(BYTES("\xe0\x80\xaf"), "\\\\xe0\\\\x80\\\\xaf");            /* the same in three */
    expect(BYTES("\xed\xa0\x80"), "\\\\xed\\\\xa0\\\\x80");            /* a surrogate */
    expect(BYTES("\xf4\x90\x80\x80"), "\\\\xf4\\\\x90\\\\x80\\\\x80"); /* beyond U+10FFFF */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(printable_text_stays),
        cmocka_unit_test(quotes_and_backslashes_are_escaped),
        cmocka_unit_test(controls_show_as_their_numbers),
        cmocka_unit_test(what_is_no_utf8_shows_byte_by_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
