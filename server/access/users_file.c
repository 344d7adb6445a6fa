#include "server/access/users_file.h"

#include <errno.h>
#include <string.h>

#include "net/words.h"
#include "server/config_file.h"
#include "server/log.h"
#include "server/replacement.h"
#include "shards/base/memory.h"

enum { OWNERS_ONLY = 0600 /* whom a new file may be read by */ };

/* ---- Reading --------------------------------------------------------------------------------- */

/* Who was read so far. */
struct reading {
    struct users *users;
    struct config *config;
    bool has_told;     /* of an error, and gone on */
    struct user **all; /* heap */
    uint32_t count;
    char *error;
};

static enum status refuse(const struct reading *reading, const struct config_line *line,
                          const char *reason) {
    config_line_error(line, reason, reading->error, CONFIG_ERROR_MAX);
    return STATUS_REFUSED;
}

static enum status refuse_rule(const struct reading *reading, const struct config_line *line,
                               struct bytes name, const struct user_error *error) {
    char reason[CONFIG_ERROR_MAX];
    struct bytes shown = acl_rule_shown(bytes_of(error->rule, error->rule_size));
    snprintf(reason, sizeof(reason), "user '%.*s', rule '%.*s%s': %s",
             name.size < 64 ? (int)name.size : 64, name.data, (int)shown.size, shown.data,
             shown.size < error->rule_size ? "..." : "", error->reason);
    return refuse(reading, line, reason);
}

static bool is_known(const struct reading *reading, struct bytes name) {
    for (uint32_t i = 0; i < reading->count; i++) {
        if (bytes_equal(bytes_of_text(reading->all[i]->name), name)) return true;
    }
    return false;
}

static enum status keep(struct reading *reading, struct user *user,
                        const struct config_line *line) {
    struct user **grown = memory_resize(reading->all, (reading->count + 1) * sizeof(struct user *));
    if (grown == NULL) return refuse(reading, line, acl_no_memory);
    reading->all = grown;
    grown[reading->count++] = user;
    return STATUS_OK;
}

static bool has_word(const struct bytes *words, size_t count, const char *word) {
    for (size_t i = 0; i < count; i++) {
        if (bytes_is(words[i], word)) return true;
    }
    return false;
}

/* The first word is the name. */
static enum status read_user(struct reading *reading, const struct config_line *line,
                             const struct bytes *words, size_t count) {
    if (count == 0) return refuse(reading, line, "a user's name is missing");
    const char *refused = user_name_refused(words[0]);
    if (refused != NULL) return refuse(reading, line, refused);
    if (is_known(reading, words[0]))
        return refuse(reading, line,
                      "Duplicate user found. A user can only be defined once in config files");
    bool all_channels =
        atomic_load_explicit(&reading->users->channels_at_first, memory_order_relaxed);
    struct user *user = user_create(words[0], all_channels);
    if (user == NULL) return refuse(reading, line, acl_no_memory);
    struct user_error error;
    enum status status = STATUS_OK;
    if (!user_apply_all(user, words + 1, count - 1, reading->users->commands, &error))
        status = refuse_rule(reading, line, words[0], &error);
    if (status == STATUS_OK) status = keep(reading, user, line);
    if (status != STATUS_OK) {
        user_release(user);
        return status;
    }
    if (!user->is_on && !has_word(words, count, "off")) {
        log_warning("The user '%s' is disabled (there is no 'on' modifier in the user "
                    "description). Make sure this is not a configuration error.",
                    user->name);
    }
    return STATUS_OK;
}

/* The outcome of a line, which isn't the last where all errors are told. */
static enum status go_on(struct reading *reading, enum status status) {
    if (status == STATUS_OK || !config_tells(reading->config, reading->error)) return status;
    reading->has_told = true;
    return STATUS_OK;
}

/* All or nothing. */
static enum status finish(struct reading *reading, enum status status) {
    bool is_kept = status == STATUS_OK && !reading->has_told;
    if (is_kept) {
        status = users_replace(reading->users, reading->all, reading->count);
        is_kept = status == STATUS_OK;
        const char *reason = status == STATUS_FULL ? "more than there can be" : acl_no_memory;
        if (!is_kept)
            snprintf(reading->error, CONFIG_ERROR_MAX, "%u users: %s", reading->count, reason);
    }
    for (uint32_t i = 0; !is_kept && i < reading->count; i++) {
        user_release(reading->all[i]);
    }
    memory_free(reading->all);
    return status;
}

/* Room for the words of a line: each takes two bytes, with its space. */
static struct bytes *allocate_words(struct bytes line) {
    return memory_allocate((line.size / 2 + 1) * sizeof(struct bytes));
}

/* ---- The configuration's lines --------------------------------------------------------------- */

static enum status read_line(struct reading *reading, const struct config_line *line) {
    struct bytes *list = allocate_words(line->text);
    char *copy = memory_allocate(line->text.size); /* words are decoded in place */
    enum status status;
    if (list == NULL || copy == NULL) {
        status = refuse(reading, line, acl_no_memory);
    } else {
        memcpy(copy, line->text.data, line->text.size);
        struct words words = {copy, copy + line->text.size};
        size_t count = 0;
        enum words_outcome outcome;
        while ((outcome = words_next(&words, &list[count])) == WORDS_FOUND) {
            count++;
        }
        status = outcome == WORDS_END ? read_user(reading, line, list, count)
                                      : refuse(reading, line, "unbalanced quotes");
    }
    memory_free(copy);
    memory_free(list);
    return status;
}

enum status users_load_lines(struct users *users, struct config *config, char *error) {
    struct reading reading = {.users = users, .config = config, .error = error};
    const struct config_lines *lines = &config->user_lines;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < lines->count && status == STATUS_OK; i++) {
        status = go_on(&reading, read_line(&reading, &lines->items[i]));
    }
    return finish(&reading, status);
}

/* ---- aclfile --------------------------------------------------------------------------------- */

static enum status read_file_line(struct reading *reading, const struct config_line *line) {
    struct bytes *list = allocate_words(line->text);
    if (list == NULL) return refuse(reading, line, acl_no_memory);
    size_t count = acl_split(line->text, list);
    enum status status = STATUS_OK;
    if (count != 0 && !bytes_equal(list[0], BYTES("user"))) {
        status = refuse(reading, line, "should start with user keyword followed by the username");
    } else if (count != 0) {
        status = read_user(reading, line, list + 1, count - 1);
    }
    memory_free(list);
    return status;
}

enum status users_load_file(struct users *users, struct config *config, char *error) {
    const char *path = config->aclfile;
    struct config_file file;
    enum status status = config_file_init(&file, path);
    if (status != STATUS_OK) {
        bool is_missing = status == STATUS_FAILED && file.error_number == ENOENT;
        snprintf(error, CONFIG_ERROR_MAX, "Error loading ACLs, opening file '%.*s': %s%s",
                 CONFIG_ERROR_MAX / 2, path, config_file_reason(&file, status),
                 is_missing ? " (make it: at first an empty one)" : "");
        return config_tells_of(config, "aclfile", error) ? STATUS_OK : status;
    }
    struct reading reading = {.users = users, .config = config, .error = error};
    char place[CONFIG_TEXT_MAX];
    snprintf(place, sizeof(place), "%s", path);
    struct config_line line = {.place = place};
    for (size_t at = 0; at < file.size && status == STATUS_OK;) {
        const char *start = file.text + at, *end = memchr(start, '\n', file.size - at);
        size_t size = end != NULL ? (size_t)(end - start) : file.size - at;
        line.number++;
        line.text = bytes_of(start, size);
        status = go_on(&reading, read_file_line(&reading, &line));
        at += size + 1;
    }
    config_file_release(&file);
    return finish(&reading, status);
}

/* ---- Writing --------------------------------------------------------------------------------- */

/* "user alice on ...": false when memory is refused. */
static bool write_user(const struct user *user, struct text *line) {
    text_format(line, "user %s ", user->name);
    user_write(user, line);
    return !line->has_failed;
}

static enum status write_all(struct users *users, FILE *out, char *error) {
    uint32_t count;
    struct user **all = users_hold_all(users, &count);
    enum status status = all != NULL ? STATUS_OK : STATUS_NO_MEMORY;
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        struct text line = {0};
        if (!write_user(all[i], &line)) status = STATUS_NO_MEMORY;
        text_add(&line, BYTES("\n"));
        fwrite(line.data, 1, line.size, out);
        text_release(&line);
    }
    users_let_go(all, count);
    if (status != STATUS_OK) snprintf(error, CONFIG_ERROR_MAX, "%s", acl_no_memory);
    return status;
}

static enum status save_alone(struct users *users, const char *path, char *error) {
    struct replacement file;
    enum status status = replacement_create(&file, path, error);
    if (status != STATUS_OK) return status;
    status = write_all(users, file.out, error);
    if (status == STATUS_OK) return replacement_commit(&file, OWNERS_ONLY, error);
    replacement_abandon(&file);
    return status;
}

enum status users_save_file(struct users *users, const char *path, char *error) {
    pthread_mutex_lock(&users->writing);
    enum status status = save_alone(users, path, error);
    pthread_mutex_unlock(&users->writing);
    return status;
}

/* Words of the configuration are quoted where they must be. A selector's spaces are within its parentheses,
 * which may be spread over words. */
static void print_word(struct bytes word, FILE *out) {
    bool is_plain = true;
    for (size_t i = 0; i < word.size; i++) {
        unsigned char c = (unsigned char)word.data[i];
        if (c <= ' ' || c >= 0x7f || c == '"' || c == '\'' || c == '\\') is_plain = false;
    }
    fputc(' ', out);
    if (is_plain) {
        fwrite(word.data, 1, word.size, out);
        return;
    }
    fputc('"', out);
    for (size_t i = 0; i < word.size; i++) {
        fprintf(out, "\\x%02x", (unsigned char)word.data[i]);
    }
    fputc('"', out);
}

bool users_print(struct users *users, FILE *out) {
    uint32_t count;
    struct user **all = users_hold_all(users, &count);
    bool has_failed = all == NULL;
    for (uint32_t i = 0; i < count && !has_failed; i++) {
        struct text line = {0};
        struct bytes *list = NULL;
        has_failed =
            !write_user(all[i], &line) || (list = allocate_words(text_bytes(&line))) == NULL;
        size_t words = has_failed ? 0 : acl_split(text_bytes(&line), list);
        if (words != 0) fwrite(list[0].data, 1, list[0].size, out);
        for (size_t w = 1; w < words; w++) {
            print_word(list[w], out);
        }
        if (words != 0) fputc('\n', out);
        memory_free(list);
        text_release(&line);
    }
    users_let_go(all, count);
    return !has_failed;
}
