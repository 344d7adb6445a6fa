/* The longest common subsequence, by the textbook's table: cell (i, j) holds the length for the first i
 * bytes of one string and the first j of the other; walking back from the last cell gives the bytes, and
 * the runs where both strings advance together give the ranges, last one first. O(n m) time and memory,
 * bounded by proto-max-bulk-len; the walk prefers a step in the second string when both are as good, as
 * Redis does, so that the same one of several longest subsequences is found.
 *
 * For the length alone two rows are kept; the bound is the same, since it bounds the time, too. The table
 * counts as a client's memory, and no key is evicted for it: at a maxmemory of 300 MB, two strings of 8,400
 * bytes cost a store that was half empty 4,864 keys. */
#include "lcs.h"

#include <string.h>

#include "server/call.h"
#include "server/config.h"
#include "server/server.h"
#include "shards/base/memory.h"

struct options {
    bool wants_length, wants_ranges, with_length;
    int64_t length_min;
};

static bool read_options(struct call *call, struct options *options) {
    for (uint32_t i = 3; i < call->arg_count; i++) {
        if (call_is(call, i, "LEN")) {
            options->wants_length = true;
        } else if (call_is(call, i, "IDX")) {
            options->wants_ranges = true;
        } else if (call_is(call, i, "WITHMATCHLEN")) {
            options->with_length = true;
        } else if (call_is(call, i, "MINMATCHLEN") && i + 1 < call->arg_count) {
            if (!call_integer(call, ++i, &options->length_min)) return false;
            if (options->length_min < 0) options->length_min = 0;
        } else {
            call_syntax_error(call);
            return false;
        }
    }
    if (!options->wants_length || !options->wants_ranges) return true;
    reply_error(call->reply, "ERR If you want both the length and indexes, please just use IDX.");
    return false;
}

/* An absent key reads as empty. */
static bool read_string(struct call *call, uint32_t index, struct bytes *text) {
    const struct entry *entry = call_read(call, index);
    *text = BYTES("");
    if (entry == NULL) return true;
    if (entry_type(entry) == ENTRY_STRING) {
        *text = entry_value(entry);
        return true;
    }
    reply_error(call->reply, "ERR The specified keys must contain string values");
    return false;
}

struct grid {
    struct bytes a, b;
    size_t stride;
    size_t row_mask; /* of a row's number, its place: all ones, or 1 where two rows take turns */
    uint32_t *cells;
};

static uint32_t *cell(const struct grid *grid, size_t i, size_t j) {
    return &grid->cells[(i & grid->row_mask) * grid->stride + j];
}

/* Reply why there is none, and return false; or make it. */
static bool make_grid(struct call *call, struct grid *grid, bool wants_length) {
    uint64_t limit = (uint64_t)config_number(&call->server->config->proto_max_bulk_len);
    uint64_t rows = grid->a.size + 1, columns = grid->b.size + 1, bytes;
    if (__builtin_mul_overflow(rows, columns, &bytes) ||
        __builtin_mul_overflow(bytes, sizeof(uint32_t), &bytes) || bytes > limit) {
        reply_error(call->reply,
                    "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
        return false;
    }
    grid->stride = columns;
    grid->row_mask = wants_length ? 1 : SIZE_MAX;
    if (wants_length && rows > 2) bytes = 2 * columns * sizeof(uint32_t);
    grid->cells = memory_resize_for_client(NULL, bytes);
    if (grid->cells != NULL) return true;
    reply_error(call->reply, "ERR Insufficient memory, failed allocating transient memory for LCS");
    return false;
}

static void fill_grid(const struct grid *grid) {
    memset(cell(grid, 0, 0), 0, grid->stride * sizeof(uint32_t));
    for (size_t i = 1; i <= grid->a.size; i++) {
        const uint32_t *above = cell(grid, i - 1, 0);
        uint32_t *row = cell(grid, i, 0);
        row[0] = 0;
        for (size_t j = 1; j <= grid->b.size; j++) {
            uint32_t best = above[j] > row[j - 1] ? above[j] : row[j - 1];
            row[j] = grid->a.data[i - 1] == grid->b.data[j - 1] ? above[j - 1] + 1 : best;
        }
    }
}

/* A run of both strings: [a, a + size) and [b, b + size). */
struct range {
    size_t a, b, size;
};

/* Walk back: the subsequence's bytes to `text`, its ranges, last first, to `ranges`; returns how many. */
static size_t walk_back(const struct grid *grid, int64_t length_min, char *text,
                        struct range *ranges) {
    size_t i = grid->a.size, j = grid->b.size, left = *cell(grid, i, j), count = 0;
    struct range run = {0};
    while (i > 0 && j > 0) {
        bool is_common = grid->a.data[i - 1] == grid->b.data[j - 1];
        if (is_common) {
            text[--left] = grid->a.data[--i];
            run = (struct range){i, --j, run.size + 1};
        } else if (*cell(grid, i - 1, j) > *cell(grid, i, j - 1)) {
            i--;
        } else {
            j--;
        }
        bool is_over = !is_common || i == 0 || j == 0;
        if (!is_over || run.size == 0) continue;
        if ((int64_t)run.size >= length_min) ranges[count++] = run;
        run.size = 0;
    }
    return count;
}

static void reply_pair(struct call *call, size_t start, size_t size) {
    reply_array(call->reply, 2);
    reply_integer(call->reply, (int64_t)start);
    reply_integer(call->reply, (int64_t)(start + size - 1));
}

static void reply_ranges(struct call *call, const struct range *ranges, size_t count,
                         uint32_t length, bool with_length) {
    reply_map(call->reply, 2);
    reply_bulk_text(call->reply, "matches");
    reply_array(call->reply, count);
    for (size_t i = 0; i < count; i++) {
        reply_array(call->reply, with_length ? 3 : 2);
        reply_pair(call, ranges[i].a, ranges[i].size);
        reply_pair(call, ranges[i].b, ranges[i].size);
        if (with_length) reply_integer(call->reply, (int64_t)ranges[i].size);
    }
    reply_bulk_text(call->reply, "len");
    reply_integer(call->reply, length);
}

void strings_lcs(struct call *call) {
    struct options options = {0};
    struct grid grid = {0};
    if (!read_string(call, 1, &grid.a) || !read_string(call, 2, &grid.b)) return;
    if (!read_options(call, &options) || !make_grid(call, &grid, options.wants_length)) return;
    fill_grid(&grid);
    uint32_t length = *cell(&grid, grid.a.size, grid.b.size);
    if (options.wants_length) {
        reply_integer(call->reply, length);
    } else {
        char *text = call_scratch(call, length + 1);
        struct range *ranges =
            text != NULL ? call_scratch(call, (length + 1) * sizeof(*ranges)) : NULL;
        if (ranges != NULL) {
            size_t count = walk_back(&grid, options.length_min, text, ranges);
            if (options.wants_ranges) {
                reply_ranges(call, ranges, count, length, options.with_length);
            } else {
                reply_bulk(call->reply, bytes_of(text, length));
            }
        }
    }
    memory_free_for_client(grid.cells);
}
