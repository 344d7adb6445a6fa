/* How often the same kind of message may be logged: what a client can cause as often as it likes must not fill a
 * disk. The first LOG_LIMIT_BURST of a second are let through, the rest is counted, to be told once the second is over.
 *
 * A kind is a pointer that stays the same, such as the text of its format. Pure: time is an argument; the caller
 * keeps threads apart. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
    LOG_LIMIT_BURST = 5,
    LOG_LIMIT_WINDOW_MS = 1000,
    LOG_LIMIT_KINDS = 32, /* kinds beyond are never held back */
};

/* Start with {0}. */
struct log_limit {
    struct log_limit_kind {
        const void *kind; /* NULL: free */
        int level;        /* of what was held back */
        int64_t since_ms; /* when its second began */
        uint32_t passed;
        uint64_t held_back;
    } kinds[LOG_LIMIT_KINDS];
};

/* What was held back of a kind. */
struct log_limit_rest {
    const void *kind;
    int level;
    uint64_t count;
};

/* May one be logged now? Otherwise it is counted. */
bool log_limit_admits(struct log_limit *limit, const void *kind, int level, int64_t now_ms);
/* Take what was held back in a second that is over by now; false: there is no more of it. */
bool log_limit_take(struct log_limit *limit, int64_t now_ms, struct log_limit_rest *rest);
/* Is anything held back? */
bool log_limit_holds(const struct log_limit *limit);
