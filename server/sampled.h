/* What a sampled request did to one key: the sampler's word to those who take notes. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "shards/database.h"

enum { SAMPLED_WEIGHT = 128 /* requests that a sampled one stands for */ };

/* A request of several keys is shared among them: each has its part of the bytes, of the hits and of the misses. */
struct sampled {
    struct key key;
    uint32_t database;
    bool is_write;
    uint64_t bytes; /* of request and reply */
    float hits, misses;
};
