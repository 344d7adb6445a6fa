#include "tests/support/certificate.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

enum { DAY_S = 24 * 60 * 60 };

const char *certificate_path(const char *folder, const char *file,
                             char path[CERTIFICATE_PATH_MAX]) {
    int size = snprintf(path, CERTIFICATE_PATH_MAX, "%s/%s", folder, file);
    assert_true(size < CERTIFICATE_PATH_MAX);
    return path;
}

static FILE *open_file(const char *folder, const char *name, const char *suffix, const char *mode) {
    char file[CERTIFICATE_PATH_MAX / 2], path[CERTIFICATE_PATH_MAX];
    snprintf(file, sizeof file, "%s%s", name, suffix);
    FILE *opened = fopen(certificate_path(folder, file, path), mode);
    assert_non_null(opened);
    return opened;
}

static X509 *read_certificate(const char *folder, const char *name) {
    FILE *file = open_file(folder, name, ".crt", "r");
    X509 *certificate = PEM_read_X509(file, NULL, NULL, NULL);
    assert_non_null(certificate);
    fclose(file);
    return certificate;
}

static EVP_PKEY *read_key(const char *folder, const char *name) {
    FILE *file = open_file(folder, name, ".key", "r");
    EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    assert_non_null(key);
    fclose(file);
    return key;
}

static void write_files(const char *folder, struct certificate_wish wish, X509 *certificate,
                        EVP_PKEY *key) {
    FILE *file = open_file(folder, wish.name, ".crt", "w");
    assert_int_equal(PEM_write_X509(file, certificate), 1);
    assert_int_equal(fclose(file), 0);
    file = open_file(folder, wish.name, ".key", "w");
    const EVP_CIPHER *cipher = wish.password != NULL ? EVP_aes_128_cbc() : NULL;
    assert_int_equal(
        PEM_write_PrivateKey(file, key, cipher, NULL, 0, NULL, (void *)(uintptr_t)wish.password),
        1);
    assert_int_equal(fclose(file), 0);
}

static void add_extension(X509 *certificate, int kind, const char *text) {
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, kind, text);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static void fill(X509 *certificate, struct certificate_wish wish, EVP_PKEY *key) {
    uint32_t serial;
    assert_int_equal(RAND_bytes((unsigned char *)&serial, sizeof serial), 1);
    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial >> 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -2 * DAY_S);
    X509_gmtime_adj(X509_getm_notAfter(certificate), wish.is_expired ? -DAY_S : 30 * DAY_S);
    X509_set_pubkey(certificate, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               (const unsigned char *)wish.name, -1, -1, 0);
    if (wish.issuer == NULL) add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE");
}

void certificate_make(const char *folder, struct certificate_wish wish) {
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    assert_non_null(key);
    assert_non_null(certificate);
    fill(certificate, wish, key);
    X509 *issuer = wish.issuer != NULL ? read_certificate(folder, wish.issuer) : certificate;
    EVP_PKEY *issuer_key = wish.issuer != NULL ? read_key(folder, wish.issuer) : key;
    X509_set_issuer_name(certificate, X509_get_subject_name(issuer));
    assert_true(X509_sign(certificate, issuer_key, EVP_sha256()) > 0);
    write_files(folder, wish, certificate, key);
    if (issuer != certificate) X509_free(issuer);
    if (issuer_key != key) EVP_PKEY_free(issuer_key);
    X509_free(certificate);
    EVP_PKEY_free(key);
}
