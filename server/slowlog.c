#include "server/slowlog.h"

#include <stdio.h>
#include <string.h>

#include "shards/base/memory.h"

enum { NOTE_MAX = 48 /* "... (N more bytes)" */ };

void slowlog_init(struct slowlog *log) {
    *log = (struct slowlog){0};
    pthread_mutex_init(&log->lock, NULL);
}

void slowlog_free_list(struct slowlog_entry *list) {
    while (list != NULL) {
        struct slowlog_entry *next = list->next;
        memory_free(list);
        list = next;
    }
}

void slowlog_release(struct slowlog *log) {
    slowlog_free_list(log->newest);
    pthread_mutex_destroy(&log->lock);
}

/* ---- An entry -------------------------------------------------------------------------------- */

static size_t room_for(struct bytes argument) {
    return argument.size <= SLOWLOG_BYTES_MAX ? argument.size : SLOWLOG_BYTES_MAX + NOTE_MAX;
}

/* Append the argument, cut; returns where the next one goes. */
static char *put(struct slowlog_entry *entry, struct bytes argument, char *out) {
    size_t size = argument.size < SLOWLOG_BYTES_MAX ? argument.size : SLOWLOG_BYTES_MAX;
    if (size != 0) memcpy(out, argument.data, size);
    if (argument.size > SLOWLOG_BYTES_MAX)
        size += (size_t)snprintf(out + size, NOTE_MAX, "... (%zu more bytes)",
                                 argument.size - SLOWLOG_BYTES_MAX);
    entry->args[entry->arg_count++] = bytes_of(out, size);
    return out + size;
}

struct slowlog_entry *slowlog_entry_create(const struct bytes *args, uint32_t arg_count) {
    uint32_t kept = arg_count <= SLOWLOG_ARGUMENTS_MAX ? arg_count : SLOWLOG_ARGUMENTS_MAX - 1;
    size_t size = sizeof(struct slowlog_entry) + NOTE_MAX;
    for (uint32_t i = 0; i < kept; i++) {
        size += room_for(args[i]);
    }
    struct slowlog_entry *entry = memory_allocate(size);
    if (entry == NULL) return NULL;
    *entry = (struct slowlog_entry){0};
    char *out = (char *)(entry + 1);
    for (uint32_t i = 0; i < kept; i++) {
        out = put(entry, args[i], out);
    }
    if (kept < arg_count) {
        int written = snprintf(out, NOTE_MAX, "... (%u more arguments)", arg_count - kept);
        entry->args[entry->arg_count++] = bytes_of(out, (size_t)written);
    }
    return entry;
}

static struct slowlog_entry *copy_of(const struct slowlog_entry *entry) {
    size_t size = 0;
    for (uint32_t i = 0; i < entry->arg_count; i++) {
        size += entry->args[i].size;
    }
    struct slowlog_entry *copy = memory_allocate(sizeof(*copy) + size);
    if (copy == NULL) return NULL;
    *copy = *entry;
    copy->next = copy->previous = NULL;
    char *out = (char *)(copy + 1);
    for (uint32_t i = 0; i < entry->arg_count; i++) {
        if (entry->args[i].size != 0) memcpy(out, entry->args[i].data, entry->args[i].size);
        copy->args[i].data = out;
        out += entry->args[i].size;
    }
    return copy;
}

/* ---- The log --------------------------------------------------------------------------------- */

static void push_locked(struct slowlog *log, struct slowlog_entry *entry) {
    entry->id = log->next_id++;
    entry->next = log->newest;
    entry->previous = NULL;
    if (log->newest != NULL) log->newest->previous = entry;
    if (log->oldest == NULL) log->oldest = entry;
    log->newest = entry;
    log->count++;
}

/* Take out all but the newest `length_max`; they are the caller's. From the oldest on: a log that is full loses one
 * with every one it gains, and to look for it from the newest would take as long as the log is. */
static struct slowlog_entry *cut_locked(struct slowlog *log, uint64_t length_max) {
    struct slowlog_entry *rest = NULL;
    while (log->count > length_max) {
        rest = log->oldest;
        log->oldest = rest->previous;
        log->count--;
    }
    if (log->oldest != NULL) {
        log->oldest->next = NULL;
    } else {
        log->newest = NULL;
    }
    return rest;
}

void slowlog_add(struct slowlog *log, struct slowlog_entry *entry, uint64_t length_max) {
    pthread_mutex_lock(&log->lock);
    push_locked(log, entry);
    struct slowlog_entry *rest = cut_locked(log, length_max);
    pthread_mutex_unlock(&log->lock);
    slowlog_free_list(rest);
}

void slowlog_reset(struct slowlog *log) {
    pthread_mutex_lock(&log->lock);
    struct slowlog_entry *list = cut_locked(log, 0);
    pthread_mutex_unlock(&log->lock);
    slowlog_free_list(list);
}

uint64_t slowlog_length(struct slowlog *log) {
    pthread_mutex_lock(&log->lock);
    uint64_t count = log->count;
    pthread_mutex_unlock(&log->lock);
    return count;
}

struct slowlog_entry *slowlog_copy(struct slowlog *log, uint64_t count, uint64_t *found) {
    struct slowlog_entry *list = NULL, **link = &list;
    *found = 0;
    pthread_mutex_lock(&log->lock);
    for (const struct slowlog_entry *entry = log->newest; entry != NULL && *found < count;
         entry = entry->next) {
        struct slowlog_entry *copy = copy_of(entry);
        if (copy == NULL) break;
        *link = copy;
        link = &copy->next;
        ++*found;
    }
    pthread_mutex_unlock(&log->lock);
    return list;
}
