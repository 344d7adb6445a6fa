/* Which arguments of a command are secrets: those that no log and no monitor may show. As in Redis: passwords and users'
 * names of AUTH and HELLO, all that ACL SETUSER, DELUSER and GETUSER say, values of CONFIG SET that are passwords. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "shards/base/bytes.h"

struct command;

/* What stands in their place. */
#define REDACTION_TEXT "(redacted)"

/* Is argument `index` of this command to be hidden? Pure. */
bool redaction_hides(const struct command *row, const struct bytes *args, uint32_t index);
