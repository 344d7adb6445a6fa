/* rename-command: other names for commands, or none, in the table that clients' requests are looked up in.
 * Rules of users name commands by their own names, whatever they are called. */
#pragma once

#include "command_table.h"
#include "config_lines.h"

/* At start. STATUS_REFUSED with what is wrong, and where, in `error` (CONFIG_ERROR_MAX). */
must_use enum status renames_apply(struct command_table *commands, const struct config_lines *lines,
                                   char *error);
