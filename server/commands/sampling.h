/* What the commands share that tell of sampled requests (server/sampler.h): HOTKEYS and CACHE PREFIXES. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct call;

/* The argument after the option at `index`: an integer, 1 at least. On failure replies, naming the option (`name`), and
 * returns false. */
bool sampling_read_count(struct call *call, uint32_t index, const char *name, int64_t *count);
/* With nothing to show: is that because nothing is noted? Then replies so, and returns true. */
bool sampling_is_off(struct call *call);
