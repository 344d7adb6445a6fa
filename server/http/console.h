/* The console: a page for people, and the numbers it asks for each second.
 *
 * The page keeps no state here: counters are told as they stand, and the browser reckons what happened in between. */
#pragma once

#include "server/metrics.h"
#include "server/text.h"
#include "shards/base/bytes.h"

enum {
    CONSOLE_CELLS_MAX = 256, /* of the heat map: more shards share cells, neighbours together */
    CONSOLE_HOT_KEYS = 10,
    CONSOLE_SLOW_COMMANDS = 10,
    CONSOLE_SLOW_KEYS = 4, /* of one command */
    CONSOLE_POLICY_MAX = 512,
};

/* The page, for ever; and its Content-Security-Policy, which lets run what is in it and nothing else. */
struct bytes console_page(void);
void console_policy(char out[CONSOLE_POLICY_MAX]);

/* JSON. Any thread; takes the locks of the hot keys, of the workers' clients, the slow log and the curve, all leaves,
 * for some microseconds each. */
void console_write(const struct metrics *metrics, struct text *out);
