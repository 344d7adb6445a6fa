/* The request parser: one straight line for what clients really send, one careful path for everything else.
 *
 * Nearly every request is an array of a few short bulk strings, and is whole:
 *
 *      *2\r\n $3\r\nGET\r\n $16\r\nsixteen-byte-key\r\n
 *      └count └─header └value
 *
 * `parse_small` takes these: up to nine arguments below 1000 bytes each. A header is told by its few bytes, in
 * line: there is no search, no call and no state. Whatever it doesn't recognise (a longer header, an odd byte, the
 * end of the input) it leaves to the careful path, which starts over from the same place; so the fast path needs no
 * error handling, and the careful path alone defines what is right.
 *
 * Arriving in pieces. The input only grows, so the parser remembers offsets. Three things could make the work
 * quadratic when bytes come one by one, and each has its field in `struct resp_parser`:
 *   - waiting for a large value: `needed_bytes` answers before anything is looked at;
 *   - looking for the end of a long line: `scanned` says from where to search on;
 *   - a request of many arguments: past REPARSE_ARGUMENTS_MAX they are saved as offsets, and parsing goes on at
 *     `position`. Fewer are parsed again instead, which is cheaper than an allocation a cut request.
 *
 * Kept from Redis: the byte behind a header's '\r' and the two behind a value are skipped unseen; "*0" and "*-1"
 * are requests of nothing; an inline line ends at '\n' with or without '\r'; quoting is told in words.h. Where
 * Redis's answer depends on how the bytes were cut (a line past 64 KiB passes if it comes in one piece), ours is
 * always that for bytes coming one by one. NUL is a byte like any other here; Redis stops at it.
 *
 * In a pipeline a GET of a 16-byte key takes 72 instructions, 10 ns; a SET of 64 bytes 14 ns; an inline GET 36 ns
 * (gcc -O2, 2.6 GHz).
 *
 * Thanks to Kazuho Oku's picohttpparser, which shows how little a parser needs to know. */
#include "net/resp_request.h"

#include <assert.h>
#include <endian.h>
#include <stdio.h>
#include <string.h>

#include "net/words.h"
#include "shards/base/memory.h"
#include "shards/base/number.h"

enum {
    SMALL_COUNT_MAX = 9,
    SMALL_BULK_MAX = 999,
    REPARSE_ARGUMENTS_MAX = 32, /* of a cut request, so many are parsed again, not saved */
    REPARSE_SCANNED_MAX = 64,   /* and so many bytes of a line are searched again */
    ARGUMENTS_CAPACITY_MIN = 64,
    ARGUMENTS_KEPT = 4096, /* room that is kept for the next request */
};

/* parse_small doesn't ask who the client is. */
static_assert((int)SMALL_COUNT_MAX <= (int)RESP_ARGUMENTS_UNTRUSTED_MAX, "allowed to everybody");
static_assert((int)SMALL_BULK_MAX <= (int)RESP_BULK_UNTRUSTED_MAX, "allowed to everybody");

/* An argument of an input that may move. */
struct resp_slice {
    size_t offset, size;
};

/* What a call of resp_parse was given, so that helpers take one thing. */
struct parse {
    struct resp_parser *parser;
    char *input;
    size_t size;
    const struct resp_limits *limits;
    struct resp_arguments *arguments;
    struct resp_request *request;
};

/* ---- Arguments ------------------------------------------------------------------------------- */

void resp_arguments_init(struct resp_arguments *arguments) {
    *arguments = (struct resp_arguments){0};
}

static void account(size_t before, size_t now, size_t size) {
    memory_account_clients(((int64_t)now - (int64_t)before) * (int64_t)size);
}

void resp_arguments_release(struct resp_arguments *arguments) {
    account(arguments->capacity, 0, sizeof *arguments->data);
    memory_free(arguments->data);
    resp_arguments_init(arguments);
}

void resp_arguments_clear(struct resp_arguments *arguments) {
    arguments->count = 0;
    if (__builtin_expect(arguments->capacity > ARGUMENTS_KEPT, 0))
        resp_arguments_release(arguments);
}

/* Make room for `count` more. */
static enum resp_outcome arguments_reserve(struct resp_arguments *arguments, size_t count) {
    if (arguments->capacity - arguments->count >= count) return RESP_COMPLETE;
    size_t capacity = arguments->capacity > 0 ? arguments->capacity : ARGUMENTS_CAPACITY_MIN;
    while (capacity - arguments->count < count) {
        capacity *= 2;
    }
    struct bytes *data = memory_resize(arguments->data, capacity * sizeof *data);
    if (data == NULL) return RESP_NO_MEMORY;
    account(arguments->capacity, capacity, sizeof *data);
    arguments->data = data;
    arguments->capacity = capacity;
    return RESP_COMPLETE;
}

/* ---- The fast path --------------------------------------------------------------------------- */

/* The value of the digit that is byte `index` of a word; 10 or more when it is none. */
static inline unsigned digit_at(uint64_t word, unsigned index) {
    return (unsigned)(word >> 8 * index & 0xff) - '0';
}

/* "$", a length below 1000 without leading zeros, CRLF: returns the header's size, or 0 for anything else.
 * Reads nothing at or past `end`. What is shorter than a word, "$0\r\n\r\n" and "$1\r\nx\r\n", can only be read
 * at the very end of the input. */
static inline size_t read_small_header(const char *at, const char *end, size_t *length) {
    enum { SHORTEST = 6 };
    uint64_t word = 0;
    if (__builtin_expect((size_t)(end - at) >= sizeof word, 1)) {
        memcpy(&word, at, sizeof word);
    } else if (end - at >= SHORTEST) {
        memcpy(&word, at, SHORTEST);
    }
    word = le64toh(
        word); /* its lowest byte is the first: a header and its line end are one comparison */
    unsigned first = digit_at(word, 1), second = digit_at(word, 2), third = digit_at(word, 3);
    if ((word & 0xffff00ff) == 0x0a0d0024 && first <= 9) { /* "$?\r\n" */
        *length = first;
        return 4;
    }
    if (first - 1 > 8 || second > 9) return 0;
    if ((word & 0xffff0000ff) == 0x0a0d000024) { /* "$??\r\n" */
        *length = first * 10 + second;
        return 5;
    }
    *length = first * 100 + second * 10 + third;
    return (word & 0xffff000000ff) == 0x0a0d00000024 && third <= 9 ? 6 : 0; /* "$???\r\n" */
}

/* A whole request of few, short arguments; false when it is anything else, having changed nothing that counts. */
static inline bool parse_small(const struct parse *parse) {
    const char *at = parse->input;
    const char *end = at + parse->size;
    if (parse->size < 4 || at[0] != '*' || memcmp(at + 2, "\r\n", 2) != 0) return false;
    size_t count = (size_t)(unsigned char)(at[1] - '0');
    struct resp_arguments *arguments = parse->arguments;
    if (count - 1 >= SMALL_COUNT_MAX || arguments->capacity - arguments->count < count)
        return false;
    at += 4;
    struct bytes *argument = arguments->data + arguments->count;
    for (struct bytes *last = argument + count; argument < last; argument++) {
        size_t length;
        size_t header = read_small_header(at, end, &length);
        if (header == 0 || (size_t)(end - at) < header + length + 2) return false;
        *argument = bytes_of(at + header, length);
        at += header + length + 2;
    }
    parse->request->first = arguments->count;
    parse->request->count = (uint32_t)count;
    parse->request->size = (size_t)(at - parse->input);
    arguments->count += count;
    parse->parser->needed_bytes = 0;
    return true;
}

/* ---- Outcomes -------------------------------------------------------------------------------- */

static enum resp_outcome invalid(const struct parse *parse, const char *reason) {
    snprintf(parse->request->error, RESP_ERROR_MAX, "Protocol error: %s", reason);
    return RESP_INVALID;
}

static enum resp_outcome incomplete(const struct parse *parse, uint64_t needed_bytes) {
    parse->parser->needed_bytes = needed_bytes;
    return RESP_INCOMPLETE;
}

/* The request is the first `size` bytes; its arguments are those from `first` on. */
static enum resp_outcome complete(const struct parse *parse, size_t first, size_t size) {
    parse->request->first = first;
    parse->request->count = (uint32_t)(parse->arguments->count - first);
    parse->request->size = size;
    resp_parser_release(parse->parser);
    return RESP_COMPLETE;
}

/* ---- Lines ----------------------------------------------------------------------------------- */

/* Find `end_byte` in the line that starts at `start`; `*length` is the number of bytes before it. */
static enum resp_outcome find_line_end(const struct parse *parse, size_t start, char end_byte,
                                       const char *too_big, size_t *length) {
    struct resp_parser *parser = parse->parser;
    size_t available = parse->size - start;
    size_t window = available <= RESP_INLINE_MAX ? available : RESP_INLINE_MAX + 1;
    const char *line = parse->input + start;
    const char *found = memchr(line + parser->scanned, end_byte, window - parser->scanned);
    if (found == NULL) {
        if (available > RESP_INLINE_MAX) return invalid(parse, too_big);
        parser->scanned = (uint32_t)window;
        return incomplete(parse, (uint64_t)parse->size + 1);
    }
    *length = (size_t)(found - line);
    parser->scanned = (uint32_t)*length;
    return RESP_COMPLETE;
}

/* A header line, "*12\r\n" or "$12\r\n", at the parser's position; `*length` leaves out the line end. */
static enum resp_outcome read_header(const struct parse *parse, const char *too_big,
                                     size_t *length) {
    size_t start = parse->parser->position;
    enum resp_outcome outcome = find_line_end(parse, start, '\r', too_big, length);
    if (outcome != RESP_COMPLETE) return outcome;
    if (parse->size - start < *length + 2) return incomplete(parse, (uint64_t)parse->size + 1);
    parse->parser->scanned = 0;
    return RESP_COMPLETE;
}

/* ---- Arrays ---------------------------------------------------------------------------------- */

/* "*count": sets the parser's `remaining`, and its position behind the line. */
static enum resp_outcome parse_array_header(const struct parse *parse) {
    size_t length;
    enum resp_outcome outcome = read_header(parse, "too big mbulk count string", &length);
    if (outcome != RESP_COMPLETE) return outcome;
    int64_t count;
    if (!number_read(bytes_of(parse->input + 1, length - 1), &count) ||
        count > RESP_ARGUMENTS_MAX) {
        return invalid(parse, "invalid multibulk length");
    }
    if (count > RESP_ARGUMENTS_UNTRUSTED_MAX && !parse->limits->is_trusted) {
        return invalid(parse, "unauthenticated multibulk length");
    }
    parse->parser->remaining = count > 0 ? (uint32_t)count : 0;
    parse->parser->position = length + 2;
    return RESP_COMPLETE;
}

/* "$length" at the parser's position; `*header` is the size of the line. */
static enum resp_outcome parse_bulk_header(const struct parse *parse, size_t *header,
                                           uint64_t *length) {
    const char *line = parse->input + parse->parser->position;
    size_t small;
    *header = read_small_header(line, parse->input + parse->size, &small);
    if (*header > 0 && small <= parse->limits->bulk_bytes_max) {
        parse->parser->scanned = 0;
        *length = small;
        return RESP_COMPLETE;
    }
    size_t line_size;
    enum resp_outcome outcome = read_header(parse, "too big bulk count string", &line_size);
    if (outcome != RESP_COMPLETE) return outcome;
    if (line[0] != '$') {
        char reason[] = "expected '$', got '?'";
        reason[sizeof reason - 3] = line[0];
        return invalid(parse, reason);
    }
    int64_t number;
    if (!number_read(bytes_of(line + 1, line_size - 1), &number) || number < 0 ||
        (uint64_t)number > parse->limits->bulk_bytes_max) {
        return invalid(parse, "invalid bulk length");
    }
    if (number > RESP_BULK_UNTRUSTED_MAX && !parse->limits->is_trusted) {
        return invalid(parse, "unauthenticated bulk length");
    }
    *header = line_size + 2;
    *length = (uint64_t)number;
    return RESP_COMPLETE;
}

/* The next argument: append it, and move the parser's position behind it. */
static enum resp_outcome parse_bulk(const struct parse *parse) {
    struct resp_parser *parser = parse->parser;
    size_t header = 0;
    uint64_t length = 0;
    enum resp_outcome outcome = parse_bulk_header(parse, &header, &length);
    if (outcome != RESP_COMPLETE) return outcome;
    /* Cannot wrap: the position is within the input, and the length within int64_t. */
    uint64_t end = (uint64_t)parser->position + header + length + 2;
    if (parse->size < end) return incomplete(parse, end);
    outcome = arguments_reserve(parse->arguments, 1);
    if (outcome != RESP_COMPLETE) return outcome;
    const char *value = parse->input + parser->position + header;
    parse->arguments->data[parse->arguments->count++] = bytes_of(value, (size_t)length);
    parser->position = (size_t)end;
    parser->remaining--;
    return RESP_COMPLETE;
}

/* Move the arguments from `first` on to the saved ones. */
static enum resp_outcome save_arguments(const struct parse *parse, size_t first) {
    struct resp_parser *parser = parse->parser;
    uint32_t count = (uint32_t)(parse->arguments->count - first);
    if (count == 0) return RESP_COMPLETE;
    if (parser->saved_capacity - parser->saved_count < count) {
        uint32_t capacity = 2 * (parser->saved_count + count);
        struct resp_slice *saved = memory_resize(parser->saved, capacity * sizeof *saved);
        if (saved == NULL) return RESP_NO_MEMORY;
        account(parser->saved_capacity, capacity, sizeof *saved);
        parser->saved = saved;
        parser->saved_capacity = capacity;
    }
    for (const struct bytes *from = parse->arguments->data + first; count > 0; from++, count--) {
        size_t offset = (size_t)(from->data - parse->input);
        parser->saved[parser->saved_count++] = (struct resp_slice){offset, from->size};
    }
    parse->arguments->count = first;
    return RESP_COMPLETE;
}

/* Put the saved arguments back, before those from `first` on. */
static enum resp_outcome restore_arguments(const struct parse *parse, size_t first) {
    uint32_t count = parse->parser->saved_count;
    if (count == 0) return RESP_COMPLETE;
    struct resp_arguments *arguments = parse->arguments;
    enum resp_outcome outcome = arguments_reserve(arguments, count);
    if (outcome != RESP_COMPLETE) return outcome;
    struct bytes *to = arguments->data + first;
    memmove(to + count, to, (arguments->count - first) * sizeof *to);
    for (const struct resp_slice *slice = parse->parser->saved; count > 0; slice++, count--) {
        *to++ = bytes_of(parse->input + slice->offset, slice->size);
    }
    arguments->count += parse->parser->saved_count;
    return RESP_COMPLETE;
}

/* The input ended in the midst of a request: remember as much as is worth it. */
static enum resp_outcome suspend_array(const struct parse *parse, size_t first) {
    struct resp_parser *parser = parse->parser;
    size_t parsed = parser->saved_count + (parse->arguments->count - first);
    if (parsed > REPARSE_ARGUMENTS_MAX || parser->scanned > REPARSE_SCANNED_MAX) {
        return save_arguments(parse, first) == RESP_COMPLETE ? RESP_INCOMPLETE : RESP_NO_MEMORY;
    }
    parser->position = 0;
    parser->remaining = 0;
    parser->scanned = 0;
    return RESP_INCOMPLETE;
}

static enum resp_outcome parse_array(const struct parse *parse) {
    struct resp_parser *parser = parse->parser;
    size_t first = parse->arguments->count;
    if (parser->position == 0) {
        enum resp_outcome outcome = parse_array_header(parse);
        if (outcome != RESP_COMPLETE) return outcome;
    }
    enum resp_outcome outcome = RESP_COMPLETE;
    while (parser->remaining > 0 && outcome == RESP_COMPLETE) {
        outcome = parse_bulk(parse);
    }
    if (outcome == RESP_COMPLETE) outcome = restore_arguments(parse, first);
    if (outcome == RESP_COMPLETE) return complete(parse, first, parser->position);
    if (outcome == RESP_INCOMPLETE) outcome = suspend_array(parse, first);
    parse->arguments->count = first;
    return outcome;
}

/* ---- Inline commands ------------------------------------------------------------------------- */

/* Append the words of a line of `size` bytes, for which there is room. False when its quotes are unbalanced. */
static bool append_words(char *line, size_t size, struct resp_arguments *arguments) {
    struct words words = {.next = line, .end = line + size};
    struct bytes word;
    enum words_outcome outcome;
    while ((outcome = words_next(&words, &word)) == WORDS_FOUND) {
        arguments->data[arguments->count++] = word;
    }
    return outcome == WORDS_END;
}

static enum resp_outcome parse_inline(const struct parse *parse) {
    size_t length;
    enum resp_outcome outcome = find_line_end(parse, 0, '\n', "too big inline request", &length);
    if (outcome != RESP_COMPLETE) return outcome;
    size_t size = length + 1;
    if (length > 0 && parse->input[length - 1] == '\r') length--;
    struct resp_arguments *arguments = parse->arguments;
    /* Before anything is decoded: a word and its space take two bytes. */
    outcome = arguments_reserve(arguments, length / 2 + 1);
    if (outcome != RESP_COMPLETE) return outcome;
    size_t first = arguments->count;
    if (!append_words(parse->input, length, arguments)) {
        arguments->count = first;
        return invalid(parse, "unbalanced quotes in request");
    }
    return complete(parse, first, size);
}

/* ---- Entry ----------------------------------------------------------------------------------- */

size_t resp_parser_bytes(const struct resp_parser *parser) {
    return parser->saved_capacity * sizeof(struct resp_slice);
}

void resp_parser_release(struct resp_parser *parser) {
    account(parser->saved_capacity, 0, sizeof *parser->saved);
    memory_free(parser->saved);
    *parser = (struct resp_parser){0};
}

static __attribute__((noinline)) enum resp_outcome parse_any(const struct parse *parse) {
    if (parse->size == 0) return RESP_INCOMPLETE;
    return parse->input[0] == '*' ? parse_array(parse) : parse_inline(parse);
}

enum resp_outcome resp_parse(struct resp_parser *parser, char *input, size_t size,
                             const struct resp_limits *limits, struct resp_arguments *arguments,
                             struct resp_request *request) {
    if (size < parser->needed_bytes) return RESP_INCOMPLETE;
    struct parse parse = {parser, input, size, limits, arguments, request};
    /* Only from a clean start: parse_small leaves the parser alone, and what an earlier piece left must be
     * cleared. */
    bool is_fresh = (parser->needed_bytes | parser->position | parser->scanned) == 0;
    bool is_small_allowed = is_fresh && limits->bulk_bytes_max >= SMALL_BULK_MAX;
    if (is_small_allowed && parse_small(&parse)) return RESP_COMPLETE;
    return parse_any(&parse);
}
