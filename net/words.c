#include "net/words.h"

#include <stdbool.h>
#include <stddef.h>

/* A word being decoded: `write` never passes `read`. */
struct decoder {
    char *read, *end;
    char *write;
};

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Spaces end a word, but for the two that Redis only skips between words. */
static bool ends_word(char c) {
    return is_space(c) && c != '\v' && c != '\f';
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c = byte_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static char unescape(char c) {
    switch (c) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'b':
        return '\b';
    case 'a':
        return '\a';
    default:
        return c;
    }
}

/* `read` is at a backslash inside double quotes. */
static void decode_escape(struct decoder *word) {
    const char *at = word->read;
    ptrdiff_t left = word->end - at;
    if (left >= 4 && at[1] == 'x' && hex_value(at[2]) >= 0 && hex_value(at[3]) >= 0) {
        *word->write++ = (char)(hex_value(at[2]) * 16 + hex_value(at[3]));
        word->read += 4;
    } else if (left >= 2) {
        *word->write++ = unescape(at[1]);
        word->read += 2;
    } else {
        *word->write++ = *word->read++;
    }
}

/* `read` is behind an opening quote. Leaves it behind the closing one, which must end the word. */
static bool decode_quoted(struct decoder *word, char quote) {
    while (word->read < word->end) {
        char c = *word->read;
        if (c == quote) {
            word->read++;
            return word->read == word->end || is_space(*word->read);
        }
        if (c == '\\' && quote == '"') {
            decode_escape(word);
            continue;
        }
        bool is_escaped_quote = c == '\\' && word->end - word->read >= 2 && word->read[1] == quote;
        if (is_escaped_quote) word->read++;
        *word->write++ = *word->read++;
    }
    return false;
}

/* `read` is at the first byte. */
static bool decode_word(struct decoder *word) {
    while (word->read < word->end && !ends_word(*word->read)) {
        char c = *word->read++;
        if (c == '"' || c == '\'') return decode_quoted(word, c);
        *word->write++ = c;
    }
    return true;
}

enum words_outcome words_next(struct words *words, struct bytes *word) {
    while (words->next < words->end && is_space(*words->next)) {
        words->next++;
    }
    if (words->next == words->end) return WORDS_END;
    char *start = words->next;
    struct decoder decoder = {.read = start, .end = words->end, .write = start};
    if (!decode_word(&decoder)) return WORDS_UNBALANCED;
    words->next = decoder.read;
    *word = bytes_of(start, (size_t)(decoder.write - start));
    return WORDS_FOUND;
}
