#include "escape.h"

#include <stdbool.h>
#include <stdint.h>

/* Bytes of the character that `bytes`, which aren't empty, start with; 0 when they start with none (RFC 3629: nothing
 * overlong, no surrogates, nothing beyond U+10FFFF), or with a control character. */
static size_t character_size(struct bytes bytes) {
    const unsigned char *at = (const unsigned char *)bytes.data;
    if (at[0] < 0x80) return at[0] >= 0x20 && at[0] != 0x7f;
    size_t size = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    if (at[0] < 0xc2 || at[0] > 0xf4 || bytes.size < size) return 0;
    uint32_t code = at[0] & (0x7fU >> size);
    for (size_t i = 1; i < size; i++) {
        if ((at[i] & 0xc0) != 0x80) return 0;
        code = code << 6 | (at[i] & 0x3fU);
    }
    static const uint32_t smallest[] = {[2] = 0xa0 /* below are controls */, 0x800, 0x10000};
    bool is_surrogate = code >= 0xd800 && code <= 0xdfff;
    return code >= smallest[size] && code <= 0x10ffff && !is_surrogate ? size : 0;
}

void escape_add(struct text *out, struct bytes bytes) {
    while (bytes.size != 0) {
        size_t size = character_size(bytes);
        if (size == 0) {
            text_format(out, "\\\\x%02x", (unsigned char)bytes.data[0]);
            size = 1;
        } else {
            if (bytes.data[0] == '"' || bytes.data[0] == '\\') text_add(out, BYTES("\\"));
            text_add(out, bytes_of(bytes.data, size));
        }
        bytes = bytes_of(bytes.data + size, bytes.size - size);
    }
}
