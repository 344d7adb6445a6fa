/* Completion for bash, out of the tables. */
#pragma once

#include <stdio.h>

/* Completes modes, options and the words an option takes; file names otherwise. To be read by bash, as
 * share/bash-completion/completions/sherd. */
void completion_print(FILE *out);
/* How a function of completion ends: offer `words`, or file names where there are none; and whose it is. */
void completion_print_end(FILE *out, const char *function, const char *program);
