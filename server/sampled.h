/* What a sampled request did to one key: the sampler's word to the sketches. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "shards/database.h"

enum { SAMPLED_WEIGHT = 128 /* requests that a sampled one stands for */ };

struct sampled {
    struct key key;
    uint32_t database;
    bool is_write;
    uint64_t bytes; /* of request and reply: this key's part */
};
