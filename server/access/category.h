/* The categories of commands that rules name ("+@read"). A row's own follow from it (command_facts.h). Pure. */
#pragma once

#include <stdbool.h>

#include "server/command.h"
#include "shards/base/bytes.h"

enum { CATEGORY_COUNT = 21 };

/* In Redis's order, without the "@". */
extern const char *const category_names[CATEGORY_COUNT];

/* The number of the category with this name, in any case; -1: there is none. */
int category_find(struct bytes name);
bool category_has(int category, const struct command *row);
