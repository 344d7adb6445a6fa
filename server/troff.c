#include "server/troff.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

/* A '.' or a ''' that begins a line is a command: a zero-width character goes before it. */
void troff_text(FILE *out, const char *text, size_t size) {
    bool is_line_start = true;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (is_line_start && (c == '.' || c == '\'')) fputs("\\&", out);
        is_line_start = c == '\n';
        if (c == '\\') {
            fputs("\\e", out);
        } else if (c == '-') {
            fputs("\\-", out);
        } else if (c == '\'') {
            fputs("\\(aq", out);
        } else if (c == '`') {
            fputs("\\(ga", out);
        } else {
            fputc(c, out);
        }
    }
}

void troff_begin(FILE *out, const char *name, int section, const char *summary) {
    fputs(".TH ", out);
    for (const char *c = name; *c != '\0'; c++) {
        if (*c == '-') {
            fputs("\\-", out);
        } else {
            fputc(toupper((unsigned char)*c), out);
        }
    }
    fprintf(out, " %d \"\" \"sherd %s\" \"sherd\"\n.SH NAME\n", section, SHERD_VERSION);
    troff_text(out, name, strlen(name));
    fputs(" \\- ", out);
    troff_text(out, summary, strlen(summary));
    fputc('\n', out);
}

void troff_section(FILE *out, const char *title) {
    fprintf(out, ".SH %s\n", title);
}

void troff_paragraph(FILE *out, const char *text) {
    fputs(".PP\n", out);
    troff_text(out, text, strlen(text));
    fputc('\n', out);
}

void troff_term(FILE *out, const char *term, const char *values, const char *meaning) {
    fputs(".TP\n\\fB", out);
    troff_text(out, term, strlen(term));
    fputs("\\fR", out);
    if (values[0] != '\0') {
        fputs(" \\fI", out);
        troff_text(out, values, strlen(values));
        fputs("\\fR", out);
    }
    fputc('\n', out);
    troff_text(out, meaning, strlen(meaning));
    fputc('\n', out);
}

void troff_example(FILE *out, const char *lines) {
    fputs(".PP\n.RS 4\n.nf\n", out);
    troff_text(out, lines, strlen(lines));
    fputs(".fi\n.RE\n", out);
}
