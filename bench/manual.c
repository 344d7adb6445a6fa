/* A row's options are text for --help, so that is taken apart here: a line that begins with two spaces and a dash is
 * an option, two spaces or more divide it from its meaning, and any other line goes on with that. */
#include "bench/manual.h"

#include <stdbool.h>
#include <string.h>

#include "server/completion.h"
#include "server/troff.h"

enum { TEXT_MAX = 1024 };

struct option_text {
    char option[TEXT_MAX], meaning[TEXT_MAX];
};

static const char *skip_spaces(const char *text) {
    return text + strspn(text, " ");
}

/* Take the option at the front of the lines; NULL: there is none. Returns what follows. */
static const char *take_option(const char *lines, struct option_text *out) {
    if (*lines == '\0') return NULL;
    const char *start = skip_spaces(lines), *end = start + strcspn(start, "\n");
    const char *gap = strstr(start, "  ");
    if (gap == NULL || gap > end) gap = end;
    snprintf(out->option, TEXT_MAX, "%.*s", (int)(gap - start), start);
    gap = skip_spaces(gap);
    int size = snprintf(out->meaning, TEXT_MAX, "%.*s", (int)(end - gap), gap);
    for (lines = *end == '\n' ? end + 1 : end; *lines != '\0' && strncmp(lines, "  --", 4) != 0;
         lines = *end == '\n' ? end + 1 : end) {
        start = skip_spaces(lines);
        end = start + strcspn(start, "\n");
        size += snprintf(out->meaning + size, (size_t)(TEXT_MAX - size), " %.*s",
                         (int)(end - start), start);
    }
    return lines;
}

void bench_manual_print(FILE *out, const struct bench *benches, size_t count) {
    troff_begin(out, "sherd-bench", 1, "measure sherd, its parts, and servers like it");
    troff_section(out, "SYNOPSIS");
    fputs(".B sherd\\-bench\n\\fISUBCOMMAND\\fR [\\fIoptions\\fR]\n", out);
    troff_section(out, "DESCRIPTION");
    troff_paragraph(out, "One instrument a subcommand. Defaults are in parentheses. Options that "
                         "take N,... measure each of the numbers.");
    troff_section(out, "SUBCOMMANDS");
    for (size_t i = 0; i < count; i++) {
        fprintf(out, ".SS %s\n", benches[i].name);
        troff_text(out, benches[i].summary, strlen(benches[i].summary));
        fputc('\n', out);
        struct option_text text;
        for (const char *rest = benches[i].options; (rest = take_option(rest, &text)) != NULL;) {
            troff_term(out, text.option, "", text.meaning);
        }
    }
    troff_section(out, "EXAMPLE");
    troff_example(out, "sherd-bench load --port 6379 --connections 50 --depth 16 --seconds 10\n");
    troff_section(out, "SEE ALSO");
    fputs(".BR sherd (1)\n", out);
}

/* Every word that begins with "--". */
static void print_option_names(FILE *out, const char *text) {
    for (const char *name = text; (name = strstr(name, "--")) != NULL;) {
        int size = (int)strcspn(name, " ,\n|");
        bool is_name = (name == text || name[-1] == ' ') && size > 2;
        if (is_name) fprintf(out, "%.*s ", size, name);
        name += size > 2 ? size : 2;
    }
}

void bench_completion_print(FILE *out, const struct bench *benches, size_t count) {
    fputs("# bash completion for sherd-bench; made by sherd-bench --print completion\n"
          "_sherd_bench() {\n"
          "    local current=${COMP_WORDS[COMP_CWORD]} words=\n"
          "    if [[ $COMP_CWORD -eq 1 ]]; then words=\"--help ",
          out);
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "%s ", benches[i].name);
    }
    fputs("\"\n    elif [[ $current == -* ]]; then\n        case ${COMP_WORDS[1]} in\n", out);
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "        %s) words=\"", benches[i].name);
        print_option_names(out, benches[i].options);
        fputs("\" ;;\n", out);
    }
    fputs("        esac\n"
          "    fi\n",
          out);
    completion_print_end(out, "_sherd_bench", "sherd-bench");
}
