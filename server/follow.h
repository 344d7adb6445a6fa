/* Requests for keys that CACHE CURVE follows (shards/curve.h), told to it. Worker's thread only; nobody calls this
 * while it is off. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sampler.h"

/* Has the request a key whose hash is below that? */
bool follow_wants(const struct worker *worker, const struct request *request, uint64_t below);
/* Once it has run: look what became of its keys (each under its shard's lock, for reading), and tell. */
void follow_note(struct worker *worker, const struct request *request,
                 const struct sampler_mark *before);
