/* How often each error was replied, by its code ("ERR", "WRONGTYPE"): what INFO errorstats tells.
 *
 * One for each worker, which alone writes it; any thread reads. Codes are few, and come from our own
 * texts: a list that is walked. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "net/resp_reply.h"

enum { ERRORS_MAX = 16 /* codes; one more is not counted by code, only in the total */ };

struct errors {
    struct error_count {
        char code[REPLY_CODE_MAX]; /* immutable once it is below code_count */
        _Atomic uint64_t count;    /* atomic, relaxed: a statistic */
    } codes[ERRORS_MAX];
    _Atomic uint32_t
        code_count; /* released when a code is whole; pairs with the acquire in errors_collect */
    _Atomic uint64_t total; /* atomic, relaxed: a statistic */
};
/* What sums look like; `code` lives as long as its worker. */
struct error_sum {
    const char *code;
    uint64_t count;
};

/* Count one error. The worker's own thread. */
void errors_add(struct errors *errors, const char *code);
/* Add to `sums` (of ERRORS_MAX, `count` in use) what is counted here; returns how many are in use now. */
uint32_t errors_collect(const struct errors *errors, struct error_sum *sums, uint32_t count);
/* Start again; what is counted meanwhile may survive or vanish. */
void errors_reset(struct errors *errors);
