/* The words that give a key its deadline: EX, PX, EXAT, PXAT, KEEPTTL, PERSIST; shared by SET, GETEX and SETEX. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "server/call.h"

enum expiry_kind {
    EXPIRY_NONE,
    EXPIRY_S,
    EXPIRY_MS,
    EXPIRY_AT_S,
    EXPIRY_AT_MS,
    EXPIRY_KEEP,
    EXPIRY_PERSIST
};
enum expiry_allow { EXPIRY_ALLOW_KEEP = 1, EXPIRY_ALLOW_PERSIST = 2 };

struct expiry_option {
    enum expiry_kind kind;
    uint32_t argument;   /* index of the number, where the kind has one */
    int64_t deadline_ms; /* after expiry_option_resolve: Unix time, or ENTRY_NO_EXPIRY */
};

/* If argument `*index` is such a word, take it and its number (advancing `*index` to the last argument
 * taken). False when it isn't, or when a second one contradicts the first. */
bool expiry_option_take(const struct call *call, uint32_t *index, unsigned allowed,
                        struct expiry_option *option);
/* Read the number. False: an error was replied. */
bool expiry_option_resolve(struct call *call, struct expiry_option *option);
/* A number of `unit_ms` from now (less the jitter that is configured), or of the epoch when `is_absolute`, as Unix time in
 * milliseconds. False when it is out of range. */
bool expiry_deadline(struct call *call, int64_t number, int64_t unit_ms, bool is_absolute,
                     int64_t *deadline_ms);
