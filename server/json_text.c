#include "server/json_text.h"

#include <stdio.h>
#include <string.h>

/* The bytes of the UTF-8 character that `text` begins with; 0: it isn't one (RFC 3629: no overlong forms, no
 * surrogates, nothing beyond U+10FFFF). Ends at a NUL, which continues nothing. */
static size_t character_size(const unsigned char *text) {
    unsigned char first = text[0], low = 0x80, high = 0xbf;
    size_t size = first < 0x80   ? 1
                  : first < 0xc2 ? 0
                  : first < 0xe0 ? 2
                  : first < 0xf0 ? 3
                  : first < 0xf5 ? 4
                                 : 0;
    if (first == 0xe0) low = 0xa0;
    if (first == 0xed) high = 0x9f;
    if (first == 0xf0) low = 0x90;
    if (first == 0xf4) high = 0x8f;
    for (size_t i = 1; i < size; i++) {
        if (text[i] < low || text[i] > high) return 0;
        low = 0x80;
        high = 0xbf;
    }
    return size;
}

size_t json_text_write(char *out, size_t room, const char *text) {
    size_t written = 0;
    for (const unsigned char *next = (const unsigned char *)text; *next != '\0';) {
        size_t taken = character_size(next);
        char escaped[8];
        const char *shown = escaped;
        size_t size;
        if (taken == 0) {
            shown = "\xef\xbf\xbd";
            size = 3;
        } else if (*next == '"' || *next == '\\') {
            size = (size_t)snprintf(escaped, sizeof escaped, "\\%c", *next);
        } else if (*next < ' ' || *next == 0x7f) {
            size = (size_t)snprintf(escaped, sizeof escaped, "\\u%04x", *next);
        } else {
            shown = (const char *)next;
            size = taken;
        }
        if (size > room - written) break;
        memcpy(out + written, shown, size);
        written += size;
        next += taken != 0 ? taken : 1;
    }
    return written;
}
