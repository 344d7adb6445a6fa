#include "errors.h"

#include <string.h>

#include "shards/counters.h"

static struct error_count *find(struct errors *errors, const char *code) {
    uint32_t count = atomic_load_explicit(&errors->code_count, memory_order_relaxed);
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(errors->codes[i].code, code) == 0) return &errors->codes[i];
    }
    if (count == ERRORS_MAX) return NULL;
    strncpy(errors->codes[count].code, code, REPLY_CODE_MAX - 1);
    atomic_store_explicit(&errors->code_count, count + 1, memory_order_release);
    return &errors->codes[count];
}

void errors_add(struct errors *errors, const char *code) {
    struct error_count *found = find(errors, code);
    if (found != NULL) counters_add(&found->count, 1);
    counters_add(&errors->total, 1);
}

static struct error_sum *find_sum(struct error_sum *sums, uint32_t *count, const char *code) {
    for (uint32_t i = 0; i < *count; i++) {
        if (strcmp(sums[i].code, code) == 0) return &sums[i];
    }
    if (*count == ERRORS_MAX) return NULL;
    sums[*count] = (struct error_sum){.code = code};
    return &sums[(*count)++];
}

uint32_t errors_collect(const struct errors *errors, struct error_sum *sums, uint32_t count) {
    uint32_t code_count = atomic_load_explicit(&errors->code_count, memory_order_acquire);
    for (uint32_t i = 0; i < code_count; i++) {
        struct error_sum *sum = find_sum(sums, &count, errors->codes[i].code);
        if (sum == NULL) continue;
        sum->count += atomic_load_explicit(&errors->codes[i].count, memory_order_relaxed);
    }
    return count;
}

void errors_reset(struct errors *errors) {
    for (uint32_t i = 0; i < ERRORS_MAX; i++) {
        atomic_store_explicit(&errors->codes[i].count, 0, memory_order_relaxed);
    }
    atomic_store_explicit(&errors->total, 0, memory_order_relaxed);
}
