#include "engine.h"

#include <stdio.h>

struct engine *engine_create(enum engine_kind kind, const struct engine_options *options,
                             char *text) {
    if (kind == ENGINE_URING) return ring_create(options, text);
    if (kind == ENGINE_EPOLL) return poll_create(options, text);
    struct engine *ring = ring_create(options, text);
    if (ring != NULL) return ring;
    char reason[ENGINE_TEXT_MAX / 2];
    snprintf(reason, sizeof reason, "%s", text);
    struct engine *poll = poll_create(options, text);
    if (poll != NULL) {
        snprintf(text, ENGINE_TEXT_MAX, "io_uring is unavailable (%s): using epoll", reason);
    }
    return poll;
}
