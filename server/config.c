/* The configuration: where settings come from, and what happens when one changes.
 *
 *      file, included files, standard input ─▶ config_load_text ─┐
 *      --flags ──────────────────────────────────────────────────┼─▶ config_value_read ─▶ field
 *      CONFIG SET ─▶ all checked first ─▶ all set ─▶ hooks ───────┘
 *
 * A CONFIG SET of several options is all or nothing: every value is first read into a second configuration that is
 * thrown away, so that setting them for good cannot fail. Only a hook still can (a change may not take effect: no
 * more files, say); then the old values are put back, and the hooks that were called before it called again.
 *
 * Threads: workers read numbers at any time, so a CONFIG SET of two numbers may be seen half done for a moment, as
 * none of our numbers means anything only together with another. Text is copied under `text_lock`, in and out;
 * `change_lock` keeps two changes (or a change and a rewrite) apart, and is held while hooks run, `text_lock`
 * isn't. */
#include "server/config.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/config_file.h"
#include "server/config_value.h"
#include "shards/base/check.h"
#include "shards/base/match.h"
#include "shards/base/memory.h"

/* ---- Lifecycle ------------------------------------------------------------------------------- */

struct config *config_create(void) {
    struct config *config = memory_allocate_zeroed(sizeof *config);
    if (config == NULL) return NULL;
    config->origins = memory_allocate_zeroed(config_option_count * sizeof(*config->origins));
    if (config->origins == NULL) {
        memory_free(config);
        return NULL;
    }
    config->user_lines.name = "user";
    config->rename_lines.name = "rename-command";
    config->include_lines.name = "include";
    check(pthread_mutex_init(&config->change_lock, NULL) == 0);
    check(pthread_mutex_init(&config->text_lock, NULL) == 0);
    for (size_t i = 0; i < config_option_count; i++) {
        const struct config_option *option = &config_options[i];
        char error[CONFIG_ERROR_MAX];
        check(config_value_read(option, bytes_of_text(option->initial), config, error) ==
              STATUS_OK);
    }
    return config;
}

void config_destroy(struct config *config) {
    if (config == NULL) return;
    config_lines_release(&config->user_lines);
    config_lines_release(&config->rename_lines);
    config_lines_release(&config->include_lines);
    pthread_mutex_destroy(&config->text_lock);
    pthread_mutex_destroy(&config->change_lock);
    memory_free(config->origins);
    memory_free(config);
}

void config_attach_hooks(struct config *config, const struct config_hook *hooks, size_t count,
                         void *context) {
    for (size_t i = 0; i < count; i++) {
        check(config_option_find(bytes_of_text(hooks[i].option)) != NULL);
    }
    config->hooks = hooks;
    config->hook_count = count;
    config->hook_context = context;
}

/* ---- Reading --------------------------------------------------------------------------------- */

void config_copy_text(struct config *config, const char *field, char out[CONFIG_TEXT_MAX]) {
    pthread_mutex_lock(&config->text_lock);
    memcpy(out, field, strlen(field) + 1);
    pthread_mutex_unlock(&config->text_lock);
}

static size_t copy_value(struct config *config, const struct config_option *option,
                         char out[CONFIG_TEXT_MAX]) {
    pthread_mutex_lock(&config->text_lock);
    size_t size = config_value_write(option, config, out);
    pthread_mutex_unlock(&config->text_lock);
    return size;
}

static bool matches_any(struct bytes name, const struct bytes *patterns, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (match_glob_folded(patterns[i], name)) return true;
    }
    return false;
}

size_t config_get(struct config *config, const struct bytes *patterns, size_t count,
                  void (*each)(void *context, struct bytes name, struct bytes value),
                  void *context) {
    size_t found = 0;
    for (const struct config_option *option = config_options;
         option < config_options + config_option_count; option++) {
        struct bytes name = bytes_of_text(option->name);
        if (!matches_any(name, patterns, count)) continue;
        found++;
        if (each == NULL) continue;
        char value[CONFIG_TEXT_MAX];
        size_t size = copy_value(config, option, value);
        each(context, name, bytes_of(value, size));
    }
    return found;
}

/* ---- Origins --------------------------------------------------------------------------------- */

static void note_origin(struct config *config, const struct config_option *option,
                        struct config_origin origin, const char *place) {
    snprintf(origin.place, sizeof origin.place, "%s", place);
    pthread_mutex_lock(&config->text_lock);
    config->origins[option - config_options] = origin;
    pthread_mutex_unlock(&config->text_lock);
}

struct config_origin config_origin(struct config *config, const struct config_option *option) {
    pthread_mutex_lock(&config->text_lock);
    struct config_origin origin = config->origins[option - config_options];
    pthread_mutex_unlock(&config->text_lock);
    return origin;
}

const struct config_lines *config_lines_find(struct config *config, struct bytes name) {
    if (bytes_is(name, config->user_lines.name)) return &config->user_lines;
    if (bytes_is(name, config->rename_lines.name)) return &config->rename_lines;
    if (bytes_is(name, config->include_lines.name)) return &config->include_lines;
    return NULL;
}

/* ---- Loading --------------------------------------------------------------------------------- */

/* Where a setting at start comes from, for errors: "place:line: ", or "place: " where line is 0. */
struct origin {
    const char *place;
    int line;
    char *error;
};

static __attribute__((format(printf, 2, 3))) enum status refuse(const struct origin *origin,
                                                                const char *format, ...) {
    char reason[CONFIG_ERROR_MAX];
    va_list values;
    va_start(values, format);
    vsnprintf(reason, sizeof reason, format, values);
    va_end(values);
    int cut =
        CONFIG_ERROR_MAX / 2; /* of either part: the place is a path, the reason may quote a line */
    if (origin->line > 0) {
        snprintf(origin->error, CONFIG_ERROR_MAX, "%.*s:%d: %.*s", cut - 16, origin->place,
                 origin->line, cut, reason);
    } else {
        snprintf(origin->error, CONFIG_ERROR_MAX, "%.*s: %.*s", cut - 16, origin->place, cut,
                 reason);
    }
    return STATUS_REFUSED;
}

/* False: nobody is to be told. */
static bool tell(const struct config *config, const char *text) {
    return config->errors != NULL && fprintf(config->errors, "%s\n", text) > 0;
}

bool config_tells(struct config *config, const char *error) {
    if (!tell(config, error)) return false;
    config->error_count++;
    return true;
}

/* With the place where the option was set, if it was. */
static void place_error(struct config *config, const char *option, const char *error,
                        char text[2 * CONFIG_ERROR_MAX]) {
    struct config_origin origin = config_origin(config, config_option_find(bytes_of_text(option)));
    struct config_line line = {.place = origin.place, .number = origin.line};
    if (origin.source == CONFIG_FROM_DEFAULT) {
        snprintf(text, CONFIG_ERROR_MAX, "%s", error);
    } else {
        config_line_error(&line, error, text, 2 * CONFIG_ERROR_MAX);
    }
}

bool config_tells_of(struct config *config, const char *option, const char *error) {
    char text[2 * CONFIG_ERROR_MAX];
    place_error(config, option, error, text);
    return config_tells(config, text);
}

void config_warns_of(struct config *config, const char *option, const char *reason) {
    char warning[CONFIG_ERROR_MAX + 16], text[2 * CONFIG_ERROR_MAX];
    snprintf(warning, sizeof(warning), "warning: %s", reason);
    place_error(config, option, warning, text);
    (void)tell(config, text);
}

static bool is_of_flag(const struct origin *origin) {
    return origin->line == 0;
}

static enum status refuse_unknown(const struct config *config, const struct origin *origin,
                                  struct bytes name) {
    int shown = name.size < 64 ? (int)name.size : 64;
    struct suggestion suggestion;
    suggestion_init(&suggestion, name);
    config_options_offer(&suggestion);
    if (is_of_flag(origin) && config->offer_flags != NULL) config->offer_flags(&suggestion);
    if (suggestion.nearest == NULL)
        return refuse(origin, "unknown option '%.*s'", shown, name.data);
    if (is_of_flag(origin) && suggestion.distance == 0)
        return refuse(origin, "it goes before a file and all options: sherd --%s ...",
                      suggestion.nearest);
    return refuse(origin, "unknown option '%.*s' (did you mean '%s'?)", shown, name.data,
                  suggestion.nearest);
}

/* A flag's place is its name already. */
static enum status refuse_value(const struct origin *origin, const char *name, const char *reason) {
    if (is_of_flag(origin)) return refuse(origin, "%s", reason);
    return refuse(origin, "%s: %s", name, reason);
}

/* Whoever gives a flag two values may have meant the second for the file. */
static enum status refuse_count(const struct origin *origin, const char *name, size_t count) {
    return refuse_value(origin, name,
                        is_of_flag(origin) && count > 1
                            ? "wrong number of arguments: it takes one (a configuration file goes "
                              "first: sherd FILE --OPTION VALUE ...)"
                            : "wrong number of arguments: it takes one");
}

/* Each `save` adds to those before, as in Redis; an empty one forgets them. `all` has room for both. */
static struct bytes add_save_points(struct config *config, struct bytes value, char *all) {
    bool is_first = !config->has_save_points;
    config->has_save_points = value.size != 0;
    if (is_first || value.size == 0) return value;
    int size =
        snprintf(all, 2 * CONFIG_TEXT_MAX, "%s %.*s", config->save, (int)value.size, value.data);
    return bytes_of(all, (size_t)size);
}

/* The lines that a name begins, which are no option; NULL: it is one. */
static struct config_lines *lines_of(struct config *config, struct bytes line, struct bytes *rest) {
    if (config_line_begins(line, config->user_lines.name, rest)) return &config->user_lines;
    if (config_line_begins(line, config->rename_lines.name, rest)) return &config->rename_lines;
    return NULL;
}

static enum status keep_line(struct config_lines *lines, struct bytes text,
                             const struct origin *origin) {
    enum status status = config_lines_add(lines, origin->place, origin->line, text);
    return status == STATUS_OK ? STATUS_OK : refuse(origin, "out of memory");
}

static enum status load_setting(struct config *config, const struct config_setting *setting,
                                const struct origin *origin) {
    const struct config_option *option = config_option_find(setting->name);
    if (option == NULL) return refuse_unknown(config, origin, setting->name);
    if (setting->word_count != 1 && !config_option_takes_words(option))
        return refuse_count(origin, option->name, setting->word_count);
    char reason[CONFIG_ERROR_MAX], all_points[2 * CONFIG_TEXT_MAX];
    struct bytes value = config_setting_value(setting);
    if (option->kind == CONFIG_SAVE_POINTS) value = add_save_points(config, value, all_points);
    if (config_value_read(option, value, config, reason) != STATUS_OK) {
        return refuse_value(origin, option->name, reason);
    }
    enum config_source source = is_of_flag(origin) ? CONFIG_FROM_FLAG : CONFIG_FROM_FILE;
    note_origin(config, option, (struct config_origin){.source = source, .line = origin->line},
                origin->place);
    return STATUS_OK;
}

static enum status load_file(struct config *config, const char *path, int depth,
                             const struct origin *origin);

static enum status load_include(struct config *config, const struct config_setting *setting,
                                int depth, const struct origin *origin) {
    if (setting->word_count != 1) return refuse_count(origin, "include", setting->word_count);
    if (depth >= CONFIG_INCLUDE_DEPTH_MAX)
        return refuse(origin, "include: more than %d deep, at %s: does it include itself?",
                      CONFIG_INCLUDE_DEPTH_MAX, setting->value);
    enum status status = keep_line(&config->include_lines, config_setting_value(setting), origin);
    if (status != STATUS_OK) return status;
    if (config->folder[0] == '\0' || setting->value[0] == '/')
        return load_file(config, setting->value, depth + 1, origin);
    char path[2 * CONFIG_TEXT_MAX];
    snprintf(path, sizeof(path), "%s/%s", config->folder, setting->value);
    return load_file(config, path, depth + 1, origin);
}

static enum status load_line(struct config *config, char *line, size_t size, int depth,
                             const struct origin *origin) {
    struct config_setting setting;
    struct bytes rest;
    struct config_lines *lines = lines_of(config, bytes_of(line, size), &rest);
    if (lines != NULL) return keep_line(lines, rest, origin);
    switch (config_setting_parse(&setting, line, size)) {
    case CONFIG_LINE_EMPTY:
        return STATUS_OK;
    case CONFIG_LINE_UNBALANCED:
        return refuse(origin, "unbalanced quotes");
    case CONFIG_LINE_TOO_LONG:
        return refuse(origin, "value is longer than %d bytes", CONFIG_TEXT_MAX - 1);
    case CONFIG_LINE_INCLUDE:
        return load_include(config, &setting, depth, origin);
    case CONFIG_LINE_SETTING:
        break;
    }
    return load_setting(config, &setting, origin);
}

static enum status load_text(struct config *config, const char *place, char *text, size_t size,
                             int depth, char *error) {
    struct origin origin = {.place = place, .error = error};
    for (char *line = text, *end = text + size; line < end;) {
        origin.line++;
        char *line_end = memchr(line, '\n', (size_t)(end - line));
        if (line_end == NULL) line_end = end;
        enum status status = load_line(config, line, (size_t)(line_end - line), depth, &origin);
        if (status != STATUS_OK && !config_tells(config, error)) return status;
        line = line_end + 1;
    }
    return STATUS_OK;
}

/* Others begin a relative path where the file with the line is. */
static enum status refuse_include(const struct origin *origin, const char *path,
                                  const char *reason) {
    const char *name = is_of_flag(origin) ? "" : "include: ";
    char here[PATH_MAX];
    if (path[0] == '/' || getcwd(here, sizeof(here)) == NULL)
        return refuse(origin, "%scannot read %s: %s", name, path, reason);
    return refuse(origin, "%scannot read %s: %s (in %s, where the server is started)", name, path,
                  reason, here);
}

/* `origin` is the line that includes the file, or, without a place, only where errors go. */
static enum status load_file(struct config *config, const char *path, int depth,
                             const struct origin *origin) {
    struct config_file file;
    enum status status = config_file_init(&file, path);
    if (status != STATUS_OK && origin->place != NULL)
        return refuse_include(origin, path, config_file_reason(&file, status));
    if (status != STATUS_OK) {
        struct origin whole = {.place = path, .error = origin->error};
        return refuse(&whole, "cannot read the configuration: %s",
                      config_file_reason(&file, status));
    }
    status = load_text(config, strcmp(path, "-") == 0 ? "standard input" : path, file.text,
                       file.size, depth, origin->error);
    config_file_release(&file);
    return status;
}

enum status config_load_text(struct config *config, const char *place, char *text, size_t size,
                             char *error) {
    return load_text(config, place, text, size, 0, error);
}

/* The file's own path, however we got there, and where we were: the working directory may change before it is
 * rewritten. */
static void remember_file(struct config *config, const char *path) {
    char *absolute = realpath(path, NULL);
    if (absolute != NULL && strlen(absolute) < CONFIG_TEXT_MAX)
        memcpy(config->file, absolute, strlen(absolute) + 1);
    free(absolute);
    if (getcwd(config->folder, sizeof(config->folder)) == NULL) config->folder[0] = '\0';
}

enum status config_load_file(struct config *config, const char *path, char *error) {
    const struct origin origin = {.error = error};
    enum status status = load_file(config, path, 0, &origin);
    if (status != STATUS_OK && config_tells(config, error)) return STATUS_OK;
    if (status == STATUS_OK && strcmp(path, "-") != 0) remember_file(config, path);
    return status;
}

/* ---- Flags ----------------------------------------------------------------------------------- */

static bool is_flag(const char *argument) {
    return argument[0] == '-' && argument[1] == '-' && argument[2] != '\0';
}

/* Take the flag at the front and its values; returns how many arguments that were. Values go on up to the next
 * flag; only where one value is due it may look like a flag itself ("--requirepass --secret"), as in Redis. */
static int take_flag(int count, char *const *flags, struct config_setting *setting,
                     enum status *status) {
    const char *name = flags[0] + 2;
    const char *equals = strchr(name, '=');
    size_t name_size = equals != NULL ? (size_t)(equals - name) : strlen(name);
    config_setting_init(setting, bytes_of(name, name_size));
    if (equals != NULL) {
        *status = config_setting_add(setting, bytes_of_text(equals + 1));
        return 1;
    }
    const struct config_option *option = config_option_find(setting->name);
    bool is_value_due = option != NULL && !config_option_takes_words(option);
    int taken = 1;
    while (taken < count && *status == STATUS_OK && (is_value_due || !is_flag(flags[taken]))) {
        *status = config_setting_add(setting, bytes_of_text(flags[taken++]));
        is_value_due = false;
    }
    return taken;
}

/* "--name value ..." as one argument: a list of arguments in a compose file is often written so. It is taken apart as a
 * line of a file is, in a copy: a successor is started with the arguments as they came. */
static enum status load_whole_flag(struct config *config, const char *flag, size_t name_size,
                                   char *error) {
    char place[CONFIG_PLACE_MAX];
    snprintf(place, sizeof(place), "--%.*s", (int)name_size, flag + 2);
    const struct origin origin = {.place = place, .error = error};
    size_t size = strlen(flag + 2);
    char *line = memory_allocate(size);
    if (line == NULL) return refuse(&origin, "out of memory");
    memcpy(line, flag + 2, size);
    enum status status = load_line(config, line, size, 0, &origin);
    memory_free(line);
    return status;
}

/* Load the flag at the front; `taken` says how many arguments it was. */
static enum status load_flag(struct config *config, int count, char *const *flags, int *taken,
                             char *error) {
    struct origin origin = {.place = flags[0], .error = error};
    *taken = 1;
    if (!is_flag(flags[0])) return refuse(&origin, "not an option: options begin with --");
    size_t name_size = strcspn(flags[0] + 2, " =");
    if (flags[0][2 + name_size] == ' ') return load_whole_flag(config, flags[0], name_size, error);
    struct config_setting setting;
    enum status status = STATUS_OK;
    *taken = take_flag(count, flags, &setting, &status);
    if (status != STATUS_OK)
        return refuse(&origin, "value is longer than %d bytes", CONFIG_TEXT_MAX - 1);
    if (bytes_is(setting.name, "include")) return load_include(config, &setting, 0, &origin);
    struct bytes rest;
    struct config_lines *lines = lines_of(config, setting.name, &rest);
    return lines != NULL ? keep_line(lines, config_setting_value(&setting), &origin)
                         : load_setting(config, &setting, &origin);
}

enum status config_load_flags(struct config *config, int count, char *const *flags, char *error) {
    for (int i = 0, taken; i < count; i += taken) {
        enum status status = load_flag(config, count - i, flags + i, &taken, error);
        if (status != STATUS_OK && !config_tells(config, error)) return status;
    }
    return STATUS_OK;
}

/* ---- Changing -------------------------------------------------------------------------------- */

/* One option of a CONFIG SET. */
struct change {
    const struct config_option *option;
    struct bytes value;
    const struct config_hook *hook; /* to call; NULL: none, or another change's does the same */
    char old[CONFIG_TEXT_MAX];
};

struct change_list {
    struct change *changes; /* as many as there are options: no option may appear twice */
    size_t count;
};

static __attribute__((format(printf, 2, 3))) enum status reply(char *error, const char *format,
                                                               ...) {
    va_list values;
    va_start(values, format);
    vsnprintf(error, CONFIG_ERROR_MAX, format, values);
    va_end(values);
    return STATUS_REFUSED;
}

static enum status reply_failed(char *error, struct bytes name, const char *reason) {
    int shown = name.size < CONFIG_ERROR_MAX / 4 ? (int)name.size : CONFIG_ERROR_MAX / 4;
    return reply(error, "ERR CONFIG SET failed (possibly related to argument '%.*s') - %.*s", shown,
                 name.data, CONFIG_ERROR_MAX / 2, reason);
}

static bool is_listed(const struct change_list *list, const struct config_option *option) {
    for (size_t i = 0; i < list->count; i++) {
        if (list->changes[i].option == option) return true;
    }
    return false;
}

static enum status list_change(struct change_list *list, struct bytes name, struct bytes value,
                               char *error) {
    const struct config_option *option = config_option_find(name);
    if (option == NULL) {
        int shown = name.size < CONFIG_ERROR_MAX / 2 ? (int)name.size : CONFIG_ERROR_MAX / 2;
        const char *suggestion = config_option_suggest(name);
        bool can_be_set =
            suggestion != NULL && config_option_find(bytes_of_text(suggestion)) != NULL;
        return reply(error,
                     "ERR Unknown option or number of arguments for CONFIG SET - '%.*s'%s%s%s",
                     shown, name.data, can_be_set ? " (did you mean '" : "",
                     can_be_set ? suggestion : "", can_be_set ? "'?)" : "");
    }
    if ((option->flags & CONFIG_IMMUTABLE) != 0)
        return reply_failed(error, name, "can't set immutable config");
    if (is_listed(list, option)) return reply_failed(error, name, "duplicate parameter");
    list->changes[list->count++] = (struct change){.option = option, .value = value};
    return STATUS_OK;
}

static enum status list_changes(struct change_list *list, const struct bytes *pairs, size_t count,
                                char *error) {
    for (size_t i = 0; i < count; i += 2) {
        enum status status = list_change(list, pairs[i], pairs[i + 1], error);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

/* Would every value be accepted? */
static enum status check_changes(const struct change_list *list, char *error) {
    struct config *scratch = config_create();
    if (scratch == NULL) return reply(error, "OOM command not allowed: out of memory");
    enum status status = STATUS_OK;
    for (size_t i = 0; i < list->count && status == STATUS_OK; i++) {
        const struct config_option *option = list->changes[i].option;
        char reason[CONFIG_ERROR_MAX];
        status = config_value_read(option, list->changes[i].value, scratch, reason);
        if (status != STATUS_OK) status = reply_failed(error, bytes_of_text(option->name), reason);
    }
    config_destroy(scratch);
    return status;
}

/* Set a value that is known to be acceptable. */
static void set_value(struct config *config, const struct config_option *option,
                      struct bytes value) {
    char error[CONFIG_ERROR_MAX];
    pthread_mutex_lock(&config->text_lock);
    enum status status = config_value_read(option, value, config, error);
    pthread_mutex_unlock(&config->text_lock);
    check(status == STATUS_OK);
}

static const struct config_hook *find_hook(const struct config *config,
                                           const struct config_option *option) {
    for (size_t i = 0; i < config->hook_count; i++) {
        if (strcmp(config->hooks[i].option, option->name) == 0) return &config->hooks[i];
    }
    return NULL;
}

static bool has_changed(struct config *config, const struct change *change) {
    if ((change->option->flags & CONFIG_NAMES_FILE) != 0) return true;
    char value[CONFIG_TEXT_MAX];
    copy_value(config, change->option, value);
    return strcmp(value, change->old) != 0;
}

/* A hook looks at all of its options: several of them that change at once need but one call. */
static void choose_hook(const struct config *config, const struct change_list *list,
                        struct change *change) {
    change->hook = find_hook(config, change->option);
    for (const struct change *before = list->changes; before < change; before++) {
        if (before->hook != NULL && change->hook != NULL &&
            before->hook->apply == change->hook->apply)
            change->hook = NULL;
    }
}

/* Put the old values back, and let those take effect again that had: the first `applied` ones. */
static void undo_changes(struct config *config, const struct change_list *list, size_t applied) {
    for (size_t i = 0; i < list->count; i++) {
        set_value(config, list->changes[i].option, bytes_of_text(list->changes[i].old));
    }
    for (size_t i = 0; i < applied; i++) {
        const struct config_hook *hook = list->changes[i].hook;
        if (hook == NULL) continue;
        /* What held before is expected to hold again; if not, the hook has logged it. */
        char reason[CONFIG_ERROR_MAX];
        enum status ignored = hook->apply(config->hook_context, config, reason);
        (void)ignored;
    }
}

static enum status make_changes(struct config *config, struct change_list *list, char *error) {
    for (size_t i = 0; i < list->count; i++) {
        struct change *change = &list->changes[i];
        copy_value(config, change->option, change->old);
        set_value(config, change->option, change->value);
        if (has_changed(config, change)) choose_hook(config, list, change);
    }
    for (size_t i = 0; i < list->count; i++) {
        const struct change *change = &list->changes[i];
        if (change->hook == NULL) continue;
        char reason[CONFIG_ERROR_MAX] = "it could not take effect";
        if (change->hook->apply(config->hook_context, config, reason) == STATUS_OK) continue;
        undo_changes(config, list, i);
        return reply_failed(error, bytes_of_text(change->option->name), reason);
    }
    return STATUS_OK;
}

enum status config_apply_again(struct config *config, const char *name, char *reason) {
    const struct config_option *option = config_option_find(bytes_of_text(name));
    check(option != NULL);
    const struct config_hook *hook = find_hook(config, option);
    if (hook == NULL) return STATUS_OK;
    pthread_mutex_lock(&config->change_lock);
    enum status status = hook->apply(config->hook_context, config, reason);
    pthread_mutex_unlock(&config->change_lock);
    return status;
}

static void note_changes(struct config *config, const struct change_list *list,
                         const struct config_request *request) {
    struct config_origin origin = {.source = CONFIG_FROM_CLIENT, .time_ms = request->now_ms};
    for (size_t i = 0; i < list->count; i++) {
        note_origin(config, list->changes[i].option, origin, request->author);
    }
}

enum status config_set(struct config *config, const struct config_request *request, char *error) {
    size_t count = request->count;
    if (count == 0 || count % 2 != 0) return reply(error, "ERR syntax error");
    struct change_list list = {.changes =
                                   memory_allocate(config_option_count * sizeof(struct change))};
    if (list.changes == NULL) return reply(error, "OOM command not allowed: out of memory");
    enum status status = list_changes(&list, request->pairs, count, error);
    if (status == STATUS_OK) status = check_changes(&list, error);
    if (status == STATUS_OK) {
        pthread_mutex_lock(&config->change_lock);
        status = make_changes(config, &list, error);
        if (status == STATUS_OK) note_changes(config, &list, request);
        pthread_mutex_unlock(&config->change_lock);
    }
    memory_free(list.changes);
    return status;
}
