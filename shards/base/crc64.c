#include "crc64.h"

static const uint64_t POLYNOMIAL = UINT64_C(0x95ac9329ac4bc9b5); /* Jones's, reflected */

void crc64_init(struct crc64 *crc64) {
    for (uint64_t byte = 0; byte < 256; byte++) {
        uint64_t checksum = byte;
        for (int bit = 0; bit < 8; bit++) {
            checksum = checksum >> 1 ^ (checksum & 1 ? POLYNOMIAL : 0);
        }
        crc64->tables[0][byte] = checksum;
    }
    for (int table = 1; table < 8; table++) {
        for (int byte = 0; byte < 256; byte++) {
            uint64_t before = crc64->tables[table - 1][byte];
            crc64->tables[table][byte] = crc64->tables[0][before & 255] ^ before >> 8;
        }
    }
}

static uint64_t word_at(const unsigned char *at) {
    uint64_t word = 0;
    for (unsigned i = 0; i < 8; i++) { /* compilers make one load of it */
        word |= (uint64_t)at[i] << 8 * i;
    }
    return word;
}

uint64_t crc64_update(const struct crc64 *crc64, uint64_t checksum, struct bytes bytes) {
    const unsigned char *at = (const unsigned char *)bytes.data;
    size_t rest = bytes.size;
    for (; rest >= 8; rest -= 8, at += 8) {
        uint64_t word = checksum ^ word_at(at);
        checksum = 0;
        for (unsigned i = 0; i < 8; i++) {
            checksum ^= crc64->tables[7 - i][word >> 8 * i & 255];
        }
    }
    for (; rest > 0; rest--, at++) {
        checksum = crc64->tables[0][(checksum ^ *at) & 255] ^ checksum >> 8;
    }
    return checksum;
}
