/* Memory of a fixed size that bytes are written to: the sink of an rdb_writer in a test. */
#pragma once

#include <stddef.h>

#include "shards/base/bytes.h"
#include "shards/base/status.h"

struct sink {
    char *data; /* borrowed */
    size_t capacity, size;
};

/* Append; rdb_writer_options.write with a sink as its context. STATUS_FAILED: there is no room, and nothing was
 * written. */
must_use enum status sink_write(void *sink, struct bytes bytes);
