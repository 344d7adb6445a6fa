/* The request parser, from a guarded page: the input ends where memory does, so a byte read past it stops the test. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "net/resp_request.h"
#include "shards/base/memory.h"

static const struct resp_limits trusted = {.bulk_bytes_max = 512 * 1024 * 1024, .is_trusted = true};
static const struct resp_limits untrusted = {.bulk_bytes_max = 512 * 1024 * 1024,
                                             .is_trusted = false};

/* ---- A guarded input, and what a parser made of it ------------------------------------------- */

enum { PAGES_BYTES = 16 * 1024 * 1024 };

static char *pages; /* PAGES_BYTES, and a page that may not be touched */

static int map_pages(void **state) {
    (void)state;
    pages =
        mmap(NULL, PAGES_BYTES + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) return -1;
    return mprotect(pages + PAGES_BYTES, 4096, PROT_NONE);
}

static int unmap_pages(void **state) {
    (void)state;
    return munmap(pages, PAGES_BYTES + 4096);
}

/* Place the first `size` bytes of `from` so that they end with the page. */
static char *place(const char *from, size_t size) {
    char *at = pages + PAGES_BYTES - size;
    if (size > 0) memcpy(at, from, size);
    return at;
}

struct attempt {
    struct resp_parser parser;
    struct resp_arguments arguments;
    struct resp_request request;
    enum resp_outcome outcome;
};

static void attempt_init(struct attempt *attempt) {
    *attempt = (struct attempt){.outcome = RESP_INCOMPLETE};
    resp_arguments_init(&attempt->arguments);
}

static void attempt_release(struct attempt *attempt) {
    resp_parser_release(&attempt->parser);
    resp_arguments_release(&attempt->arguments);
}

/* Parse what has arrived: the first `size` bytes of `text`. */
static void attempt_feed(struct attempt *attempt, const char *text, size_t size,
                         const struct resp_limits *limits) {
    size_t before = attempt->arguments.count;
    attempt->outcome = resp_parse(&attempt->parser, place(text, size), size, limits,
                                  &attempt->arguments, &attempt->request);
    if (attempt->outcome != RESP_COMPLETE) assert_int_equal(attempt->arguments.count, before);
}

static void assert_same(const struct attempt *a, const struct attempt *b) {
    assert_int_equal(a->outcome, b->outcome);
    if (a->outcome == RESP_INVALID) assert_string_equal(a->request.error, b->request.error);
    if (a->outcome != RESP_COMPLETE) return;
    assert_int_equal(a->request.size, b->request.size);
    assert_int_equal(a->request.count, b->request.count);
    for (uint32_t i = 0; i < a->request.count; i++) {
        struct bytes left = a->arguments.data[a->request.first + i];
        struct bytes right = b->arguments.data[b->request.first + i];
        assert_int_equal(left.size, right.size);
        if (left.size > 0) assert_memory_equal(left.data, right.data, left.size);
    }
}

/* Where an attempt's arguments lie is overwritten by the next one: keep them. */
static void attempt_keep(struct attempt *attempt, char *copy, size_t size) {
    if (attempt->outcome != RESP_COMPLETE) return;
    const char *input = pages + PAGES_BYTES - size;
    memcpy(copy, input, size);
    for (uint32_t i = 0; i < attempt->request.count; i++) {
        struct bytes *argument = &attempt->arguments.data[attempt->request.first + i];
        argument->data = copy + (argument->data - input);
    }
}

/* Whole, cut in two at every place, and byte by byte: it must come out the same. */
static void assert_cuts_do_not_matter(const char *text, size_t size,
                                      const struct resp_limits *limits) {
    struct attempt whole;
    attempt_init(&whole);
    attempt_feed(&whole, text, size, limits);
    char *copy = malloc(size + 1);
    assert_non_null(copy);
    attempt_keep(&whole, copy, size);
    for (size_t cut = 0; cut <= size; cut++) {
        struct attempt cut_once;
        attempt_init(&cut_once);
        attempt_feed(&cut_once, text, cut, limits);
        if (cut_once.outcome == RESP_INCOMPLETE) attempt_feed(&cut_once, text, size, limits);
        assert_same(&whole, &cut_once);
        attempt_release(&cut_once);
    }
    struct attempt bytewise;
    attempt_init(&bytewise);
    for (size_t have = 0; have <= size && bytewise.outcome == RESP_INCOMPLETE; have++) {
        attempt_feed(&bytewise, text, have, limits);
    }
    assert_same(&whole, &bytewise);
    attempt_release(&bytewise);
    attempt_release(&whole);
    free(copy);
}

/* ---- Requests -------------------------------------------------------------------------------- */

struct example {
    const char *text;
    size_t size;
    const char *arguments; /* each in [ ]; NULL: not whole */
};
#define EXAMPLE(text, arguments)                                                                   \
    { text, sizeof(text) - 1, arguments }

static const struct example examples[] = {
    EXAMPLE("*1\r\n$4\r\nPING\r\n", "[PING]"),
    EXAMPLE("*2\r\n$3\r\nGET\r\n$16\r\n0123456789abcdef\r\n", "[GET][0123456789abcdef]"),
    EXAMPLE("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n", "[SET][k][]"),
    EXAMPLE("*2\r\n$3\r\nGET\r\n$2\r\n\r\n\r\n", "[GET][\r\n]"),
    EXAMPLE("*9\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n$1\r\ne\r\n$1\r\nf\r\n$1\r\ng\r\n$"
            "1\r\nh\r\n$1\r\ni\r\n",
            "[a][b][c][d][e][f][g][h][i]"),
    EXAMPLE("*10\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n$1\r\ne\r\n$1\r\nf\r\n$1\r\ng\r\n$"
            "1\r\nh\r\n$1\r\ni\r\n$1\r\nj\r\n",
            "[a][b][c][d][e][f][g][h][i][j]"),
    /* What follows an argument's bytes, and a header's '\r', is skipped unseen. */
    EXAMPLE("*1\rX$4\rXPINGXX", "[PING]"),
    /* Requests of nothing. */
    EXAMPLE("*0\r\n", ""),
    EXAMPLE("*-1\r\n", ""),
    EXAMPLE("*-7\r\n", ""),
    EXAMPLE("\r\n", ""),
    EXAMPLE("\n", ""),
    EXAMPLE("   \t \r\n", ""),
    /* Inline. */
    EXAMPLE("PING\r\n", "[PING]"),
    EXAMPLE("PING\n", "[PING]"),
    EXAMPLE("  SET  k\tv \r\n", "[SET][k][v]"),
    EXAMPLE("SET \"a b\" 'c d'\r\n", "[SET][a b][c d]"),
    EXAMPLE("ECHO \"\\x41\\x4a\\n\\r\\t\\b\\a\\\"\\q\"\r\n", "[ECHO][AJ\n\r\t\b\a\"q]"),
    EXAMPLE("ECHO \"\\x4\" \"\\xzz\"\r\n", "[ECHO][x4][xzz]"),
    EXAMPLE("ECHO 'it\\'s' 'a\\n'\r\n", "[ECHO][it's][a\\n]"),
    EXAMPLE("ECHO \"\" ''\r\n", "[ECHO][][]"),
    EXAMPLE("ECHO a\"b c\"\r\n", "[ECHO][ab c]"),
    EXAMPLE("ECHO a\vb\r\n", "[ECHO][a\vb]"),
    EXAMPLE("ECHO \"a\"\vb\r\n", "[ECHO][a][b]"),
    EXAMPLE("$3\r\n", "[$3]"),
    /* Not whole. */
    EXAMPLE("", NULL),
    EXAMPLE("*", NULL),
    EXAMPLE("*2\r", NULL),
    EXAMPLE("*2\r\n", NULL),
    EXAMPLE("*2\r\n$3\r\nGET\r\n$16\r\n0123456789abcde", NULL),
    EXAMPLE("*1\r\n$4\r\nPING\r", NULL),
    EXAMPLE("PING\r", NULL),
    EXAMPLE("*1\n$4\nPING\n", NULL),
};

/* The arguments, each in [ ]. */
static void print_arguments(const struct attempt *attempt, char *out) {
    for (uint32_t i = 0; i < attempt->request.count; i++) {
        struct bytes argument = attempt->arguments.data[attempt->request.first + i];
        *out++ = '[';
        memcpy(out, argument.data, argument.size);
        out += argument.size;
        *out++ = ']';
    }
    *out = '\0';
}

static void requests_become_their_arguments(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        struct attempt attempt;
        attempt_init(&attempt);
        attempt_feed(&attempt, examples[i].text, examples[i].size, &trusted);
        if (examples[i].arguments == NULL) {
            assert_int_equal(attempt.outcome, RESP_INCOMPLETE);
        } else {
            char arguments[256];
            assert_int_equal(attempt.outcome, RESP_COMPLETE);
            assert_int_equal(attempt.request.size, examples[i].size);
            print_arguments(&attempt, arguments);
            assert_string_equal(arguments, examples[i].arguments);
        }
        attempt_release(&attempt);
    }
}

static void a_request_is_the_same_however_it_is_cut(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        assert_cuts_do_not_matter(examples[i].text, examples[i].size, &trusted);
    }
}

static void a_pipeline_is_parsed_request_by_request(void **state) {
    (void)state;
    static const char text[] =
        "*1\r\n$4\r\nPING\r\nPING\r\n*0\r\n*2\r\n$4\r\nECHO\r\n$1\r\nx\r\n*1\r\n$4\r\nPI";
    static const uint32_t counts[] = {1, 1, 0, 2};
    struct attempt attempt;
    attempt_init(&attempt);
    size_t done = 0;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        attempt_feed(&attempt, text + done, sizeof text - 1 - done, &trusted);
        assert_int_equal(attempt.outcome, RESP_COMPLETE);
        assert_int_equal(attempt.request.count, counts[i]);
        done += attempt.request.size;
    }
    assert_int_equal(attempt.arguments.count, 4); /* all share one array */
    attempt_feed(&attempt, text + done, sizeof text - 1 - done, &trusted);
    assert_int_equal(attempt.outcome, RESP_INCOMPLETE);
    attempt_release(&attempt);
}

/* ---- Errors ---------------------------------------------------------------------------------- */

struct mistake {
    const char *text;
    const char *error; /* behind "Protocol error: " */
};

static void assert_error(const char *text, size_t size, const struct resp_limits *limits,
                         const char *error) {
    struct attempt attempt;
    attempt_init(&attempt);
    attempt_feed(&attempt, text, size, limits);
    assert_int_equal(attempt.outcome, RESP_INVALID);
    char expected[RESP_ERROR_MAX];
    snprintf(expected, sizeof expected, "Protocol error: %s", error);
    assert_string_equal(attempt.request.error, expected);
    attempt_release(&attempt);
}

static void protocol_errors_have_redis_texts(void **state) {
    (void)state;
    static const struct mistake mistakes[] = {
        {"*x\r\n", "invalid multibulk length"},
        {"*\r\n", "invalid multibulk length"},
        {"*+1\r\n", "invalid multibulk length"},
        {"*01\r\n", "invalid multibulk length"},
        {"* 1\r\n", "invalid multibulk length"},
        {"*1048577\r\n", "invalid multibulk length"},
        {"*99999999999999999999\r\n", "invalid multibulk length"},
        {"*1\r\nPING\r\n", "expected '$', got 'P'"},
        {"*1\r\n:4\r\nPING\r\n", "expected '$', got ':'"},
        {"*1\r\n$\r\n", "invalid bulk length"},
        {"*1\r\n$x\r\n", "invalid bulk length"},
        {"*1\r\n$-1\r\n", "invalid bulk length"},
        {"*1\r\n$04\r\nPING\r\n", "invalid bulk length"},
        {"*1\r\n$536870913\r\n", "invalid bulk length"},
        {"*1\r\n$18446744073709551615\r\n", "invalid bulk length"},
        {"*1\r\n$9223372036854775807\r\n", "invalid bulk length"},
        {"SET \"k\r\n", "unbalanced quotes in request"},
        {"SET 'k\r\n", "unbalanced quotes in request"},
        {"SET \"k\"v\r\n", "unbalanced quotes in request"},
        {"SET \"k\\\"\r\n", "unbalanced quotes in request"},
        {"SET \"k\\\r\n", "unbalanced quotes in request"},
    };
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        size_t size = strlen(mistakes[i].text);
        assert_error(mistakes[i].text, size, &trusted, mistakes[i].error);
        assert_cuts_do_not_matter(mistakes[i].text, size, &trusted);
    }
}

static void before_authentication_less_is_allowed(void **state) {
    (void)state;
    static const struct mistake mistakes[] = {
        {"*11\r\n", "unauthenticated multibulk length"},
        {"*1\r\n$16385\r\n", "unauthenticated bulk length"},
    };
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        assert_error(mistakes[i].text, strlen(mistakes[i].text), &untrusted, mistakes[i].error);
        struct attempt attempt;
        attempt_init(&attempt);
        attempt_feed(&attempt, mistakes[i].text, strlen(mistakes[i].text), &trusted);
        assert_int_equal(attempt.outcome, RESP_INCOMPLETE);
        attempt_release(&attempt);
    }
    assert_cuts_do_not_matter("*10\r\n$16384\r\nab", 14, &untrusted);
}

static void the_limit_of_an_argument_holds_for_short_ones_too(void **state) {
    (void)state;
    static const struct resp_limits tiny = {.bulk_bytes_max = 3, .is_trusted = true};
    assert_error("*1\r\n$4\r\nPING\r\n", 14, &tiny, "invalid bulk length");
    assert_cuts_do_not_matter("*1\r\n$3\r\nGET\r\n", 13, &tiny);
}

/* A line of `size` bytes that begins with `start` and has no line end. */
static char *long_line(const char *start, size_t size) {
    char *line = malloc(size + 2);
    assert_non_null(line);
    memset(line, 'x', size);
    memcpy(line, start, strlen(start));
    memcpy(line + size, "\r\n", 2);
    return line;
}

static void a_line_without_end_is_refused_past_its_limit(void **state) {
    (void)state;
    static const struct mistake mistakes[] = {
        {"", "too big inline request"},
        {"*", "too big mbulk count string"},
        {"*1\r\n$", "too big bulk count string"},
    };
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        size_t header = i == 2 ? 4 : 0;
        char *line = long_line(mistakes[i].text, header + RESP_INLINE_MAX + 1);
        struct attempt attempt;
        attempt_init(&attempt);
        attempt_feed(&attempt, line, header + RESP_INLINE_MAX, &trusted);
        assert_int_equal(attempt.outcome, RESP_INCOMPLETE);
        attempt_feed(&attempt, line, header + RESP_INLINE_MAX + 1, &trusted);
        assert_int_equal(attempt.outcome, RESP_INVALID);
        attempt_release(&attempt);
        assert_error(line, header + RESP_INLINE_MAX + 1, &trusted, mistakes[i].error);
        free(line);
    }
}

static void the_longest_inline_command_is_accepted(void **state) {
    (void)state;
    char *line = long_line("ECHO ", RESP_INLINE_MAX - 1);
    struct attempt attempt;
    attempt_init(&attempt);
    attempt_feed(&attempt, line, RESP_INLINE_MAX + 1, &trusted);
    assert_int_equal(attempt.outcome, RESP_COMPLETE);
    assert_int_equal(attempt.request.count, 2);
    attempt_release(&attempt);
    free(line);
}

/* ---- Work ------------------------------------------------------------------------------------ */

/* "*count" and as many arguments of one byte. */
static char *many_arguments(uint32_t count, size_t *size) {
    char *text = malloc(16 + (size_t)count * 7);
    assert_non_null(text);
    size_t at = (size_t)sprintf(text, "*%u\r\n", count);
    for (uint32_t i = 0; i < count; i++) {
        memcpy(text + at, "$1\r\nx\r\n", 7);
        text[at + 4] = (char)('a' + i % 26);
        at += 7;
    }
    *size = at;
    return text;
}

/* Feed what grows in place (place() would copy it each time), `step` bytes more at a time. */
static void feed_growing(struct attempt *attempt, char *text, size_t size, size_t step) {
    for (size_t have = step; attempt->outcome == RESP_INCOMPLETE; have += step) {
        if (have > size) have = size;
        attempt->outcome = resp_parse(&attempt->parser, text, have, &trusted, &attempt->arguments,
                                      &attempt->request);
        assert_true(have < size || attempt->outcome != RESP_INCOMPLETE);
    }
}

static void the_most_arguments_come_byte_by_byte_in_linear_time(void **state) {
    (void)state;
    size_t size;
    char *text = many_arguments(RESP_ARGUMENTS_MAX, &size);
    struct attempt attempt;
    attempt_init(&attempt);
    feed_growing(&attempt, text, size,
                 1); /* quadratic work would be 10^13 steps: the test would time out */
    assert_int_equal(attempt.outcome, RESP_COMPLETE);
    assert_int_equal(attempt.request.count, RESP_ARGUMENTS_MAX);
    for (uint32_t i = 0; i < RESP_ARGUMENTS_MAX; i++) {
        struct bytes argument = attempt.arguments.data[i];
        assert_true(argument.size == 1 && argument.data[0] == (char)('a' + i % 26));
    }
    attempt_release(&attempt);
    free(text);
}

static void many_arguments_survive_every_cut_and_a_moving_input(void **state) {
    (void)state;
    size_t size;
    char *text = many_arguments(100, &size);
    assert_cuts_do_not_matter(text, size, &trusted);
    free(text);
}

static void a_waiting_value_is_not_looked_at_again(void **state) {
    (void)state;
    static const char header[] = "*2\r\n$3\r\nGET\r\n$536870912\r\n";
    struct attempt attempt;
    attempt_init(&attempt);
    attempt_feed(&attempt, header, sizeof header - 1, &trusted);
    assert_int_equal(attempt.outcome, RESP_INCOMPLETE);
    assert_int_equal(attempt.parser.needed_bytes, sizeof header - 1 + 536870912 + 2);
    char *nothing = pages + PAGES_BYTES; /* may not be touched, and isn't */
    for (size_t have = sizeof header; have < attempt.parser.needed_bytes; have += 512 * 1024) {
        enum resp_outcome outcome = resp_parse(&attempt.parser, nothing, have, &trusted,
                                               &attempt.arguments, &attempt.request);
        assert_int_equal(outcome, RESP_INCOMPLETE);
    }
    attempt_release(&attempt);
}

static void a_long_line_comes_byte_by_byte_in_linear_time(void **state) {
    (void)state;
    static const char *const starts[] = {"ECHO ", "*", "*2\r\n$1\r\na\r\n$"};
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        char *line = long_line(starts[i], RESP_INLINE_MAX - 1);
        struct attempt attempt;
        attempt_init(&attempt);
        for (size_t have = 1; have <= RESP_INLINE_MAX - 1; have++) {
            enum resp_outcome outcome = resp_parse(&attempt.parser, line, have, &trusted,
                                                   &attempt.arguments, &attempt.request);
            assert_int_equal(outcome, RESP_INCOMPLETE);
            /* All that was seen is known to be done, but for a bounded rest. */
            if (have > 128) assert_true(attempt.parser.position + attempt.parser.scanned == have);
        }
        attempt_release(&attempt);
        free(line);
    }
}

static void refused_memory_is_an_outcome(void **state) {
    (void)state;
    size_t size;
    char *text = many_arguments(100, &size);
    for (int64_t allowed = 0;; allowed++) {
        struct attempt attempt;
        attempt_init(&attempt);
        memory_refuse_after(allowed);
        feed_growing(&attempt, text, size, 350);
        memory_refuse_after(-1);
        enum resp_outcome outcome = attempt.outcome;
        assert_true(outcome == RESP_NO_MEMORY || outcome == RESP_COMPLETE);
        if (outcome == RESP_COMPLETE) assert_int_equal(attempt.request.count, 100);
        attempt_release(&attempt);
        if (outcome == RESP_COMPLETE) break;
        assert_true(allowed < 10);
    }
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_become_their_arguments),
        cmocka_unit_test(a_request_is_the_same_however_it_is_cut),
        cmocka_unit_test(a_pipeline_is_parsed_request_by_request),
        cmocka_unit_test(protocol_errors_have_redis_texts),
        cmocka_unit_test(before_authentication_less_is_allowed),
        cmocka_unit_test(the_limit_of_an_argument_holds_for_short_ones_too),
        cmocka_unit_test(a_line_without_end_is_refused_past_its_limit),
        cmocka_unit_test(the_longest_inline_command_is_accepted),
        cmocka_unit_test(the_most_arguments_come_byte_by_byte_in_linear_time),
        cmocka_unit_test(many_arguments_survive_every_cut_and_a_moving_input),
        cmocka_unit_test(a_waiting_value_is_not_looked_at_again),
        cmocka_unit_test(a_long_line_comes_byte_by_byte_in_linear_time),
        cmocka_unit_test(refused_memory_is_an_outcome),
    };
    return cmocka_run_group_tests(tests, map_pages, unmap_pages);
}
