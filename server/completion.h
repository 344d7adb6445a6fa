/* Completion for bash, out of the tables. */
#pragma once

#include <stdio.h>

/* Completes modes, options and the words an option takes; file names otherwise. To be read by bash, as
 * share/bash-completion/completions/sherd. */
void completion_print(FILE *out);
