/* Manual pages in the language of groff's `man` macros, with what would be a command to it made harmless. */
#pragma once

#include <stddef.h>
#include <stdio.h>

/* The page's head, up to and with its NAME. */
void troff_begin(FILE *out, const char *name, int section, const char *summary);
void troff_section(FILE *out, const char *title);
/* Text as it is, without a line's end. */
void troff_text(FILE *out, const char *text, size_t size);
/* A paragraph. */
void troff_paragraph(FILE *out, const char *text);
/* A term in bold with its values behind it, and what it means below, indented. `values` may be "". */
void troff_term(FILE *out, const char *term, const char *values, const char *meaning);
/* Lines that keep their form. */
void troff_example(FILE *out, const char *lines);
