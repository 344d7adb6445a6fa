/* CRC-64 with the polynomial of David T. Jones, bits reflected: what RDB files end with.
 *
 * Eight bytes a step by eight tables (Intel's "slicing by 8"), which the caller keeps, since they are 16 KiB
 * and made in microseconds: no global, and none in the binary. Pure; any thread. */
#pragma once

#include <stdint.h>

#include "bytes.h"

struct crc64 {
    uint64_t tables[8][256]; /* immutable after init */
};

void crc64_init(struct crc64 *crc64);
/* The checksum of what gave `checksum` (0: of nothing) followed by `bytes`. */
uint64_t crc64_update(const struct crc64 *crc64, uint64_t checksum, struct bytes bytes);
