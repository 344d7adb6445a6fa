#include "server/config_value.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "server/machine_memory.h"
#include "shards/base/check.h"
#include "shards/base/number.h"

static __attribute__((format(printf, 2, 3))) enum status refuse(char *error, const char *format,
                                                                ...) {
    va_list values;
    va_start(values, format);
    vsnprintf(error, CONFIG_ERROR_MAX, format, values);
    va_end(values);
    return STATUS_REFUSED;
}

/* ---- Fields ---------------------------------------------------------------------------------- */

/* Where the option's value lies. Reading and writing share it, hence the cast. */
static void *field_of(const struct config_option *option, const struct config *config) {
    return (char *)(uintptr_t)config + option->field;
}

static int64_t number_of(const struct config_option *option, const struct config *config) {
    return config_number(field_of(option, config));
}

static void set_number(const struct config_option *option, struct config *config, int64_t number) {
    config_field *field = field_of(option, config);
    atomic_store_explicit(field, number, memory_order_relaxed);
}

/* ---- Numbers and words of a fixed set -------------------------------------------------------- */

static enum status read_boolean(const struct config_option *option, struct bytes text,
                                struct config *config, char *error) {
    bool is_yes = bytes_is(text, "yes");
    if (!is_yes && !bytes_is(text, "no")) return refuse(error, "argument must be 'yes' or 'no'");
    set_number(option, config, is_yes);
    return STATUS_OK;
}

static size_t write_boolean(const struct config_option *option, const struct config *config,
                            char *out) {
    return (size_t)snprintf(out, CONFIG_TEXT_MAX, "%s",
                            number_of(option, config) != 0 ? "yes" : "no");
}

static enum status set_in_range(const struct config_option *option, int64_t number,
                                struct config *config, char *error) {
    if (number >= option->min && number <= option->max) {
        set_number(option, config, number);
        return STATUS_OK;
    }
    if (option->kind == CONFIG_OCTAL) {
        return refuse(error, "argument must be between %llo and %llo inclusive",
                      (unsigned long long)option->min, (unsigned long long)option->max);
    }
    return refuse(error, "argument must be between %lld and %lld inclusive", (long long)option->min,
                  (long long)option->max);
}

static enum status read_integer(const struct config_option *option, struct bytes text,
                                struct config *config, char *error) {
    int64_t number;
    if (!number_read(text, &number))
        return refuse(error, "argument couldn't be parsed into an integer");
    return set_in_range(option, number, config, error);
}

static size_t write_integer(const struct config_option *option, const struct config *config,
                            char *out) {
    size_t size = number_write(number_of(option, config), out);
    out[size] = '\0';
    return size;
}

/* Digits in any base up to ten; as many as there are. */
static bool read_digits(struct bytes text, int base, int64_t *number) {
    *number = 0;
    for (size_t i = 0; i < text.size; i++) {
        int digit = text.data[i] - '0';
        if (digit < 0 || digit >= base) return false;
        if (__builtin_mul_overflow(*number, base, number) ||
            __builtin_add_overflow(*number, digit, number)) {
            return false;
        }
    }
    return text.size > 0;
}

/* "64mb": digits, then a unit in any case. */
static bool read_memory_text(struct bytes text, int64_t *bytes) {
    static const struct {
        const char *name;
        int64_t bytes;
    } units[] = {
        {"", 1},           {"b", 1},
        {"k", 1000},       {"kb", 1024},
        {"m", 1000000},    {"mb", 1024 * 1024},
        {"g", 1000000000}, {"gb", 1024 * 1024 * 1024},
    };
    size_t digits = 0;
    while (digits < text.size && text.data[digits] >= '0' && text.data[digits] <= '9') {
        digits++;
    }
    if (!read_digits(bytes_of(text.data, digits), 10, bytes)) return false;
    struct bytes unit = bytes_of(text.data + digits, text.size - digits);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (bytes_is(unit, units[i].name))
            return !__builtin_mul_overflow(*bytes, units[i].bytes, bytes);
    }
    return false;
}

static enum status read_memory(const struct config_option *option, struct bytes text,
                               struct config *config, char *error) {
    int64_t bytes;
    if (!read_memory_text(text, &bytes)) return refuse(error, "argument must be a memory value");
    return set_in_range(option, bytes, config, error);
}

static bool is_percentage(struct bytes text) {
    return text.size > 0 && text.data[text.size - 1] == '%';
}

static enum status refuse_memory_or_percent(char *error) {
    return refuse(error, "argument must be a memory or percent value");
}

static enum status read_percentage(struct bytes text, int64_t *percent, char *error) {
    if (!read_digits(bytes_of(text.data, text.size - 1), 10, percent))
        return refuse_memory_or_percent(error);
    if (*percent <= 100) return STATUS_OK;
    return refuse(error, "percentage argument must be less or equal to 100");
}

/* "75%": of the memory there is, in bytes from then on. */
static enum status read_memory_share(const struct config_option *option, struct bytes text,
                                     struct config *config, char *error) {
    int64_t percent, bytes;
    if (!is_percentage(text)) {
        if (!read_memory_text(text, &bytes)) return refuse_memory_or_percent(error);
        return set_in_range(option, bytes, config, error);
    }
    enum status status = read_percentage(text, &percent, error);
    if (status != STATUS_OK) return status;
    if (percent == 0) return refuse(error, "percentage argument must be greater than 0");
    struct machine_memory memory = machine_memory();
    return set_in_range(option, (int64_t)(memory.bytes / 100) * percent, config, error);
}

/* "10%": of another option, whatever that will be. None of it is no limit, as in Redis. */
static enum status read_memory_part(const struct config_option *option, struct bytes text,
                                    struct config *config, char *error) {
    int64_t percent, bytes;
    if (!is_percentage(text)) {
        if (!read_memory_text(text, &bytes)) return refuse_memory_or_percent(error);
        return set_in_range(option, bytes, config, error);
    }
    enum status status = read_percentage(text, &percent, error);
    if (status == STATUS_OK) set_number(option, config, -percent);
    return status;
}

static size_t write_memory_part(const struct config_option *option, const struct config *config,
                                char *out) {
    int64_t number = number_of(option, config);
    if (number >= 0) return write_integer(option, config, out);
    return (size_t)snprintf(out, CONFIG_TEXT_MAX, "%lld%%", -(long long)number);
}

static enum status read_octal(const struct config_option *option, struct bytes text,
                              struct config *config, char *error) {
    int64_t number;
    if (!read_digits(text, 8, &number))
        return refuse(error, "argument couldn't be parsed as an octal number");
    return set_in_range(option, number, config, error);
}

static size_t write_octal(const struct config_option *option, const struct config *config,
                          char *out) {
    return (size_t)snprintf(out, CONFIG_TEXT_MAX, "%llo",
                            (unsigned long long)number_of(option, config));
}

static enum status read_enum(const struct config_option *option, struct bytes text,
                             struct config *config, char *error) {
    for (int i = 0; option->choices[i] != NULL; i++) {
        if (!bytes_is(text, option->choices[i])) continue;
        set_number(option, config, i);
        return STATUS_OK;
    }
    size_t size =
        (size_t)snprintf(error, CONFIG_ERROR_MAX, "argument(s) must be one of the following: ");
    for (int i = 0; option->choices[i] != NULL && size < CONFIG_ERROR_MAX; i++) {
        size += (size_t)snprintf(error + size, CONFIG_ERROR_MAX - size, "%s%s", i > 0 ? ", " : "",
                                 option->choices[i]);
    }
    return STATUS_REFUSED;
}

static size_t write_enum(const struct config_option *option, const struct config *config,
                         char *out) {
    return (size_t)snprintf(out, CONFIG_TEXT_MAX, "%s", option->choices[number_of(option, config)]);
}

/* ---- Text ------------------------------------------------------------------------------------ */

/* The text is shorter than CONFIG_TEXT_MAX and holds no NUL: config_value_read saw to it. */
static enum status read_string(const struct config_option *option, struct bytes text,
                               struct config *config, char *error) {
    (void)error;
    char *field = field_of(option, config);
    if (text.size > 0) memcpy(field, text.data, text.size);
    field[text.size] = '\0';
    return STATUS_OK;
}

static size_t write_string(const struct config_option *option, const struct config *config,
                           char *out) {
    const char *field = field_of(option, config);
    size_t size = strlen(field);
    memcpy(out, field, size + 1);
    return size;
}

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Take the next word off the text. Quotes mean nothing here: they were the file's or the command's. */
static bool take_word(struct bytes *text, struct bytes *word) {
    size_t start = 0;
    while (start < text->size && is_space(text->data[start])) {
        start++;
    }
    size_t end = start;
    while (end < text->size && !is_space(text->data[end])) {
        end++;
    }
    if (end == start) return false;
    *word = bytes_of(text->data + start, end - start);
    *text = bytes_of(text->data + end, text->size - end);
    return true;
}

/* Kept with one space between words. */
static enum status read_words(const struct config_option *option, struct bytes text,
                              struct config *config, char *error) {
    char joined[CONFIG_TEXT_MAX];
    size_t size = 0;
    struct bytes word;
    while (take_word(&text, &word)) {
        if (size > 0) joined[size++] = ' ';
        memcpy(joined + size, word.data, word.size); /* never more than the text itself has */
        size += word.size;
    }
    return read_string(option, bytes_of(joined, size), config, error);
}

/* "99.90" is 99.9 to who asks for it, as in Redis: six decimals at most, and no zeros behind them. */
static size_t write_percentile(double percentile, char *out) {
    size_t size = (size_t)sprintf(out, "%f", percentile);
    while (out[size - 1] == '0') {
        size--;
    }
    return out[size - 1] == '.' ? size - 1 : size;
}

static enum status read_percentiles(const struct config_option *option, struct bytes text,
                                    struct config *config, char *error) {
    enum { PERCENTILE_MAX_BYTES = 16 }; /* " -0.000000", " 100.000000" and a NUL are less */
    char joined[CONFIG_TEXT_MAX];
    size_t size = 0;
    struct bytes word;
    while (take_word(&text, &word)) {
        double percentile;
        if (!number_read_double(word, &percentile))
            return refuse(error, "Invalid %s parameters", option->name);
        if (!(percentile >= 0 && percentile <= 100)) {
            return refuse(error, "%s parameters should sit between [0.0,100.0]", option->name);
        }
        if (size + PERCENTILE_MAX_BYTES > sizeof joined)
            return refuse(error, "%s: too many percentiles", option->name);
        if (size > 0) joined[size++] = ' ';
        size += write_percentile(percentile, joined + size);
    }
    return read_string(option, bytes_of(joined, size), config, error);
}

static enum status refuse_save_points(char *error) {
    return refuse(error,
                  "Invalid save parameters: pairs of seconds and changes are wanted, at most "
                  "%d, such as '3600 1 300 100', or '' for none",
                  CONFIG_SAVE_POINTS_MAX);
}

/* Pairs of numbers: a whole one is at least 1 second and 0 changes. */
static enum status read_save_points(const struct config_option *option, struct bytes text,
                                    struct config *config, char *error) {
    enum { NUMBERS_MAX = 2 * CONFIG_SAVE_POINTS_MAX };
    struct bytes rest = text, word;
    int count = 0;
    for (; take_word(&rest, &word); count++) {
        int64_t number;
        bool is_seconds = count % 2 == 0;
        if (count == NUMBERS_MAX || !number_read(word, &number) || number < is_seconds ||
            (is_seconds && number > INT32_MAX))
            return refuse_save_points(error);
    }
    if (count % 2 != 0) return refuse_save_points(error);
    return read_words(option, text, config, error);
}

static enum status read_file_name(const struct config_option *option, struct bytes text,
                                  struct config *config, char *error) {
    enum { NAME_MAX_BYTES = 255 };
    if (text.size == 0) return refuse(error, "%s can't be empty", option->name);
    if (text.size > NAME_MAX_BYTES || memchr(text.data, '/', text.size) != NULL)
        return refuse(error, "%s can't be a path, just a filename", option->name);
    return read_string(option, text, config, error);
}

/* ---- Output buffer limits -------------------------------------------------------------------- */

static bool read_class(struct bytes word, enum config_clients *class) {
    static const struct {
        const char *name;
        enum config_clients class;
    } names[] = {
        {"normal", CLIENTS_NORMAL},
        {"replica", CLIENTS_REPLICA},
        {"slave", CLIENTS_REPLICA},
        {"pubsub", CLIENTS_PUBSUB},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!bytes_is(word, names[i].name)) continue;
        *class = names[i].class;
        return true;
    }
    return false;
}

struct buffer_limit {
    int64_t hard_bytes, soft_bytes, soft_seconds;
};

static bool take_buffer_limit(struct bytes *text, struct buffer_limit *limit) {
    struct bytes hard, soft, seconds;
    return take_word(text, &hard) && take_word(text, &soft) && take_word(text, &seconds) &&
           read_memory_text(hard, &limit->hard_bytes) &&
           read_memory_text(soft, &limit->soft_bytes) &&
           read_digits(seconds, 10, &limit->soft_seconds);
}

/* Classes that aren't named keep what they have. */
static enum status read_buffer_limits(const struct config_option *option, struct bytes text,
                                      struct config *config, char *error) {
    struct buffer_limit limits[CLIENTS_CLASSES];
    bool is_named[CLIENTS_CLASSES] = {false};
    struct bytes word, rest = text;
    size_t words = 0;
    while (take_word(&rest, &word))
        words++;
    if (words % 4 != 0) {
        return refuse(error, "Wrong number of arguments in buffer limit configuration.");
    }
    while (take_word(&text, &word)) {
        enum config_clients class;
        if (!read_class(word, &class)) {
            return refuse(error, "Invalid client class specified in buffer limit configuration.");
        }
        if (!take_buffer_limit(&text, &limits[class])) {
            return refuse(
                error,
                "Error in hard, soft or soft_seconds setting in buffer limit configuration.");
        }
        is_named[class] = true;
    }
    struct config_buffer_limit *fields = field_of(option, config);
    for (int i = 0; i < CLIENTS_CLASSES; i++) {
        if (!is_named[i]) continue;
        atomic_store_explicit(&fields[i].hard_bytes, limits[i].hard_bytes, memory_order_relaxed);
        atomic_store_explicit(&fields[i].soft_bytes, limits[i].soft_bytes, memory_order_relaxed);
        atomic_store_explicit(&fields[i].soft_seconds, limits[i].soft_seconds,
                              memory_order_relaxed);
    }
    return STATUS_OK;
}

static size_t write_buffer_limits(const struct config_option *option, const struct config *config,
                                  char *out) {
    static const char *const names[CLIENTS_CLASSES] = {"normal", "slave",
                                                       "pubsub"}; /* as Redis still shows them */
    const struct config_buffer_limit *fields = field_of(option, config);
    size_t size = 0;
    for (int i = 0; i < CLIENTS_CLASSES; i++) {
        size += (size_t)snprintf(out + size, CONFIG_TEXT_MAX - size, "%s%s %lld %lld %lld",
                                 i > 0 ? " " : "", names[i],
                                 (long long)config_number(&fields[i].hard_bytes),
                                 (long long)config_number(&fields[i].soft_bytes),
                                 (long long)config_number(&fields[i].soft_seconds));
    }
    return size;
}

/* ---- Kinds ----------------------------------------------------------------------------------- */

static const struct {
    enum status (*read)(const struct config_option *option, struct bytes text,
                        struct config *config, char *error);
    size_t (*write)(const struct config_option *option, const struct config *config, char *out);
    bool takes_words;
} kinds[] = {
    [CONFIG_BOOLEAN] = {read_boolean, write_boolean, false},
    [CONFIG_INTEGER] = {read_integer, write_integer, false},
    [CONFIG_MEMORY] = {read_memory, write_integer, false},
    [CONFIG_MEMORY_SHARE] = {read_memory_share, write_integer, false},
    [CONFIG_MEMORY_PART] = {read_memory_part, write_memory_part, false},
    [CONFIG_OCTAL] = {read_octal, write_octal, false},
    [CONFIG_ENUM] = {read_enum, write_enum, false},
    [CONFIG_STRING] = {read_string, write_string, false},
    [CONFIG_WORDS] = {read_words, write_string, true},
    [CONFIG_PERCENTILES] = {read_percentiles, write_string, true},
    [CONFIG_SAVE_POINTS] = {read_save_points, write_string, true},
    [CONFIG_FILE_NAME] = {read_file_name, write_string, false},
    [CONFIG_BUFFER_LIMITS] = {read_buffer_limits, write_buffer_limits, true},
};

bool config_option_takes_words(const struct config_option *option) {
    return kinds[option->kind].takes_words;
}

/* Take back what isn't the one value that is accepted: it was the field's value before, so nothing has changed. */
static enum status insist_on_initial(const struct config_option *option, struct config *config,
                                     char *error) {
    char value[CONFIG_TEXT_MAX];
    config_value_write(option, config, value);
    if (strcmp(value, option->initial) == 0) return STATUS_OK;
    check(kinds[option->kind].read(option, bytes_of_text(option->initial), config, error) ==
          STATUS_OK);
    return refuse(error, "%s", option->only_initial);
}

enum status config_value_read(const struct config_option *option, struct bytes text,
                              struct config *config, char *error) {
    if (text.size >= CONFIG_TEXT_MAX)
        return refuse(error, "argument is longer than %d bytes", CONFIG_TEXT_MAX - 1);
    if (text.size > 0 && memchr(text.data, '\0', text.size) != NULL) {
        return refuse(error, "argument must not contain a NUL byte");
    }
    enum status status = kinds[option->kind].read(option, text, config, error);
    if (status != STATUS_OK || option->only_initial == NULL) return status;
    return insist_on_initial(option, config, error);
}

size_t config_value_write(const struct config_option *option, const struct config *config,
                          char out[CONFIG_TEXT_MAX]) {
    return kinds[option->kind].write(option, config, out);
}

/* ---- Names ----------------------------------------------------------------------------------- */

const struct config_option *config_option_find(struct bytes name) {
    for (size_t i = 0; i < config_option_count; i++) {
        if (bytes_is(name, config_options[i].name)) return &config_options[i];
    }
    return NULL;
}

void config_options_offer(struct suggestion *suggestion) {
    static const char *const line_words[] = {"user", "rename-command", "include"};
    for (size_t i = 0; i < config_option_count; i++) {
        suggestion_offer(suggestion, config_options[i].name);
    }
    for (size_t i = 0; i < sizeof line_words / sizeof line_words[0]; i++) {
        suggestion_offer(suggestion, line_words[i]);
    }
}

const char *config_option_suggest(struct bytes name) {
    struct suggestion suggestion;
    suggestion_init(&suggestion, name);
    config_options_offer(&suggestion);
    return suggestion.nearest;
}
