#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "shards/base/match.h"

struct match_case {
    const char *pattern, *text;
    bool matches;
};

static void assert_cases(const struct match_case *cases, size_t count) {
    for (size_t i = 0; i < count; i++) {
        bool matches = match_glob(bytes_of_text(cases[i].pattern), bytes_of_text(cases[i].text));
        if (matches != cases[i].matches) {
            fail_msg("pattern \"%s\", text \"%s\": expected %d", cases[i].pattern, cases[i].text,
                     cases[i].matches);
        }
    }
}

#define ASSERT_CASES(cases) assert_cases(cases, sizeof(cases) / sizeof *(cases))

static void stars_and_question_marks_match_runs_and_bytes(void **state) {
    (void)state;
    static const struct match_case cases[] = {
        {"", "", true},           {"", "a", false},        {"a", "", false},
        {"*", "", true},          {"***", "", true},       {"*", "anything", true},
        {"?", "a", true},         {"?", "", false},        {"??", "a", false},
        {"h?llo", "hello", true}, {"h*llo", "hllo", true}, {"h*llo", "heeeello", true},
        {"h*llo", "hell", false}, {"*a*", "bab", true},    {"a*", "a", true},
        {"a**", "a", true},       {"*ab", "aab", true},    {"*ab*cd", "abxabcd", true},
        {"*abc", "ababd", false}, {"a*?", "a", false},     {"user:*:name", "user:7:name", true},
        {"abc", "abcd", false},   {"abcd", "abc", false},
    };
    ASSERT_CASES(cases);
}

static void classes_match_members_ranges_and_their_negation(void **state) {
    (void)state;
    static const struct match_case cases[] = {
        {"h[ae]llo", "hallo", true},  {"h[ae]llo", "hillo", false}, {"h[^e]llo", "hallo", true},
        {"h[^e]llo", "hello", false}, {"h[a-c]llo", "hbllo", true}, {"h[a-c]llo", "hdllo", false},
        {"[z-a]", "m", true},         {"[a-]", "a", true},          {"[-a]", "-", true},
        {"[a\\]b]", "]", true},       {"[\\^a]", "^", true},        {"[a^]", "^", true},
        {"[^-z]", "-", false},        {"x[0-9]*", "x42", true},
    };
    ASSERT_CASES(cases);
}

static void odd_classes_answer_as_redis_does(void **state) {
    (void)state;
    static const struct match_case cases[] = {
        {"[", "[", false},   {"[", "a", false},  {"[ab", "a", true},  {"[ab", "c", false},
        {"[^", "a", true},   {"[]", "a", false}, {"[^]", "a", true},  {"[]a]", "a]", false},
        {"[\\", "\\", true}, {"[a-", "-", true}, {"[a-]", "]", true}, {"[a-]", "-", false},
    };
    ASSERT_CASES(cases);
}

static void a_backslash_takes_the_next_byte_as_it_is(void **state) {
    (void)state;
    static const struct match_case cases[] = {
        {"h\\*llo", "h*llo", true}, {"h\\*llo", "hello", false}, {"\\?", "?", true},
        {"\\?", "a", false},        {"\\[a]", "[a]", true},      {"\\\\", "\\", true},
        {"\\", "\\", true},         {"a\\", "a\\", true},
    };
    ASSERT_CASES(cases);
}

static void the_folded_match_ignores_case_but_for_an_escape_in_a_class(void **state) {
    (void)state;
    assert_true(match_glob_folded(BYTES("MAX*"), BYTES("maxmemory")));
    assert_true(match_glob_folded(BYTES("[A-C]x"), BYTES("bX")));
    assert_true(match_glob_folded(BYTES("\\A"), BYTES("a")));
    assert_false(match_glob_folded(BYTES("[\\A]"), BYTES("a")));
    assert_false(match_glob(BYTES("MAX*"), BYTES("maxmemory")));
}

static void patterns_and_texts_may_hold_any_byte(void **state) {
    (void)state;
    assert_true(match_glob(bytes_of("a\0*", 3), bytes_of("a\0b\0", 4)));
    assert_false(match_glob(bytes_of("a\0", 2), bytes_of("a", 1)));
    assert_true(match_glob(BYTES("[\x80-\xff]"), BYTES("\xc3")));
    assert_true(match_glob((struct bytes){NULL, 0}, (struct bytes){NULL, 0}));
}

/* By recursion at each star this takes about 2000^60 steps; it would never end. */
static void a_pattern_of_many_stars_ends_soon(void **state) {
    (void)state;
    enum { STARS = 60, TEXT = 2000 };
    char pattern[2 * STARS + 1], text[TEXT];
    for (size_t i = 0; i < STARS; i++) {
        memcpy(pattern + 2 * i, "a*", 2);
    }
    pattern[2 * STARS] = 'b';
    memset(text, 'a', TEXT);
    assert_false(match_glob(bytes_of(pattern, sizeof pattern), bytes_of(text, TEXT)));
    text[TEXT - 1] = 'b';
    assert_true(match_glob(bytes_of(pattern, sizeof pattern), bytes_of(text, TEXT)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stars_and_question_marks_match_runs_and_bytes),
        cmocka_unit_test(classes_match_members_ranges_and_their_negation),
        cmocka_unit_test(odd_classes_answer_as_redis_does),
        cmocka_unit_test(a_backslash_takes_the_next_byte_as_it_is),
        cmocka_unit_test(the_folded_match_ignores_case_but_for_an_escape_in_a_class),
        cmocka_unit_test(patterns_and_texts_may_hold_any_byte),
        cmocka_unit_test(a_pattern_of_many_stars_ends_soon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
