/* Options in words, for people: what --help, sherd.conf and the manual say of a row of config_table.c, so that
 * they say the same. */
#pragma once

#include <stdio.h>

#include "server/config.h"

/* What may stand behind the option's name: "yes|no", "BYTES|N%". Returns the bytes printed. */
int describe_values(FILE *out, const struct config_option *option);
/* "default 511; connections": a range, or the words, are told where they say more than describe_values. Nothing for an option that takes
 * one value only. Returns the bytes written, which are cut to `size`. */
enum { DESCRIBE_TEXT_MAX = 256 };
int describe_default(const struct config_option *option, char out[DESCRIBE_TEXT_MAX]);
/* The value as a file would say it: quoted where it is empty or has quotes. */
const char *describe_initial(const struct config_option *option);

/* Print `text` word by word, each line behind `indent` (its own text, "# " say), at most `width` columns wide. The
 * first line begins in column `column`, where the indent isn't printed; the last ends with a newline. */
void describe_wrapped(FILE *out, const char *text, const char *indent, int column, int width);
