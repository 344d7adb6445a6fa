#include "engine.h"

#include <stdio.h>

struct engine *engine_create(enum engine_kind kind, const struct engine_options *options,
                             char *text) {
    if (kind == ENGINE_EPOLL) return poll_create(options, text);
    struct engine *ring = ring_create(options, text);
    if (ring != NULL) return ring;
    char reason[ENGINE_TEXT_MAX / 2];
    snprintf(reason, sizeof reason, "%s", text);
    struct engine *poll = kind == ENGINE_AUTO ? poll_create(options, text) : NULL;
    if (poll != NULL || kind == ENGINE_URING) {
        snprintf(text, ENGINE_TEXT_MAX, "io_uring is unavailable (%s)%s", reason,
                 poll != NULL ? ": using epoll" : "");
    }
    return poll;
}

void engine_count_received(struct engine *engine, struct connection *connection, size_t size) {
    engine_count(&connection->received_bytes, size);
    engine_count(&engine->statistics.received_bytes, size);
    engine_count(&engine->statistics.receives, 1);
}

void engine_count_sent(struct engine *engine, struct connection *connection, size_t size) {
    engine_count(&connection->sent_bytes, size);
    engine_count(&engine->statistics.sent_bytes, size);
    engine_count(&engine->statistics.sends, 1);
}
