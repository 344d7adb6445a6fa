/* The slow log: the latest commands that took longer than `slowlog-log-slower-than`, newest first.
 *
 * Kept are SLOWLOG_ARGUMENTS_MAX arguments of a command, of each SLOWLOG_BYTES_MAX bytes, with a word on what is left
 * out; so an entry is at most some 5 KiB. Any thread: it has a lock, a leaf, taken only for what was slow and by
 * whoever asks. Who is timed, and how exactly: timing.h. */
#pragma once

#include <pthread.h>
#include <stdint.h>

#include "net/address.h"
#include "shards/base/bytes.h"

enum { SLOWLOG_ARGUMENTS_MAX = 32, SLOWLOG_BYTES_MAX = 128, SLOWLOG_NAME_MAX = 128 };

struct slowlog_entry {
    uint64_t id;
    int64_t time_s; /* Unix, when it was over */
    int64_t took_us;
    char client[ADDRESS_TEXT_MAX]; /* "" when it was no single client's */
    char name[SLOWLOG_NAME_MAX];   /* as much of it as fits, with a NUL */
    uint32_t arg_count;
    struct bytes args[SLOWLOG_ARGUMENTS_MAX]; /* behind the entry, in its allocation */
    struct slowlog_entry *next, *previous;    /* older; newer, in a log */
};

struct slowlog {
    pthread_mutex_t lock;
    struct slowlog_entry *newest, *oldest; /* lock; the two ends of a list */
    uint64_t count, next_id;               /* lock */
};

void slowlog_init(struct slowlog *log);
void slowlog_release(struct slowlog *log);

/* An entry of these arguments, to be filled in further and added; NULL when memory is refused. Of more than
 * SLOWLOG_ARGUMENTS_MAX the last one says how many are left out. */
struct slowlog_entry *slowlog_entry_create(const struct bytes *args, uint32_t arg_count);
/* Owns the entry, which gets its id; the oldest go beyond `length_max`. O(1) and one more for each that goes. */
void slowlog_add(struct slowlog *log, struct slowlog_entry *entry, uint64_t length_max);
/* Forget all; ids go on. */
void slowlog_reset(struct slowlog *log);
uint64_t slowlog_length(struct slowlog *log);
/* The newest, `count` at most, copied to a list of the caller's (slowlog_free_list); `*found` of them. */
struct slowlog_entry *slowlog_copy(struct slowlog *log, uint64_t count, uint64_t *found);
void slowlog_free_list(struct slowlog_entry *list);
