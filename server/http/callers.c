#include "server/http/callers.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct caller *callers_add(struct callers *callers, int fd, const char *from, int64_t now_ms) {
    for (int i = 0; i < CALLERS_MAX; i++) {
        struct caller *caller = &callers->places[i];
        if (caller->is_here) continue;
        *caller = (struct caller){.is_here = true, .fd = fd, .since_ms = now_ms};
        snprintf(caller->from, sizeof caller->from, "%s", from);
        return caller;
    }
    return NULL;
}

void caller_served(struct caller *caller, int64_t now_ms) {
    caller->since_ms = now_ms;
}

void caller_leave(struct caller *caller) {
    *caller = (struct caller){0};
}

static bool stays(const struct caller *caller) {
    return caller->is_here && !caller->is_leaving;
}

static struct caller *dismiss(struct caller *caller) {
    if (caller != NULL) caller->is_leaving = true;
    return caller;
}

struct caller *callers_dismiss_late(struct callers *callers, int64_t now_ms) {
    for (int i = 0; i < CALLERS_MAX; i++) {
        struct caller *caller = &callers->places[i];
        if (stays(caller) && now_ms - caller->since_ms > CALLER_MS_MAX) return dismiss(caller);
    }
    return NULL;
}

static int count_from(const struct callers *callers, const char *from) {
    int count = 0;
    for (int i = 0; i < CALLERS_MAX; i++) {
        const struct caller *caller = &callers->places[i];
        if (stays(caller) && strcmp(caller->from, from) == 0) count++;
    }
    return count;
}

struct caller *callers_dismiss_one(struct callers *callers) {
    struct caller *chosen = NULL;
    int chosen_count = 0;
    for (int i = 0; i < CALLERS_MAX; i++) {
        struct caller *caller = &callers->places[i];
        if (!stays(caller)) return NULL;
        int count = count_from(callers, caller->from);
        bool is_worse =
            count > chosen_count || (count == chosen_count && caller->since_ms < chosen->since_ms);
        if (!is_worse) continue;
        chosen = caller;
        chosen_count = count;
    }
    return dismiss(chosen);
}
