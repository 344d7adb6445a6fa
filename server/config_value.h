/* Options' values: text <-> field, for every kind of option. config.c's helper: no locks, no hooks. */
#pragma once

#include "server/config.h"
#include "server/suggestion.h"

/* The option of that name, whatever its case; NULL when there is none. */
const struct config_option *config_option_find(struct bytes name);
/* All that may begin a line: the options' names, and "user", "rename-command", "include". */
void config_options_offer(struct suggestion *suggestion);
/* The one of these that is most like `name`; NULL when none is near. */
const char *config_option_suggest(struct bytes name);

/* Does the option take any number of words (or exactly one)? */
bool config_option_takes_words(const struct config_option *option);

/* Set the option's field in `config` to what `text` says; where it takes words, they are parted by spaces. On refusal
 * `error` (CONFIG_ERROR_MAX bytes) says why, in Redis's words, and the field is as it was. */
must_use enum status config_value_read(const struct config_option *option, struct bytes text,
                                       struct config *config, char *error);
/* The field's text, as CONFIG GET shows it and config_value_read takes it, with a NUL. Returns its length. */
size_t config_value_write(const struct config_option *option, const struct config *config,
                          char out[CONFIG_TEXT_MAX]);
