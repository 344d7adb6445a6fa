/* The command table, as a fixture of cmocka's: `*state` is a struct command_table. */
#pragma once

struct command;
struct command_table;

int commands_set_up(void **state);
int commands_tear_down(void **state);
/* By its full name, as "client|kill"; the running test fails when there is none. */
const struct command *commands_row(const struct command_table *commands, const char *name);
