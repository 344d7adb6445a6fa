/* What strings do, beyond being put and read: append, overwrite a range, count, compare.
 *
 * All work on a place whose shard lock is held for writing, whose entry is a string or absent (absent
 * reads as empty), and keep the deadline. On any status but STATUS_OK the value is as it was. */
#pragma once

#include <stdint.h>

#include "shards/base/bytes.h"
#include "shards/base/number.h"
#include "shards/base/status.h"
#include "shards/place.h"

enum { STRING_EMBEDDED_MAX = 44 /* bytes: up to here Redis says "embstr", above it "raw" */ };

/* Redis's name of the encoding: "int", "embstr" or "raw". Lock: read. */
const char *string_encoding_name(const struct entry *entry);
/* Append; `*size` is the new length. Amortised O(suffix): a growing string gets room to grow.
 * STATUS_TOO_LONG past `size_max`. */
must_use enum status string_append(struct place *place, struct bytes suffix, uint64_t size_max,
                                   uint64_t *size);
/* Overwrite from `offset`, padding with zero bytes; an empty `bytes` changes nothing. `*size` is the new length. */
must_use enum status string_set_range(struct place *place, uint64_t offset, struct bytes bytes,
                                      uint64_t size_max, uint64_t *size);
/* Add to a decimal integer. STATUS_NOT_NUMBER, STATUS_OVERFLOW. */
must_use enum status string_add(struct place *place, int64_t delta, int64_t *result);
/* Add to a decimal fraction; the new value's text goes to `text` (NUMBER_TEXT_LONG_DOUBLE_MAX bytes), its
 * length to `*size`. STATUS_NOT_NUMBER; STATUS_OVERFLOW when the result would be infinite or not a number. */
must_use enum status string_add_fraction(struct place *place, long double delta, char *text,
                                         size_t *size);
/* The slice [start, end] of `text`, both inclusive, negative ones counted from the end, as GETRANGE has it. Pure. */
struct bytes string_slice(struct bytes text, int64_t start, int64_t end);
