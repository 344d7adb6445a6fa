/* The shards' upkeep: what is due is removed, what was flushed is freed, and memory past the limit is evicted, by the
 * workers between their turns. Each keeps those shards whose index modulo the number of workers is its own. */
#pragma once

#include <stdbool.h>

struct worker;

/* The worker's own thread, all of them. */

/* There is, or may be, something to do: go through all its shards once more. */
void upkeep_begin(struct worker *worker);
/* Go on with its shards, for about 100 us, while `upkeep_left` isn't 0. */
void upkeep_go_on(struct worker *worker);
/* Does any of its shards have something to expire or to free, so that it should look again soon? O(its shards). */
bool upkeep_is_wanted(const struct worker *worker);
