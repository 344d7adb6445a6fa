/* Certificates for a test, made by libcrypto in a folder: "<folder>/<name>.crt" and "<folder>/<name>.key". */
#pragma once

#include <stdbool.h>

enum { CERTIFICATE_PATH_MAX = 128 };

struct certificate_wish {
    const char *name;     /* of the files, and its common name */
    const char *issuer;   /* the name of another in the folder; NULL: it signs itself */
    const char *password; /* of the key; NULL: none */
    bool is_expired;
};

void certificate_make(const char *folder, struct certificate_wish wish);
/* The path of a file of the folder, in `path`, which it returns. */
const char *certificate_path(const char *folder, const char *file, char path[CERTIFICATE_PATH_MAX]);
