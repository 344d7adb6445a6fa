/* A report is a text for people that is written whole before it is replied: INFO, CLIENT LIST and their like. */
#pragma once

#include "server/call.h"
#include "server/text.h"

/* Reply the text, or that there was no memory to write it; it is released. */
static inline void report_reply(struct call *call, struct text *text) {
    if (text->has_failed) {
        call_failed(call, STATUS_NO_MEMORY);
    } else {
        reply_verbatim(call->reply, "txt", text_bytes(text));
    }
    text_release(text);
}
