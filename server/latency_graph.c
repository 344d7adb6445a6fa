/* A column a sample, oldest first, 80 to a line of the graph; under it how long ago it was, read downwards:
 *
 *            #  _
 *            | o|        Four rows, and in each three heights, _ o and #, over bars: twelve steps from the shortest
 *         #  |_||        sample to the longest. It is Redis's drawing (sparkline.c, Salvatore Sanfilippo), so that whoever
 *      _o_|#_||||        knows that reads this.
 *
 *      1198765421
 *      10ssssssss
 *      ss
 */
#include "latency_graph.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { WIDTH = 80, ROWS = 4, HEIGHTS = 3, STEPS = ROWS * HEIGHTS, AGE_MAX = 4 };

struct range {
    uint64_t low, high;
};

static struct range range_of(const struct latency_series *series) {
    struct range range = {UINT64_MAX, 0};
    for (uint32_t i = 0; i < series->count; i++) {
        uint64_t took_ms = series->samples[i].took_ms;
        if (took_ms < range.low) range.low = took_ms;
        if (took_ms > range.high) range.high = took_ms;
    }
    return range;
}

/* 0 for the shortest; STEPS - 1 for the longest, and for what is nearly as long. */
static uint64_t step_of(uint64_t took_ms, struct range range) {
    if (range.high == range.low) return 0;
    uint64_t step = (took_ms - range.low) * STEPS / (range.high - range.low);
    return step < STEPS ? step : STEPS - 1;
}

/* What is seen of a column in a row, counted from the lowest. */
static char mark_of(uint64_t step, uint64_t row) {
    uint64_t begin = row * HEIGHTS;
    if (step < begin) return ' ';
    return step < begin + HEIGHTS ? "_o#"[step - begin] : '|';
}

/* "5s", "3m", "2h", "1d": at most two digits, as long as it can be. */
static void write_age(int64_t age_s, char out[AGE_MAX]) {
    static const struct {
        int64_t seconds;
        char unit;
    } units[] = {{1, 's'}, {60, 'm'}, {60 * 60, 'h'}, {24 * 60 * 60, 'd'}};
    size_t unit = 0;
    while (unit + 1 < sizeof(units) / sizeof(units[0]) && age_s >= units[unit + 1].seconds) {
        unit++;
    }
    int64_t count = age_s / units[unit].seconds;
    snprintf(out, AGE_MAX, "%d%c", count < 0 ? 0 : count < 99 ? (int)count : 99, units[unit].unit);
}

static void add_letter(struct text *out, char letter) {
    text_add(out, bytes_of(&letter, 1));
}

static void write_bars(const struct latency_sample *samples, uint32_t count, struct range range,
                       struct text *out) {
    for (uint64_t row = ROWS; row-- > 0;) {
        for (uint32_t i = 0; i < count; i++) {
            add_letter(out, mark_of(step_of(samples[i].took_ms, range), row));
        }
        add_letter(out, '\n');
    }
}

/* An empty line, and as many as the longest age has letters. */
static void write_ages(const struct latency_sample *samples, uint32_t count, int64_t now_s,
                       struct text *out) {
    char ages[WIDTH][AGE_MAX];
    size_t longest = 0;
    for (uint32_t i = 0; i < count; i++) {
        write_age(now_s - samples[i].time_s, ages[i]);
        if (strlen(ages[i]) > longest) longest = strlen(ages[i]);
    }
    for (size_t line = 0; line < 1 + longest; line++) {
        for (uint32_t i = 0; i < count; i++) {
            bool is_blank = line == 0 || line > strlen(ages[i]);
            add_letter(out, is_blank ? ' ' : ages[i][line - 1]);
        }
        add_letter(out, '\n');
    }
}

void latency_graph_write(const struct latency_series *series, int64_t now_s, struct text *out) {
    struct range range = range_of(series);
    text_format(out, "high %llu ms, low %llu ms (all time high %llu ms)\n",
                (unsigned long long)range.high, (unsigned long long)range.low,
                (unsigned long long)series->longest_ms);
    for (int i = 0; i < WIDTH; i++) {
        add_letter(out, '-');
    }
    add_letter(out, '\n');
    for (uint32_t first = 0; first < series->count; first += WIDTH) {
        uint32_t count = series->count - first < WIDTH ? series->count - first : WIDTH;
        if (first != 0) add_letter(out, '\n');
        write_bars(&series->samples[first], count, range, out);
        write_ages(&series->samples[first], count, now_s, out);
    }
}
