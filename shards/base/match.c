/* Glob patterns with Redis's answers, in bounded time.
 *
 * Redis's `stringmatchlen` recurses at every star. Here one loop walks pattern and text together and
 * remembers only the *last* star: when an element fails, the text under that star is let grow by one byte,
 * and what follows the star is tried again there. Earlier stars need no second thought: whatever a longer
 * run under them could reach, the last star reaches too. So each byte of text starts at most one attempt,
 * each attempt reads the pattern at most once: pattern x text steps, no stack.
 *
 * Oddities kept, because users' patterns rely on what Redis does with them:
 *   - a class that isn't closed ends with the pattern ("[ab" is "[ab]"), and "[" alone matches nothing;
 *   - "]" closes a class also as its first byte, so "[]" matches nothing and "[^]" any byte;
 *   - inside a class "\x" is x, exactly, even when case is ignored; a lone "\" at the pattern's end is itself;
 *   - a range may be written backwards ("[z-a]"), and its second byte may be anything, "]" included;
 *   - bytes compare in a range as `char`, which is signed on x86.
 * One we don't keep: Redis says that "*" does not match the empty text (its callers test for "*" first).
 * Here it does. */
#include "match.h"

#include <stddef.h>

/* Where we are in a pattern or a text. */
struct span {
    const char *next, *end;
};

static struct span span_of(struct bytes bytes) {
    if (bytes.size == 0) return (struct span){"", ""};
    return (struct span){bytes.data, bytes.data + bytes.size};
}

static size_t span_left(const struct span *span) {
    return (size_t)(span->end - span->next);
}

static char fold(char c, bool folded) {
    return folded ? byte_lower(c) : c;
}

static bool range_has(char first, char last, char c, bool folded) {
    char low = first < last ? first : last;
    char high = first < last ? last : first;
    c = fold(c, folded);
    return c >= fold(low, folded) && c <= fold(high, folded);
}

/* `pattern` is behind the "["; leave it behind the "]". */
static bool class_matches(struct span *pattern, char c, bool folded) {
    bool is_negated = pattern->next < pattern->end && *pattern->next == '^';
    if (is_negated) pattern->next++;
    bool found = false;
    while (pattern->next < pattern->end && *pattern->next != ']') {
        const char *p = pattern->next;
        if (*p == '\\' && span_left(pattern) >= 2) {
            found |= p[1] == c;
            pattern->next += 2;
        } else if (span_left(pattern) >= 3 && p[1] == '-') {
            found |= range_has(p[0], p[2], c, folded);
            pattern->next += 3;
        } else {
            found |= fold(*p, folded) == fold(c, folded);
            pattern->next++;
        }
    }
    if (pattern->next < pattern->end) pattern->next++;
    return found != is_negated;
}

/* Does the element at the front of `pattern`, not a star, match the byte `c`? Leave `pattern` behind it. */
static bool element_matches(struct span *pattern, char c, bool folded) {
    char first = *pattern->next++;
    if (first == '?') return true;
    if (first == '[') return class_matches(pattern, c, folded);
    if (first == '\\' && pattern->next < pattern->end) first = *pattern->next++;
    return fold(first, folded) == fold(c, folded);
}

static bool skip_stars(struct span *pattern) {
    const char *start = pattern->next;
    while (pattern->next < pattern->end && *pattern->next == '*') {
        pattern->next++;
    }
    return pattern->next > start;
}

static bool match(struct bytes pattern_bytes, struct bytes text_bytes, bool folded) {
    struct span pattern = span_of(pattern_bytes);
    struct span text = span_of(text_bytes);
    struct span after_star = {
        0};                   /* what follows the last star; next is NULL before there was one */
    const char *retry = NULL; /* where that is tried in the text */
    while (text.next < text.end) {
        if (skip_stars(&pattern)) {
            if (pattern.next == pattern.end) return true;
            after_star = pattern;
            retry = text.next;
        }
        if (pattern.next < pattern.end && element_matches(&pattern, *text.next, folded)) {
            text.next++;
        } else if (after_star.next != NULL) {
            pattern = after_star;
            text.next = ++retry;
        } else {
            return false;
        }
    }
    skip_stars(&pattern);
    return pattern.next == pattern.end;
}

bool match_glob(struct bytes pattern, struct bytes text) {
    return match(pattern, text, false);
}

bool match_glob_folded(struct bytes pattern, struct bytes text) {
    return match(pattern, text, true);
}
