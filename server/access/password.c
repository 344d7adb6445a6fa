#include "server/access/password.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>

static_assert((int)PASSWORD_HASH_BYTES == (int)SHA256_DIGEST_LENGTH, "SHA-256");

enum status password_hash(struct password *password, struct bytes text) {
    const unsigned char *bytes = (const unsigned char *)(text.size != 0 ? text.data : "");
    return SHA256(bytes, text.size, password->hash) != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

static int digit_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool password_read(struct password *password, struct bytes digits) {
    if (digits.size != PASSWORD_TEXT_BYTES) return false;
    for (size_t i = 0; i < PASSWORD_HASH_BYTES; i++) {
        int high = digit_value(digits.data[2 * i]), low = digit_value(digits.data[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        password->hash[i] = (unsigned char)(high * 16 + low);
    }
    return true;
}

void password_write(const struct password *password, char out[PASSWORD_TEXT_BYTES + 1]) {
    for (size_t i = 0; i < PASSWORD_HASH_BYTES; i++) {
        snprintf(out + 2 * i, 3, "%02x", password->hash[i]);
    }
}

bool password_equal(const struct password *a, const struct password *b) {
    return CRYPTO_memcmp(a->hash, b->hash, sizeof(a->hash)) == 0;
}
