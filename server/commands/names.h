/* Names that clients give themselves: printable, without spaces, so that a line of CLIENT LIST can be split. Pure. */
#pragma once

#include <stdbool.h>

#include "shards/base/bytes.h"

static const char name_refused[] =
    "ERR Client names cannot contain spaces, newlines or special characters.";

static inline bool name_is_plain(struct bytes name) {
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] < '!' || name.data[i] > '~') return false;
    }
    return true;
}
