/* Passwords as their hashes: the published ones, and back from text. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "server/access/password.h"

/* FIPS 180-2, and the empty text. */
static const struct {
    const char *text, *digits;
} known[] = {
    {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
};

static void hashes_are_those_of_the_standard(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct password password;
        char digits[PASSWORD_TEXT_BYTES + 1];
        assert_int_equal(password_hash(&password, bytes_of_text(known[i].text)), STATUS_OK);
        password_write(&password, digits);
        assert_string_equal(digits, known[i].digits);
    }
}

static void digits_read_back_to_the_same(void **state) {
    (void)state;
    struct password hashed, read;
    assert_int_equal(password_hash(&hashed, BYTES("abc")), STATUS_OK);
    assert_true(password_read(&read, bytes_of_text(known[1].digits)));
    assert_true(password_equal(&hashed, &read));
    read.hash[31] ^= 1;
    assert_false(password_equal(&hashed, &read));
}

static void other_texts_are_no_hashes(void **state) {
    (void)state;
    struct password password;
    char digits[PASSWORD_TEXT_BYTES + 2];
    strcpy(digits, known[1].digits);
    assert_false(password_read(&password, bytes_of(digits, PASSWORD_TEXT_BYTES - 1)));
    assert_false(password_read(&password, bytes_of(digits, PASSWORD_TEXT_BYTES + 1)));
    digits[5] = 'A'; /* upper case */
    assert_false(password_read(&password, bytes_of(digits, PASSWORD_TEXT_BYTES)));
    digits[5] = 'g';
    assert_false(password_read(&password, bytes_of(digits, PASSWORD_TEXT_BYTES)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_are_those_of_the_standard),
        cmocka_unit_test(digits_read_back_to_the_same),
        cmocka_unit_test(other_texts_are_no_hashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
