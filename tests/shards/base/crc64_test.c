#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "shards/base/crc64.h"

static const struct bytes text = {"This is a test of the emergency broadcast system.", 49};

static void crc64_is_what_redis_computes(void **state) {
    (void)state;
    struct crc64 crc64;
    crc64_init(&crc64);
    assert_int_equal(crc64_update(&crc64, 0, BYTES("123456789")), UINT64_C(0xe9c6d914c4b8d9ca));
    assert_int_equal(crc64_update(&crc64, 0, BYTES("")), 0);
}

static void crc64_does_not_depend_on_how_the_bytes_come(void **state) {
    (void)state;
    struct crc64 crc64;
    crc64_init(&crc64);
    uint64_t whole = crc64_update(&crc64, 0, text);
    for (size_t cut = 0; cut <= text.size; cut++) {
        uint64_t first = crc64_update(&crc64, 0, bytes_of(text.data, cut));
        struct bytes rest = bytes_of(text.data + cut, text.size - cut);
        assert_int_equal(crc64_update(&crc64, first, rest), whole);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc64_is_what_redis_computes),
        cmocka_unit_test(crc64_does_not_depend_on_how_the_bytes_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
