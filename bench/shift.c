/* A memory limit that is a promise about the process: written to many times over with values whose sizes shift, what does
 * the server's resident set reach? Every key is new, so a server that keeps the limit evicts.
 *
 * One connection, one pipeline of a quarter of a MiB at a time, and a look at the process after each: the peak is seen
 * to within what a server does with that much. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/ask.h"
#include "bench/bench.h"
#include "bench/options.h"
#include "bench/report.h"

enum { PIPELINE_BYTES = 256 * 1024, KEY_BYTES = 16 };

struct shift {
    struct target target;
    long long pid, limit_bytes, times;
    struct option_list sizes;
    bool prints_json;
    struct ask ask;
    uint64_t key; /* the next */
    char *pipeline;
    size_t pipeline_capacity;
};

/* In bytes; 0, with a message, when there is no such process. */
static double resident_bytes(long long pid) {
    char path[64];
    snprintf(path, sizeof(path), "/proc/%lld/statm", pid);
    FILE *file = fopen(path, "r");
    unsigned long total = 0, resident = 0;
    int count = file != NULL ? fscanf(file, "%lu %lu", &total, &resident) : 0;
    if (count != 2) perror(path);
    if (file != NULL) fclose(file);
    return count == 2 ? (double)resident * (double)sysconf(_SC_PAGESIZE) : 0;
}

static bool take_replies(struct shift *shift, size_t count) {
    for (size_t i = 0; i < count; i++) {
        long long number;
        if (!ask_take(&shift->ask, &number, NULL, 0)) return false;
    }
    return true;
}

/* So many new keys, as one pipeline. */
static bool write_some(struct shift *shift, size_t value_bytes, size_t count) {
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        char key[KEY_BYTES + 1];
        snprintf(key, sizeof(key), "key:%012" PRIu64, shift->key++);
        struct request request = {
            .kind = REQUEST_SET, .key = bytes_of(key, KEY_BYTES), .value_bytes = value_bytes};
        size += shift->target.protocol->write_head(shift->pipeline + size, &request);
        memset(shift->pipeline + size, 'v', value_bytes);
        size += value_bytes;
        memcpy(shift->pipeline + size, PROTOCOL_LINE_END.data, PROTOCOL_LINE_END.size);
        size += PROTOCOL_LINE_END.size;
    }
    return ask_send(&shift->ask, shift->pipeline, size) && take_replies(shift, count);
}

static bool make_pipeline(struct shift *shift, size_t value_bytes, size_t *count) {
    *count =
        value_bytes < PIPELINE_BYTES ? PIPELINE_BYTES / (value_bytes + REQUEST_HEAD_MAX) + 1 : 1;
    size_t needed = *count * (REQUEST_HEAD_MAX + value_bytes + PROTOCOL_LINE_END.size);
    if (needed <= shift->pipeline_capacity) return true;
    char *grown = realloc(shift->pipeline, needed);
    if (grown == NULL) return false;
    shift->pipeline = grown;
    shift->pipeline_capacity = needed;
    return true;
}

static bool write_size(struct shift *shift, struct report *report, size_t value_bytes) {
    size_t count;
    if (!make_pipeline(shift, value_bytes, &count)) return false;
    double peak = 0, resident = 0;
    double left = (double)shift->limit_bytes * (double)shift->times;
    while (left > 0) {
        if (!write_some(shift, value_bytes, count)) return false;
        resident = resident_bytes(shift->pid);
        if (resident == 0) return false;
        if (resident > peak) peak = resident;
        left -= (double)(count * (value_bytes + KEY_BYTES));
    }
    double limit = (double)shift->limit_bytes;
    const struct report_field row[] = {
        {.name = "value_bytes", .number = (double)value_bytes},
        {.name = "peak_mib", .number = peak / 1048576, .decimals = 1},
        {.name = "end_mib", .number = resident / 1048576, .decimals = 1},
        {.name = "peak_of_limit", .number = peak / limit, .decimals = 2},
        {.name = "peak_beyond_mib", .number = (peak - limit) / 1048576, .decimals = 1},
    };
    report_row(report, row, sizeof(row) / sizeof(row[0]));
    return true;
}

int shift_run(int argc, char **argv) {
    struct shift shift = {.target = target_default(),
                          .limit_bytes = 64 << 20,
                          .times = 4,
                          .sizes = {7, {8192, 64, 8192, 2048, 64, 3000, 64}}};
    const struct option_row rows[] = {
        {"--host", OPTION_TEXT, &shift.target.host},
        {"--port", OPTION_NUMBER, &shift.target.port},
        {"--unix", OPTION_TEXT, &shift.target.unix_path},
        {"--pid", OPTION_COUNT, &shift.pid},
        {"--limit-bytes", OPTION_COUNT, &shift.limit_bytes},
        {"--sizes", OPTION_COUNTS, &shift.sizes},
        {"--times", OPTION_COUNT, &shift.times},
        {"--json", OPTION_SWITCH, &shift.prints_json},
    };
    if (!options_read(argc, argv, rows, sizeof(rows) / sizeof(rows[0])) ||
        !target_is_known(&shift.target))
        return EXIT_FAILURE;
    if (shift.pid == 0) {
        fputs("sherd-bench: --pid: which process is the server's?\n", stderr);
        return EXIT_FAILURE;
    }
    if (!ask_open(&shift.ask, &shift.target)) return EXIT_FAILURE;
    struct report report;
    report_init(&report, "shift", shift.prints_json, shift.sizes.count);
    bool is_good = true;
    for (size_t i = 0; is_good && i < shift.sizes.count; i++) {
        is_good = write_size(&shift, &report, (size_t)shift.sizes.values[i]);
    }
    ask_close(&shift.ask);
    free(shift.pipeline);
    return is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}
