#include "renames.h"

#include <stdio.h>
#include <string.h>

#include "config.h"
#include "net/words.h"

static bool refuse(char *reason, const char *why, struct bytes name) {
    enum { SHOWN_MAX = 64 };
    int shown = name.size < SHOWN_MAX ? (int)name.size : SHOWN_MAX;
    snprintf(reason, CONFIG_ERROR_MAX, "%s: '%.*s'", why, shown, name.data);
    return false;
}

/* The words are decoded in place: a copy of the line's text. False: `reason` says why. */
static bool apply(struct command_table *commands, char *text, size_t size, char *reason) {
    struct words words = {text, text + size};
    struct bytes from, to, more;
    if (words_next(&words, &from) != WORDS_FOUND || words_next(&words, &to) != WORDS_FOUND ||
        words_next(&words, &more) != WORDS_END) {
        snprintf(reason, CONFIG_ERROR_MAX,
                 "rename-command takes a command and its new name (\"\": none)");
        return false;
    }
    switch (command_table_rename(commands, from, to)) {
    case STATUS_OK:
        return true;
    case STATUS_FULL:
        return refuse(reason, "Target command name already exists", to);
    case STATUS_TOO_LONG:
        return refuse(reason, "Target command name is too long", to);
    default:
        return refuse(reason, "No such command in rename-command", from);
    }
}

enum status renames_apply(struct command_table *commands, struct config *config, char *error) {
    const struct config_lines *lines = &config->rename_lines;
    for (size_t i = 0; i < lines->count; i++) {
        const struct config_line *line = &lines->items[i];
        char text[CONFIG_TEXT_MAX], reason[CONFIG_ERROR_MAX] = "the line is too long";
        bool fits = line->text.size < sizeof(text);
        if (fits) memcpy(text, line->text.data, line->text.size);
        if (fits && apply(commands, text, line->text.size, reason)) continue;
        config_line_error(line, reason, error, CONFIG_ERROR_MAX);
        if (!config_tells(config, error)) return STATUS_REFUSED;
    }
    return STATUS_OK;
}
