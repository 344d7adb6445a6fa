/* A password as we keep it: its SHA-256, never its text.
 *
 * SHA-256 is OpenSSL's (libcrypto), as TLS will need that library anyway: no second one to trust, and it uses
 * the processor's own instructions. A plain hash and no slow one, as in Redis, whose configurations hold these
 * very hashes ("#..."): so a password should be long and random (ACL GENPASS). Pure; any thread. */
#pragma once

#include <stdbool.h>

#include "shards/base/bytes.h"
#include "shards/base/status.h"

enum { PASSWORD_HASH_BYTES = 32, PASSWORD_TEXT_BYTES = 64 };

struct password {
    unsigned char hash[PASSWORD_HASH_BYTES];
};

/* STATUS_NO_MEMORY where the library is refused some. */
must_use enum status password_hash(struct password *password, struct bytes text);
/* From its 64 hexadecimal digits, lower case; false for any other text. */
bool password_read(struct password *password, struct bytes digits);
/* 64 digits and a NUL. */
void password_write(const struct password *password, char out[PASSWORD_TEXT_BYTES + 1]);
/* In a time that tells nothing of where they differ. */
bool password_equal(const struct password *a, const struct password *b);
