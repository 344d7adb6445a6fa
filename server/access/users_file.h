/* Users as text: `aclfile`, a line each, and the `user` lines of the configuration.
 *
 *      user alice on sanitize-payload #5e88... ~cached:* resetchannels -@all +@read
 *
 * A file's words are divided by spaces and have no quotes, as in Redis; those of the configuration have its
 * quoting. Every error says where, whose rule and why, and never shows a password. Reading is all or nothing.
 * Any thread. */
#pragma once

#include <stdio.h>

#include "server/access/users.h"
#include "server/config.h"

/* Everyone that the file of `aclfile` defines, instead of whoever there is, but the default user where the file
 * has none. On failure `error` (CONFIG_ERROR_MAX bytes) says what is wrong, and nothing has changed. Where the
 * configuration tells errors (config_tells), all are, and the status is STATUS_OK. */
must_use enum status users_load_file(struct users *users, struct config *config, char *error);
/* The same, of the `user` lines. */
must_use enum status users_load_lines(struct users *users, struct config *config, char *error);
/* Replace the file by one that has all users, whole or not at all. */
must_use enum status users_save_file(struct users *users, const char *path, char *error);
/* "user ..." lines for a configuration file. False when memory is refused. */
bool users_print(struct users *users, FILE *out);
