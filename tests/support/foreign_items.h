/* What an RDB file of Redis's may hold and ours never does: an item for each shape of value that we lack, and what
 * may stand before a key. */
#pragma once

#include <stddef.h>

#include "shards/base/bytes.h"

/* One item, whole. */
struct foreign_item {
    const char *type; /* NULL: a key */
    struct bytes bytes;
};

extern const struct foreign_item foreign_items[];
extern const size_t foreign_item_count;
