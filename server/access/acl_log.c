#include "server/access/acl_log.h"

#include <string.h>

#include "shards/base/memory.h"

enum { COMPARED_MAX = 10 /* entries looked at for one like a new one */ };

void acl_log_init(struct acl_log *log) {
    *log = (struct acl_log){0};
    pthread_mutex_init(&log->lock, NULL);
}

void acl_log_free_list(struct acl_log_entry *list) {
    while (list != NULL) {
        struct acl_log_entry *next = list->next;
        memory_free(list);
        list = next;
    }
}

void acl_log_release(struct acl_log *log) {
    acl_log_free_list(log->newest);
    pthread_mutex_destroy(&log->lock);
}

void acl_log_reset(struct acl_log *log) {
    pthread_mutex_lock(&log->lock);
    struct acl_log_entry *list = log->newest;
    log->newest = NULL;
    log->count = 0;
    pthread_mutex_unlock(&log->lock);
    acl_log_free_list(list);
}

static size_t put_text(char *out, size_t size_max, struct bytes text) {
    size_t size = text.size < size_max ? text.size : size_max;
    if (size != 0) memcpy(out, text.data, size);
    return size;
}

static bool is_beginning(const char *kept, size_t size, struct bytes text) {
    struct bytes cut =
        bytes_of(text.data, text.size < ACL_LOG_TEXT_MAX ? text.size : ACL_LOG_TEXT_MAX);
    return bytes_equal(bytes_of(kept, size), cut);
}

static bool is_same(const struct acl_log_entry *entry, const struct acl_denial *denial,
                    int64_t now_ms) {
    return entry->reason == denial->reason && now_ms - entry->updated_ms <= ACL_LOG_MERGE_MS &&
           is_beginning(entry->object, entry->object_size, denial->object) &&
           is_beginning(entry->user, entry->user_size, denial->user);
}

/* Taken out of the list, or NULL. */
static struct acl_log_entry *take_like(struct acl_log *log, const struct acl_denial *denial,
                                       int64_t now_ms) {
    struct acl_log_entry **link = &log->newest;
    for (int i = 0; i < COMPARED_MAX && *link != NULL; i++, link = &(*link)->next) {
        struct acl_log_entry *entry = *link;
        if (!is_same(entry, denial, now_ms)) continue;
        *link = entry->next;
        log->count--;
        return entry;
    }
    return NULL;
}

static struct acl_log_entry *create(struct acl_log *log, const struct acl_denial *denial,
                                    int64_t now_ms) {
    struct acl_log_entry *entry = memory_allocate_zeroed(sizeof(*entry));
    if (entry == NULL) return NULL;
    entry->reason = denial->reason;
    entry->id = log->next_id++;
    entry->created_ms = now_ms;
    entry->object_size = put_text(entry->object, ACL_LOG_TEXT_MAX, denial->object);
    entry->user_size = put_text(entry->user, ACL_LOG_TEXT_MAX, denial->user);
    return entry;
}

static void cut(struct acl_log *log, uint64_t length_max) {
    struct acl_log_entry **link = &log->newest;
    for (uint64_t i = 0; i < length_max && *link != NULL; i++) {
        link = &(*link)->next;
    }
    while (*link != NULL) {
        struct acl_log_entry *entry = *link;
        *link = entry->next;
        memory_free(entry);
        log->count--;
    }
}

void acl_log_add(struct acl_log *log, const struct acl_denial *denial, int64_t now_ms,
                 uint64_t length_max) {
    atomic_fetch_add_explicit(&log->denials[denial->reason], 1, memory_order_relaxed);
    pthread_mutex_lock(&log->lock);
    struct acl_log_entry *entry = take_like(log, denial, now_ms);
    if (entry == NULL) entry = create(log, denial, now_ms);
    if (entry != NULL) {
        entry->count++;
        entry->updated_ms = now_ms;
        entry->client_size = put_text(entry->client, ACL_LOG_CLIENT_MAX, denial->client);
        entry->next = log->newest;
        log->newest = entry;
        log->count++;
    }
    if (log->count > length_max) cut(log, length_max);
    pthread_mutex_unlock(&log->lock);
}

struct acl_log_entry *acl_log_copy(struct acl_log *log, uint64_t count, uint64_t *found) {
    struct acl_log_entry *list = NULL, **link = &list;
    *found = 0;
    pthread_mutex_lock(&log->lock);
    for (const struct acl_log_entry *entry = log->newest; entry != NULL && *found < count;
         entry = entry->next) {
        struct acl_log_entry *copy = memory_allocate(sizeof(*copy));
        if (copy == NULL) break;
        *copy = *entry;
        copy->next = NULL;
        *link = copy;
        link = &copy->next;
        ++*found;
    }
    pthread_mutex_unlock(&log->lock);
    return list;
}

const char *acl_log_reason_name(enum acl_log_reason reason) {
    static const char *const names[] = {"command", "key", "auth"};
    return names[reason];
}
