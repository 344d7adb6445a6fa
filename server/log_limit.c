#include "server/log_limit.h"

#include <stddef.h>

static struct log_limit_kind *find(struct log_limit *limit, const void *kind) {
    for (int i = 0; i < LOG_LIMIT_KINDS; i++) {
        struct log_limit_kind *one = &limit->kinds[i];
        if (one->kind == kind) return one;
        if (one->kind != NULL) continue;
        one->kind = kind; /* they are never given up: the rest is free, too */
        return one;
    }
    return NULL;
}

static bool is_over(const struct log_limit_kind *one, int64_t now_ms) {
    return now_ms - one->since_ms >= LOG_LIMIT_WINDOW_MS || now_ms < one->since_ms;
}

bool log_limit_admits(struct log_limit *limit, const void *kind, int level, int64_t now_ms) {
    struct log_limit_kind *one = find(limit, kind);
    if (one == NULL) return true;
    one->level = level;
    /* While something is held back, the next second begins when that was told. */
    if (one->held_back == 0 && is_over(one, now_ms)) {
        one->since_ms = now_ms;
        one->passed = 0;
    }
    if (one->passed < LOG_LIMIT_BURST) {
        one->passed++;
        return true;
    }
    one->held_back++;
    return false;
}

bool log_limit_take(struct log_limit *limit, int64_t now_ms, struct log_limit_rest *rest) {
    for (int i = 0; i < LOG_LIMIT_KINDS && limit->kinds[i].kind != NULL; i++) {
        struct log_limit_kind *one = &limit->kinds[i];
        if (one->held_back == 0 || !is_over(one, now_ms)) continue;
        *rest = (struct log_limit_rest){one->kind, one->level, one->held_back};
        one->held_back = 0;
        one->passed = 0;
        one->since_ms = now_ms;
        return true;
    }
    return false;
}

bool log_limit_holds(const struct log_limit *limit) {
    for (int i = 0; i < LOG_LIMIT_KINDS && limit->kinds[i].kind != NULL; i++) {
        if (limit->kinds[i].held_back != 0) return true;
    }
    return false;
}
