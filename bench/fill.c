#include "bench/fill.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/keys.h"

enum { PIPELINE = 512, REQUEST_MAX = 128 /* but for the value */ };

bool fill_init(struct fill *fill, struct ask *ask, size_t value_bytes) {
    *fill = (struct fill){.ask = ask, .value_bytes = value_bytes};
    random_init(&fill->random, 1);
    fill->batch = malloc(PIPELINE * (value_bytes + REQUEST_MAX));
    fill->value = malloc(value_bytes + 1);
    if (fill->batch != NULL && fill->value != NULL) {
        memset(fill->value, 'v', value_bytes);
        return true;
    }
    fputs("sherd-bench: no memory\n", stderr);
    return false;
}

void fill_release(struct fill *fill) {
    free(fill->batch);
    free(fill->value);
}

static size_t write_set(struct fill *fill, char *out, uint64_t number,
                        const struct fill_span *due) {
    char name[KEYS_NAME_BYTES], deadline[32];
    keys_write_name(name, number);
    size_t size = (size_t)sprintf(out, "*%d\r\n$3\r\nSET\r\n$%d\r\n%.*s\r\n$%zu\r\n",
                                  due->last_ms != 0 ? 5 : 3, KEYS_NAME_BYTES, KEYS_NAME_BYTES, name,
                                  fill->value_bytes);
    memcpy(out + size, fill->value, fill->value_bytes);
    size += fill->value_bytes;
    if (due->last_ms == 0) return size + (size_t)sprintf(out + size, "\r\n");
    uint64_t range = (uint64_t)(due->last_ms - due->first_ms) + 1;
    int64_t at_ms = due->first_ms + (int64_t)random_below(&fill->random, range);
    int digits = sprintf(deadline, "%" PRId64, at_ms);
    return size + (size_t)sprintf(out + size, "\r\n$4\r\nPXAT\r\n$%d\r\n%s\r\n", digits, deadline);
}

bool fill_keys(struct fill *fill, uint64_t first, uint64_t count, const struct fill_span *due) {
    for (uint64_t number = first, last = first + count; number < last;) {
        size_t size = 0;
        uint64_t end = last - number < PIPELINE ? last : number + PIPELINE, sent = end - number;
        for (; number < end; number++) {
            size += write_set(fill, fill->batch + size, number, due);
        }
        if (!ask_send(fill->ask, fill->batch, size)) return false;
        for (long long ignored; sent > 0; sent--) {
            if (!ask_take(fill->ask, &ignored, NULL, 0)) return false;
        }
    }
    return true;
}
