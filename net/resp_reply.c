/* Replies: a type byte, a number or a length, and bytes. The two protocols differ in the type byte, and in what
 * RESP2 lacks; each difference is told where it is made, so that commands know one set of functions.
 *
 * A small reply is one reservation and a few stores: a length or count below 100 is written without a call (a bulk
 * string of 64 bytes takes 4.5 ns, an integer 2.1). Everything that may be long is appended instead, in as many
 * chunks as it takes. */
#include "net/resp_reply.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "shards/base/check.h"
#include "shards/base/memory.h"
#include "shards/base/number.h"

enum {
    HEADER_MAX = 1 + NUMBER_TEXT_MAX + 2,                 /* type byte, number, line end */
    SMALL_TEXT_MAX = BUFFER_RESERVE_MAX - HEADER_MAX - 2, /* one reservation with its header */
    FORMAT_MAX = 512, /* a longer formatted text takes an allocation */
    VERBATIM_FORMAT_BYTES = 3,
};
static_assert(NUMBER_TEXT_DOUBLE_MAX + HEADER_MAX <= BUFFER_RESERVE_MAX,
              "a number is one reservation");

/* ---- Pieces ---------------------------------------------------------------------------------- */

static inline char *put_line_end(char *out) {
    memcpy(out, "\r\n", 2);
    return out + 2;
}

static inline char *put_text_and_line_end(char *out, struct bytes text) {
    if (text.size > 0) memcpy(out, text.data, text.size);
    return put_line_end(out + text.size);
}

static inline char *put_header(char *out, char type, uint64_t number) {
    *out++ = type;
    if (number < 10) {
        *out++ = (char)('0' + number);
    } else if (number < 100) {
        *out++ = (char)('0' + number / 10);
        *out++ = (char)('0' + number % 10);
    } else {
        out += number_write_unsigned(number, out);
    }
    return put_line_end(out);
}

static inline void write_header(struct reply *reply, char type, uint64_t number) {
    char *out = buffer_reserve(reply->buffer, HEADER_MAX);
    buffer_commit(reply->buffer, put_header(out, type, number));
}

/* A whole reply or a piece of one, as it stands. */
static inline void write_text(struct reply *reply, const char *text) {
    buffer_append(reply->buffer, bytes_of_text(text));
}

static void append_with_line_end(struct reply *reply, struct bytes bytes) {
    buffer_append(reply->buffer, bytes);
    write_text(reply, "\r\n");
}

static __attribute__((noinline)) void write_long_line(struct reply *reply, char type,
                                                      struct bytes text) {
    buffer_append(reply->buffer, bytes_of(&type, 1));
    append_with_line_end(reply, text);
}

/* Type byte, text, line end; the text has no line end itself. */
static inline void write_line(struct reply *reply, char type, struct bytes text) {
    if (__builtin_expect(text.size > SMALL_TEXT_MAX, 0)) {
        write_long_line(reply, type, text);
        return;
    }
    char *out = buffer_reserve(reply->buffer, text.size + 3);
    *out++ = type;
    buffer_commit(reply->buffer, put_text_and_line_end(out, text));
}

/* ---- Formatted text -------------------------------------------------------------------------- */

/* Text that lives in `small` or, when that is too small, on the heap; cut short when memory is refused. */
struct formatted {
    char *text;
    size_t size;
    char small[FORMAT_MAX];
};

static __attribute__((format(printf, 2, 0))) void format_init(struct formatted *formatted,
                                                              const char *format, va_list values) {
    va_list again;
    va_copy(again, values);
    int printed = vsnprintf(formatted->small, FORMAT_MAX, format, values);
    check(printed >= 0);
    formatted->text = formatted->small;
    formatted->size = (size_t)printed;
    if (formatted->size >= FORMAT_MAX) {
        char *text = memory_allocate(formatted->size + 1);
        if (text != NULL) {
            vsnprintf(text, formatted->size + 1, format, again);
            formatted->text = text;
        } else {
            formatted->size = FORMAT_MAX - 1;
        }
    }
    va_end(again);
}

static void format_release(struct formatted *formatted) {
    if (formatted->text != formatted->small) memory_free(formatted->text);
}

/* ---- Lines ----------------------------------------------------------------------------------- */

void reply_simple_bytes(struct reply *reply, struct bytes text) {
    write_line(reply, '+', text);
}

/* The code is the first word, cut to what there is room for. */
static void note_error(struct reply *reply, struct bytes text) {
    size_t size = 0;
    while (size < text.size && size < REPLY_CODE_MAX - 1 && text.data[size] != ' ') {
        reply->error_code[size] = text.data[size];
        size++;
    }
    reply->error_code[size] = 0;
    reply->error_count++;
}

/* A run of `text` without line ends at a time, each line end becoming a space. Those at the end are dropped. */
static void write_error(struct reply *reply, struct bytes text) {
    while (text.size > 0 &&
           (text.data[text.size - 1] == '\r' || text.data[text.size - 1] == '\n')) {
        text.size--;
    }
    write_text(reply, "-");
    size_t done = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] != '\r' && text.data[i] != '\n') continue;
        buffer_append(reply->buffer, bytes_of(text.data + done, i - done));
        write_text(reply, " ");
        done = i + 1;
    }
    append_with_line_end(reply, bytes_of(text.data + done, text.size - done));
    note_error(reply, text);
}

void reply_error(struct reply *reply, const char *text) {
    write_error(reply, bytes_of_text(text));
}

void reply_error_format(struct reply *reply, const char *format, ...) {
    struct formatted formatted;
    va_list values;
    va_start(values, format);
    format_init(&formatted, format, values);
    va_end(values);
    write_error(reply, bytes_of(formatted.text, formatted.size));
    format_release(&formatted);
}

void reply_integer(struct reply *reply, int64_t number) {
    if (number >= 0) {
        write_header(reply, ':', (uint64_t)number);
        return;
    }
    char *out = buffer_reserve(reply->buffer, HEADER_MAX);
    *out++ = ':';
    out += number_write(number, out);
    buffer_commit(reply->buffer, put_line_end(out));
}

void reply_null(struct reply *reply) {
    write_text(reply, reply->protocol >= 3 ? "_\r\n" : "$-1\r\n");
}

void reply_null_array(struct reply *reply) {
    write_text(reply, reply->protocol >= 3 ? "_\r\n" : "*-1\r\n");
}

void reply_boolean(struct reply *reply, bool value) {
    if (reply->protocol >= 3) {
        write_text(reply, value ? "#t\r\n" : "#f\r\n");
    } else {
        reply_integer(reply, value);
    }
}

void reply_double(struct reply *reply, double number) {
    char text[NUMBER_TEXT_DOUBLE_MAX];
    struct bytes bytes = bytes_of(text, number_write_double(number, text));
    if (reply->protocol >= 3) {
        write_line(reply, ',', bytes);
    } else {
        reply_bulk(reply, bytes);
    }
}

void reply_big_number(struct reply *reply, const char *digits) {
    if (reply->protocol >= 3) {
        write_line(reply, '(', bytes_of_text(digits));
    } else {
        reply_bulk_text(reply, digits);
    }
}

/* ---- Bulk strings ---------------------------------------------------------------------------- */

static __attribute__((noinline)) void write_large_bulk(struct reply *reply, struct bytes bytes) {
    write_header(reply, '$', bytes.size);
    append_with_line_end(reply, bytes);
}

void reply_bulk(struct reply *reply, struct bytes bytes) {
    if (__builtin_expect(bytes.size > SMALL_TEXT_MAX, 0)) {
        write_large_bulk(reply, bytes);
        return;
    }
    char *out = buffer_reserve(reply->buffer, HEADER_MAX + bytes.size + 2);
    out = put_header(out, '$', bytes.size);
    buffer_commit(reply->buffer, put_text_and_line_end(out, bytes));
}

void reply_bulk_text(struct reply *reply, const char *text) {
    reply_bulk(reply, bytes_of_text(text));
}

void reply_field(struct reply *reply, const char *name, uint64_t count) {
    reply_bulk_text(reply, name);
    reply_integer(reply, (int64_t)count);
}

void reply_bulk_format(struct reply *reply, const char *format, ...) {
    struct formatted formatted;
    va_list values;
    va_start(values, format);
    format_init(&formatted, format, values);
    va_end(values);
    reply_bulk(reply, bytes_of(formatted.text, formatted.size));
    format_release(&formatted);
}

void reply_bulk_integer(struct reply *reply, int64_t number) {
    char text[NUMBER_TEXT_MAX];
    reply_bulk(reply, bytes_of(text, number_write(number, text)));
}

void reply_bulk_reference(struct reply *reply, struct bytes bytes, struct buffer_owner owner) {
    write_header(reply, '$', bytes.size);
    buffer_append_reference(reply->buffer, bytes, owner);
    write_text(reply, "\r\n");
}

void reply_verbatim(struct reply *reply, const char *format, struct bytes text) {
    if (reply->protocol < 3) {
        reply_bulk(reply, text);
        return;
    }
    check_debug(strlen(format) == VERBATIM_FORMAT_BYTES);
    write_header(reply, '=', VERBATIM_FORMAT_BYTES + 1 + text.size);
    write_text(reply, format);
    write_text(reply, ":");
    append_with_line_end(reply, text);
}

/* ---- Headers of what follows ----------------------------------------------------------------- */

void reply_array(struct reply *reply, uint64_t count) {
    write_header(reply, '*', count);
}

void reply_map(struct reply *reply, uint64_t pairs) {
    if (reply->protocol >= 3) {
        write_header(reply, '%', pairs);
    } else {
        write_header(reply, '*', pairs * 2);
    }
}

void reply_set(struct reply *reply, uint64_t count) {
    write_header(reply, reply->protocol >= 3 ? '~' : '*', count);
}

void reply_attribute(struct reply *reply, uint64_t pairs) {
    check_debug(reply->protocol >= 3);
    write_header(reply, '|', pairs);
}

void reply_push(struct reply *reply, uint64_t count) {
    write_header(reply, reply->protocol >= 3 ? '>' : '*', count);
}
