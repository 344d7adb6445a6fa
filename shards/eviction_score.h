/* How gladly somebody is seen to go, a function a policy: the higher, the sooner.
 *
 * They are here to be inlined where many are asked one after the other: in a miniature's sweep (miniature.c) that
 * halves its instructions. What they mean, and why so: eviction.c. Pure; any thread. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "eviction.h"

enum {
    EVICTION_LFU_MAX = 255,
    EVICTION_USES_BITS = 4,
    EVICTION_USES_MAX = (1 << EVICTION_USES_BITS) - 1,
    EVICTION_USES_MASK = EVICTION_USES_MAX,
    EVICTION_FLAT_BYTES = 200, /* entries much larger than this are worth the same, one by one */
    EVICTION_LARGE_BYTES = 4096,
    EVICTION_LOG2_BITS = 16,
    EVICTION_SENIORITY_BEGIN =
        3 << EVICTION_LOG2_BITS, /* an entry used just now has as much, one a second ago 11 */
    EVICTION_WORTH_SHIFT = 48,
    EVICTION_FUTURE_S = 24 * 60 * 60,
};

struct eviction_view {
    const struct eviction_rules *rules;
    int64_t now_ms;
    bool prefers_recent; /* allkeys-adaptive's side */
};
struct eviction_subject {
    uint32_t access;
    uint32_t bytes;      /* that it takes; for policies that weigh sizes */
    int64_t deadline_ms; /* for those that ask for it, of who has one */
};
typedef uint64_t eviction_score_function(const struct eviction_view *view,
                                         const struct eviction_subject *subject);

/* 1/256ths of a second: its upper 24 bits are seconds. */
static inline uint32_t eviction_stamp(int64_t now_ms) {
    return (uint32_t)((uint64_t)now_ms * 256 / 1000);
}

/* How long ago its last use was, in the same parts, of a stamp that wraps around in 194 days. The workers' clocks differ
 * by the length of a turn, and the system's may be set back: who was used in the future, by up to a day, was used now. */
static inline uint32_t eviction_idle(int64_t now_ms, uint32_t stamp) {
    uint32_t idle = eviction_stamp(now_ms) - stamp;
    return idle > UINT32_MAX - EVICTION_FUTURE_S * 256 ? 0 : idle;
}
/* The same in seconds. */
static inline uint32_t eviction_idle_s(int64_t now_ms, uint32_t stamp) {
    return eviction_idle(now_ms - now_ms % 1000, stamp & ~UINT32_C(0xff)) / 256;
}

static inline uint64_t eviction_score_recent(const struct eviction_view *view,
                                             const struct eviction_subject *subject) {
    return eviction_idle(view->now_ms, subject->access);
}

/* A count is lost at each decay time's worth of minutes that began since the last use. */
static inline uint32_t eviction_decayed_count(const struct eviction_rules *rules, uint32_t access,
                                              int64_t now_ms) {
    uint32_t count = access & 0xff;
    uint32_t decay_minutes = atomic_load_explicit(&rules->lfu_decay_minutes, memory_order_relaxed);
    if (decay_minutes == 0) return count;
    uint64_t now_s = (uint64_t)now_ms / 1000;
    uint64_t idle_s = eviction_idle_s(now_ms, access);
    uint64_t minutes = now_s / 60 - (now_s - idle_s) / 60;
    uint64_t lost = minutes / decay_minutes;
    return lost < count ? count - (uint32_t)lost : 0;
}

static inline uint64_t eviction_score_logarithmic(const struct eviction_view *view,
                                                  const struct eviction_subject *subject) {
    uint64_t missing =
        EVICTION_LFU_MAX - eviction_decayed_count(view->rules, subject->access, view->now_ms);
    return missing << 32 | eviction_idle(view->now_ms, subject->access & ~UINT32_C(0xff));
}

/* In 65536ths, and up to a twelfth too small: straight lines between the powers of two. */
static inline uint64_t eviction_log2(uint32_t value) {
    value += value == 0;
    uint32_t power = (uint32_t)__builtin_clz(value) ^ 31;
    uint64_t mantissa = (uint64_t)value << EVICTION_LOG2_BITS >> power; /* from 1 to below 2 */
    return ((uint64_t)power << EVICTION_LOG2_BITS) + mantissa - (1 << EVICTION_LOG2_BITS);
}

/* The less it is worth for the memory it takes, the higher: see eviction.c. */
static inline uint64_t eviction_score_worth(const struct eviction_subject *subject, uint32_t idle) {
    uint64_t bytes = subject->bytes < EVICTION_LARGE_BYTES ? subject->bytes : EVICTION_LARGE_BYTES;
    uint64_t uses = (subject->access & EVICTION_USES_MASK) + 1;
    uint64_t seniority = EVICTION_SENIORITY_BEGIN + eviction_log2(idle);
    return (bytes << EVICTION_WORTH_SHIFT) / ((bytes + EVICTION_FLAT_BYTES) * uses * seniority);
}

static inline uint64_t eviction_score_adaptive(const struct eviction_view *view,
                                               const struct eviction_subject *subject) {
    uint32_t idle = eviction_idle(view->now_ms, subject->access & ~(uint32_t)EVICTION_USES_MASK);
    return view->prefers_recent ? idle : eviction_score_worth(subject, idle);
}

/* The sooner, the higher. Only of entries with a deadline. */
static inline uint64_t eviction_score_soonest(const struct eviction_view *view,
                                              const struct eviction_subject *subject) {
    (void)view;
    return UINT64_MAX / 2 - (uint64_t)subject->deadline_ms;
}
