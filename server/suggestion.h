/* The known name that a mistyped one is most like: who knows names offers them, one by one, and the nearest is kept. */
#pragma once

#include <stddef.h>

#include "shards/base/bytes.h"

struct suggestion {
    struct bytes name;   /* the mistyped one, in any case; borrowed */
    const char *nearest; /* NULL: none is near */
    size_t distance; /* of the nearest: 0 is the name itself. Where none is near, what is too far */
};

void suggestion_init(struct suggestion *suggestion, struct bytes name);
/* `known`, in lower case, outlives the suggestion. Of two that are as near the first stays. */
void suggestion_offer(struct suggestion *suggestion, const char *known);
