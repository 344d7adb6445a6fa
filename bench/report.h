/* Results: a row a measurement, as an aligned table for people or as one JSON object a line; and how far we are. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Text when `text` isn't NULL, otherwise a number with so many decimals. */
struct report_field {
    const char *name; /* with its unit last, as in "waited_ms" */
    const char *text;
    double number;
    int decimals;
};

struct report {
    const char *subject; /* the subcommand */
    bool prints_json;
    size_t rows_expected; /* 0: unknown */
    size_t rows_printed;
    int64_t begun_ns;
    bool has_progress; /* a progress line stands on the terminal */
};

void report_init(struct report *report, const char *subject, bool prints_json,
                 size_t rows_expected);
/* All rows of a report have the same fields; the names are the head of the table. */
void report_row(struct report *report, const struct report_field *fields, size_t count);
/* Say on a terminal what is being done now, once the whole has taken more than a second. */
void report_progress(struct report *report, const char *doing);
