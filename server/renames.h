/* rename-command: other names for commands, or none, in the table that clients' requests are looked up in.
 * Rules of users name commands by their own names, whatever they are called. */
#pragma once

#include "command_table.h"
#include "config.h"

/* At start. STATUS_REFUSED with what is wrong, and where, in `error` (CONFIG_ERROR_MAX); where the configuration
 * tells errors, all are told instead. */
must_use enum status renames_apply(struct command_table *commands, struct config *config,
                                   char *error);
