#include "renames.h"

#include "config.h"
#include "net/words.h"

/* The words are decoded in place: a copy of the line's text. */
static const char *apply(struct command_table *commands, char *text, size_t size) {
    struct words words = {text, text + size};
    struct bytes from, to, more;
    if (words_next(&words, &from) != WORDS_FOUND || words_next(&words, &to) != WORDS_FOUND ||
        words_next(&words, &more) != WORDS_END)
        return "rename-command takes a command and its new name (\"\": none)";
    switch (command_table_rename(commands, from, to)) {
    case STATUS_OK:
        return NULL;
    case STATUS_FULL:
        return "Target command name already exists";
    case STATUS_TOO_LONG:
        return "Target command name is too long";
    default:
        return "No such command in rename-command";
    }
}

enum status renames_apply(struct command_table *commands, struct config *config, char *error) {
    const struct config_lines *lines = &config->rename_lines;
    for (size_t i = 0; i < lines->count; i++) {
        const struct config_line *line = &lines->items[i];
        char text[CONFIG_TEXT_MAX];
        const char *reason = "the line is too long";
        if (line->text.size < sizeof(text)) {
            memcpy(text, line->text.data, line->text.size);
            reason = apply(commands, text, line->text.size);
        }
        if (reason == NULL) continue;
        config_line_error(line, reason, error, CONFIG_ERROR_MAX);
        if (!config_tells(config, error)) return STATUS_REFUSED;
    }
    return STATUS_OK;
}
