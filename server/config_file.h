/* What a configuration file is made of: the file itself, and its lines. config.c's helper. */
#pragma once

#include "server/config.h"

/* A name and its words, joined by a space each. The name points into the line or flag it came from. */
struct config_setting {
    struct bytes name;
    size_t word_count;
    size_t size;
    char value[CONFIG_TEXT_MAX]; /* with a NUL */
};

enum config_line_kind {
    CONFIG_LINE_EMPTY, /* or a comment */
    CONFIG_LINE_SETTING,
    CONFIG_LINE_INCLUDE, /* "include", the path being the value */
    CONFIG_LINE_UNBALANCED,
    CONFIG_LINE_TOO_LONG,
};

/* Take a line apart; its quoted words are decoded in place. */
enum config_line_kind config_setting_parse(struct config_setting *setting, char *line, size_t size);
/* The same in steps. Adding is refused when the value would become too long. */
void config_setting_init(struct config_setting *setting, struct bytes name);
must_use enum status config_setting_add(struct config_setting *setting, struct bytes word);
static inline struct bytes config_setting_value(const struct config_setting *setting) {
    return bytes_of(setting->value, setting->size);
}

/* A whole file in memory. */
struct config_file {
    char *text;
    size_t size;
    int error_number; /* errno, where reading failed for it; 0 otherwise */
};

/* Read the file `path`, "-" being standard input, of CONFIG_FILE_MAX bytes at the most. */
must_use enum status config_file_init(struct config_file *file, const char *path);
void config_file_release(struct config_file *file);
/* Why config_file_init returned `status`, for people. */
const char *config_file_reason(const struct config_file *file, enum status status);
