/* All commands, found by name: every row of every group, numbered, in one hash table made at start.
 *
 * A number (`id`) is dense and counts subcommands too: statistics are arrays indexed by it. Immutable
 * after create. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "command.h"
#include "shards/base/bytes.h"
#include "shards/base/status.h"

struct command_table;

struct command_found {
    const struct command *row; /* NULL: unknown */
    uint32_t id;
};

struct command_table *command_table_create(void);
void command_table_destroy(struct command_table *table);
/* Before it is shared: call the top-level command `from` by another name, or by none (""); ids stay.
 * STATUS_REFUSED: there is no such command; STATUS_FULL: the name is taken; STATUS_TOO_LONG: COMMAND_NAME_MAX
 * bytes and more. */
enum { COMMAND_NAME_MAX = 64 };
must_use enum status command_table_rename(struct command_table *table, struct bytes from,
                                          struct bytes to);
/* By a name in any case. O(1), a few nanoseconds: one probe and one comparison of eight bytes for most. */
struct command_found command_table_find(const struct command_table *table, struct bytes name);
/* A container's subcommand by its own name ("id" of CLIENT). */
struct command_found command_table_find_sub(const struct command_table *table,
                                            struct command_found container, struct bytes name);
/* By the full name: "get", "client|id". */
struct command_found command_table_find_full(const struct command_table *table, struct bytes name);
/* Commands without subcommands, and with: ids are below the second. */
uint32_t command_table_count(const struct command_table *table);
uint32_t command_table_count_all(const struct command_table *table);
/* The row with an id; ids below command_table_count are the top-level commands. */
const struct command *command_table_row(const struct command_table *table, uint32_t id);
/* The id of a top-level row's first subcommand. */
uint32_t command_table_first_sub(const struct command_table *table, uint32_t id);
