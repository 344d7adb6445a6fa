#include "server/describe.h"

#include <limits.h>
#include <string.h>

#include "shards/base/check.h"

enum { CHOICES_TEXT_MAX = 60 }; /* a wider list is told behind the help, where lines may break */

/* Returns the list's width. */
static int write_choices(const char *const *choices, const char *between,
                         char out[DESCRIBE_TEXT_MAX]) {
    int size = 0;
    for (int i = 0; choices[i] != NULL; i++) {
        size += snprintf(out + size, (size_t)(DESCRIBE_TEXT_MAX - size), "%s%s",
                         i > 0 ? between : "", choices[i]);
        check(size < DESCRIBE_TEXT_MAX);
    }
    return size;
}

int describe_values(FILE *out, const struct config_option *option) {
    static const char *const placeholders[] = {
        [CONFIG_BOOLEAN] = "yes|no",        [CONFIG_INTEGER] = "NUMBER",
        [CONFIG_MEMORY] = "BYTES",          [CONFIG_OCTAL] = "OCTAL",
        [CONFIG_STRING] = "TEXT",           [CONFIG_WORDS] = "WORD...",
        [CONFIG_PERCENTILES] = "NUMBER...", [CONFIG_BUFFER_LIMITS] = "CLASS HARD SOFT SECONDS...",
        [CONFIG_MEMORY_SHARE] = "BYTES|N%", [CONFIG_MEMORY_PART] = "BYTES|N%",
        [CONFIG_FILE_NAME] = "NAME",        [CONFIG_SAVE_POINTS] = "SECONDS CHANGES...",
    };
    if (option->only_initial != NULL) return fprintf(out, "%s", describe_initial(option));
    if (option->kind == CONFIG_ENUM) {
        char choices[DESCRIBE_TEXT_MAX];
        bool is_short = write_choices(option->choices, "|", choices) <= CHOICES_TEXT_MAX;
        return fprintf(out, "%s", is_short ? choices : "WORD");
    }
    return fprintf(out, "%s", placeholders[option->kind]);
}

const char *describe_initial(const struct config_option *option) {
    return option->initial[0] != '\0' ? option->initial : "\"\"";
}

int describe_default(const struct config_option *option, char out[DESCRIBE_TEXT_MAX]) {
    out[0] = '\0';
    if (option->only_initial != NULL) return 0;
    char choices[DESCRIBE_TEXT_MAX];
    int size = snprintf(out, DESCRIBE_TEXT_MAX, "default %s", describe_initial(option));
    if (option->kind == CONFIG_ENUM &&
        write_choices(option->choices, "|", choices) > CHOICES_TEXT_MAX) {
        write_choices(option->choices, ", ", choices);
        size += snprintf(out + size, (size_t)(DESCRIBE_TEXT_MAX - size), "; one of %s", choices);
    }
    if (option->unit != NULL)
        size += snprintf(out + size, (size_t)(DESCRIBE_TEXT_MAX - size), "; %s", option->unit);
    if (option->kind == CONFIG_INTEGER && option->max < INT_MAX) {
        size += snprintf(out + size, (size_t)(DESCRIBE_TEXT_MAX - size), "; %lld to %lld",
                         (long long)option->min, (long long)option->max);
    }
    return size;
}

void describe_wrapped(FILE *out, const char *text, const char *indent, int column, int width) {
    bool is_first = true; /* of its line */
    for (;;) {
        text += strspn(text, " ");
        int size = (int)strcspn(text, " ");
        if (size == 0) break;
        if (!is_first && column + 1 + size > width) {
            column = fprintf(out, "\n%s", indent) - 1;
            is_first = true;
        }
        column += fprintf(out, "%s%.*s", is_first ? "" : " ", size, text);
        is_first = false;
        text += size;
    }
    fputc('\n', out);
}
