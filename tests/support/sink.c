#include "tests/support/sink.h"

#include <string.h>

enum status sink_write(void *context, struct bytes bytes) {
    struct sink *sink = context;
    if (bytes.size > sink->capacity - sink->size) return STATUS_FAILED;
    if (bytes.size != 0) memcpy(sink->data + sink->size, bytes.data, bytes.size);
    sink->size += bytes.size;
    return STATUS_OK;
}
