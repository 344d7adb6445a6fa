/* Text as the inside of a JSON string (RFC 8259): quotes, backslashes and control characters are escaped; what is
 * not UTF-8 becomes U+FFFD, byte by byte, so that no reader stumbles over it. Pure. */
#pragma once

#include <stddef.h>

/* Write as many whole characters as fit into `room` bytes, without a NUL. Returns the bytes written. */
size_t json_text_write(char *out, size_t room, const char *text);
