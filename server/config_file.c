#include "server/config_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "net/words.h"
#include "shards/base/memory.h"

/* ---- Lines ----------------------------------------------------------------------------------- */

void config_setting_init(struct config_setting *setting, struct bytes name) {
    setting->name = name;
    setting->word_count = 0;
    setting->size = 0;
    setting->value[0] = '\0';
}

enum status config_setting_add(struct config_setting *setting, struct bytes word) {
    size_t space = setting->word_count > 0;
    if (setting->size + space + word.size >= CONFIG_TEXT_MAX) return STATUS_TOO_LONG;
    if (space > 0) setting->value[setting->size++] = ' ';
    if (word.size > 0) memcpy(setting->value + setting->size, word.data, word.size);
    setting->size += word.size;
    setting->value[setting->size] = '\0';
    setting->word_count++;
    return STATUS_OK;
}

enum config_line_kind config_setting_parse(struct config_setting *setting, char *line,
                                           size_t size) {
    struct words words = {line, line + size};
    struct bytes word;
    enum words_outcome outcome = words_next(&words, &word);
    if (outcome == WORDS_END) return CONFIG_LINE_EMPTY;
    if (outcome == WORDS_FOUND && word.size > 0 && word.data[0] == '#') return CONFIG_LINE_EMPTY;
    config_setting_init(setting, word);
    while (outcome == WORDS_FOUND && (outcome = words_next(&words, &word)) == WORDS_FOUND) {
        if (config_setting_add(setting, word) != STATUS_OK) return CONFIG_LINE_TOO_LONG;
    }
    if (outcome == WORDS_UNBALANCED) return CONFIG_LINE_UNBALANCED;
    return bytes_is(setting->name, "include") ? CONFIG_LINE_INCLUDE : CONFIG_LINE_SETTING;
}

/* ---- Files ----------------------------------------------------------------------------------- */

/* Fill the text, which has room for one byte more than is allowed, so that too much can be told from enough. */
static enum status read_all(struct config_file *file, int from) {
    while (file->size <= CONFIG_FILE_MAX) {
        ssize_t count = read(from, file->text + file->size, CONFIG_FILE_MAX + 1 - file->size);
        if (count == 0) return STATUS_OK;
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) {
            file->error_number = errno;
            return STATUS_FAILED;
        }
        file->size += (size_t)count;
    }
    return STATUS_TOO_LONG;
}

enum status config_file_init(struct config_file *file, const char *path) {
    *file = (struct config_file){0};
    bool is_stdin = strcmp(path, "-") == 0;
    int from = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (from < 0) {
        file->error_number = errno;
        return STATUS_FAILED;
    }
    file->text = memory_allocate(CONFIG_FILE_MAX + 1);
    enum status status = file->text != NULL ? read_all(file, from) : STATUS_NO_MEMORY;
    if (!is_stdin) close(from);
    if (status != STATUS_OK) {
        memory_free(file->text);
        file->text = NULL;
    }
    return status;
}

void config_file_release(struct config_file *file) {
    memory_free(file->text);
    file->text = NULL;
}

const char *config_file_reason(const struct config_file *file, enum status status) {
    if (status == STATUS_NO_MEMORY) return "out of memory";
    if (status == STATUS_TOO_LONG) return "it is larger than a megabyte";
    return strerror(file->error_number);
}
