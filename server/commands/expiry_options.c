#include "expiry_options.h"

#include "server/config.h"
#include "server/server.h"
#include "server/worker.h"
#include "shards/base/number.h"

static const struct {
    const char *word;
    enum expiry_kind kind;
    bool has_number;
    unsigned needs;
} words[] = {
    {"EX", EXPIRY_S, true, 0},
    {"PX", EXPIRY_MS, true, 0},
    {"EXAT", EXPIRY_AT_S, true, 0},
    {"PXAT", EXPIRY_AT_MS, true, 0},
    {"KEEPTTL", EXPIRY_KEEP, false, EXPIRY_ALLOW_KEEP},
    {"PERSIST", EXPIRY_PERSIST, false, EXPIRY_ALLOW_PERSIST},
};

bool expiry_option_take(const struct call *call, uint32_t *index, unsigned allowed,
                        struct expiry_option *option) {
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (!call_is(call, *index, words[i].word) || (words[i].needs & ~allowed) != 0) continue;
        if (option->kind != EXPIRY_NONE && option->kind != words[i].kind) return false;
        if (words[i].has_number && *index + 1 >= call->arg_count) return false;
        option->kind = words[i].kind;
        if (words[i].has_number) option->argument = ++*index;
        return true;
    }
    return false;
}

/* Keys that are given the same time to live at once end at once, and are all asked for anew: so a time to live may be
 * shortened by chance, up to `ttl-jitter-percent`. Never lengthened: no value outlives what its writer allowed. */
static int64_t shortened(struct call *call, int64_t ms) {
    int64_t percent = config_number(&call->server->config->ttl_jitter_percent);
    if (percent == 0 || ms <= 0) return ms;
    uint64_t most =
        (uint64_t)ms / 100 * (uint64_t)percent + (uint64_t)ms % 100 * (uint64_t)percent / 100;
    return ms - (int64_t)random_below(&call->worker->random, most + 1);
}

bool expiry_deadline(struct call *call, int64_t number, int64_t unit_ms, bool is_absolute,
                     int64_t *deadline_ms) {
    int64_t ms;
    if (__builtin_mul_overflow(number, unit_ms, &ms)) return false;
    if (is_absolute) {
        *deadline_ms = ms;
        return true;
    }
    return !__builtin_add_overflow(shortened(call, ms), call->now_ms, deadline_ms);
}

bool expiry_option_resolve(struct call *call, struct expiry_option *option) {
    option->deadline_ms = ENTRY_NO_EXPIRY;
    if (option->kind == EXPIRY_NONE || option->kind == EXPIRY_KEEP ||
        option->kind == EXPIRY_PERSIST)
        return true;
    int64_t number;
    if (!call_integer(call, option->argument, &number)) return false;
    int64_t unit_ms = option->kind == EXPIRY_S || option->kind == EXPIRY_AT_S ? 1000 : 1;
    bool is_absolute = option->kind == EXPIRY_AT_S || option->kind == EXPIRY_AT_MS;
    if (number > 0 && expiry_deadline(call, number, unit_ms, is_absolute, &option->deadline_ms))
        return true;
    reply_error_format(call->reply, "ERR invalid expire time in '%s' command", call->command->name);
    return false;
}
