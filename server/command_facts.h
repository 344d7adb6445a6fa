/* What follows from a command's row: the words that COMMAND uses for its flags, its categories, and what it does with
 * its keys. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "command.h"
#include "shards/base/bytes.h"

/* Words in Redis's order; a list that is written once and read many times. */
enum { FACTS_MAX = 12 };
struct facts {
    const char *words[FACTS_MAX];
    uint32_t count;
};

struct facts command_flag_words(const struct command *row);
/* ACL categories, with their "@". */
struct facts command_categories(const struct command *row);
/* What becomes of the key at argument `index`, of which the row's keys tell that it is one: "RO", "access", ... */
struct facts command_key_use(const struct command *row, uint32_t index);
/* The same for these arguments, on which it depends where command_use_varies (SET). */
struct facts command_key_use_in(const struct command *row, uint32_t index, const struct bytes *args,
                                uint32_t arg_count);
bool command_use_varies(const struct command *row);
/* Then: do these arguments ask for the old value, so that the key is read, too? */
bool command_asks_for_old(const struct bytes *args, uint32_t arg_count);
/* Do the first and the second key meet different fates (RENAME)? */
bool command_keys_differ(const struct command *row);
/* The last argument that is a key, when there are `arg_count`; 0 when none is. */
uint32_t command_last_key(const struct command *row, uint32_t arg_count);
