/* Which keys are asked for most, lately: a sketch of fixed size a worker, merged for whoever asks (HOTKEYS).
 *
 * Its worker notes keys, any thread collects. Only sampled requests are noted, and count for SAMPLED_WEIGHT
 * each, so all numbers are estimates. They halve every HOTKEYS_HALVING_MS. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sampled.h"
#include "shards/base/bytes.h"
#include "shards/base/status.h"

/* A key with more than 1/HOTKEYS_MAX of all requests is always among those of a sketch. */
enum {
    HOTKEYS_MAX = 255,      /* keys in a sketch */
    HOTKEYS_NAME_MAX = 128, /* bytes that are kept of a name */
    HOTKEYS_HALVING_MS = 60 * 1000,
};

struct hotkeys;

/* NULL when memory is refused. About 48 KiB, whatever comes. */
struct hotkeys *hotkeys_create(int64_t now_ms);
void hotkeys_destroy(struct hotkeys *hotkeys);

/* The worker: notes go between begin and end. It never waits: false while somebody collects, then note another request
 * instead. */
must_use bool hotkeys_try_begin(struct hotkeys *hotkeys, int64_t now_ms);
void hotkeys_note(struct hotkeys *hotkeys, const struct sampled *sampled);
void hotkeys_end(struct hotkeys *hotkeys);

/* Any thread: forget everything. */
void hotkeys_reset(struct hotkeys *hotkeys, int64_t now_ms);

/* What is known of a key. There were reads + writes requests at least, and `unseen` more at most. */
struct hotkey {
    uint64_t reads, writes, bytes;
    int64_t unseen;
    uint64_t hash; /* of its whole name */
    uint32_t database;
    uint32_t name_size; /* whole; so much of it as fits is in `name` */
    char name[HOTKEYS_NAME_MAX];
};
static inline struct bytes hotkey_name(const struct hotkey *key) {
    return bytes_of(key->name,
                    key->name_size < HOTKEYS_NAME_MAX ? key->name_size : HOTKEYS_NAME_MAX);
}

/* Start with {.keys = room for HOTKEYS_MAX a sketch}, collect from each, then rank. */
struct hotkeys_report {
    struct hotkey *keys;
    uint32_t count;
    uint64_t requests; /* all keys' reads and writes */
    uint64_t unseen;   /* of a key that no sketch knows, at most */
};
/* Any thread; takes the sketch's lock, a leaf, for some microseconds. */
void hotkeys_collect(struct hotkeys *hotkeys, int64_t now_ms, struct hotkeys_report *report);
/* Merge what several sketches know of a key; most reads and writes first. */
void hotkeys_rank(struct hotkeys_report *report);

/* Tests: the invariants hold. */
void hotkeys_validate(const struct hotkeys *hotkeys);
