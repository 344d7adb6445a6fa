#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#define XXH_INLINE_ALL /* the test does not link the library */
#include <xxhash.h>

#include "shards/base/hash.h"

/* From the test suite that the FNV authors publish (http://www.isthe.com/chongo/src/fnv/test_fnv.c), 64-bit FNV-1a. */
static void fnv1a_gives_its_authors_test_vectors(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t hash;
    } vectors[] = {
        {"", 0xcbf29ce484222325},      {"a", 0xaf63dc4c8601ec8c},      {"b", 0xaf63df4c8601f1a5},
        {"fo", 0x08985907b541d342},    {"foo", 0xdcb27518fed9d577},    {"foob", 0xdd120e790c2512af},
        {"fooba", 0xcac165afa2fef40a}, {"foobar", 0x85944171f73967e8},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        assert_true(hash_fnv1a(bytes_of_text(vectors[i].text)) == vectors[i].hash);
    }
}

static void the_seeded_hash_is_the_librarys_xxh3_at_every_length(void **state) {
    (void)state;
    unsigned char data[1024];
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (unsigned char)(i * 131);
    }
    for (size_t size = 0; size <= sizeof data; size++) {
        uint64_t seed = size * 0x9e3779b97f4a7c15;
        assert_true(hash_seeded(bytes_of(data, size), seed) ==
                    XXH3_64bits_withSeed(data, size, seed));
    }
}

static void the_seed_changes_the_hash(void **state) {
    (void)state;
    assert_true(hash_seeded(BYTES("key"), 1) != hash_seeded(BYTES("key"), 2));
}

static void folding_lets_every_bit_reach_the_low_sixteen(void **state) {
    (void)state;
    for (int bit = 0; bit < 64; bit++) {
        uint64_t hash = 0x0123456789abcdef;
        uint32_t before = hash_fold(hash), after = hash_fold(hash ^ (UINT64_C(1) << bit));
        assert_int_not_equal(before & 0xffff, after & 0xffff);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fnv1a_gives_its_authors_test_vectors),
        cmocka_unit_test(the_seeded_hash_is_the_librarys_xxh3_at_every_length),
        cmocka_unit_test(the_seed_changes_the_hash),
        cmocka_unit_test(folding_lets_every_bit_reach_the_low_sixteen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
