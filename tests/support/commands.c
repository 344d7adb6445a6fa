#include "tests/support/commands.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/command_table.h"

int commands_set_up(void **state) {
    *state = command_table_create();
    return *state == NULL;
}

int commands_tear_down(void **state) {
    command_table_destroy(*state);
    return 0;
}

const struct command *commands_row(const struct command_table *commands, const char *name) {
    const struct command *row = command_table_find_full(commands, bytes_of_text(name)).row;
    if (row == NULL) fail_msg("no command %s", name);
    return row;
}
