#include "report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "server/clock.h"

enum { COLUMN_WIDTH_MIN = 9 };
static const int64_t PATIENCE_NS = 1000000000;

void report_init(struct report *report, const char *subject, bool prints_json,
                 size_t rows_expected) {
    *report = (struct report){.subject = subject,
                              .prints_json = prints_json,
                              .rows_expected = rows_expected,
                              .begun_ns = clock_monotonic_ns()};
}

static void clear_progress(struct report *report) {
    if (report->has_progress) fputs("\r\033[K", stderr);
    report->has_progress = false;
}

void report_progress(struct report *report, const char *doing) {
    if (!isatty(STDERR_FILENO) || clock_monotonic_ns() - report->begun_ns < PATIENCE_NS) return;
    clear_progress(report);
    fprintf(stderr, "sherd-bench %s: %s", report->subject, doing);
    if (report->rows_expected != 0)
        fprintf(stderr, ", row %zu of %zu", report->rows_printed + 1, report->rows_expected);
    report->has_progress = true;
}

static void print_json(const struct report_field *fields, size_t count) {
    for (size_t i = 0; i < count; i++) {
        printf("%s\"%s\":", i == 0 ? "{" : ",", fields[i].name);
        if (fields[i].text != NULL) {
            printf("\"%s\"", fields[i].text);
        } else if (isfinite(fields[i].number)) {
            printf("%.*f", fields[i].decimals, fields[i].number);
        } else {
            fputs("null", stdout); /* nothing was done in the time */
        }
    }
    puts("}");
}

static int width_of(const struct report_field *field) {
    int size = (int)strlen(field->name);
    return size < COLUMN_WIDTH_MIN ? COLUMN_WIDTH_MIN : size;
}

static void print_head(const struct report_field *fields, size_t count) {
    for (size_t i = 0; i < count; i++) {
        printf("%s%*s", i == 0 ? "" : "  ", width_of(&fields[i]), fields[i].name);
    }
    putchar('\n');
}

static void print_columns(const struct report_field *fields, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const struct report_field *field = &fields[i];
        if (i != 0) fputs("  ", stdout);
        if (field->text != NULL) {
            printf("%*s", width_of(field), field->text);
        } else {
            printf("%*.*f", width_of(field), field->decimals, field->number);
        }
    }
    putchar('\n');
}

void report_row(struct report *report, const struct report_field *fields, size_t count) {
    clear_progress(report);
    if (report->prints_json) {
        print_json(fields, count);
    } else {
        if (report->rows_printed == 0) print_head(fields, count);
        print_columns(fields, count);
    }
    fflush(stdout);
    report->rows_printed++;
}
