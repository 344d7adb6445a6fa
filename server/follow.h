/* Requests for keys that CACHE CURVE (shards/curve.h) or allkeys-adaptive's judge (shards/duel.h) follows, told to
 * them. Worker's thread only; while neither follows any, nobody calls this but for the first. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sampler.h"

/* Keys whose hash is below are followed by either; 0: none is. */
uint64_t follow_below(const struct worker *worker);
/* Has the request a key whose hash is below that? */
bool follow_wants(const struct worker *worker, const struct request *request, uint64_t below);
/* Once it has run: look what became of its keys (each under its shard's lock, for reading), and tell. */
void follow_note(struct worker *worker, const struct request *request,
                 const struct sampler_mark *before);
