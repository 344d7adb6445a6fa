/* Routing is public: whoever knows FNV-1a can say where a key lives, and these tests hold us to it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "shards/router.h"

static void assert_tag(const char *key, const char *tag) {
    struct bytes found = router_tag(bytes_of_text(key));
    assert_true(bytes_equal(found, bytes_of_text(tag)));
}

static void a_tag_is_between_the_first_brace_and_the_next_closing_one(void **state) {
    (void)state;
    assert_tag("{user1000}.following", "user1000");
    assert_tag("foo{bar}{zap}", "bar");
    assert_tag("foo{{bar}}zap", "{bar");
    assert_tag("x{a}", "a");
}

static void a_key_without_a_whole_tag_is_its_own_tag(void **state) {
    (void)state;
    assert_tag("plain", "plain");
    assert_tag("", "");
    assert_tag("foo{}{bar}", "foo{}{bar}");
    assert_tag("foo{bar", "foo{bar");
    assert_tag("foo}bar{", "foo}bar{");
    assert_tag("{", "{");
    assert_tag("}{", "}{");
}

/* 0xcbf29ce484222325, 0xaf63dc4c8601ec8c and 0x85944171f73967e8 are the published FNV-1a of "", "a" and "foobar". */
static void the_shard_is_the_folded_fnv1a_of_the_key(void **state) {
    (void)state;
    static const struct {
        const char *key;
        uint64_t hash;
    } PUBLISHED[] = {
        {"", UINT64_C(0xcbf29ce484222325)},
        {"a", UINT64_C(0xaf63dc4c8601ec8c)},
        {"foobar", UINT64_C(0x85944171f73967e8)},
    };
    for (size_t i = 0; i < sizeof(PUBLISHED) / sizeof(PUBLISHED[0]); i++) {
        struct bytes key = bytes_of_text(PUBLISHED[i].key);
        uint64_t hash = PUBLISHED[i].hash;
        assert_true(hash_fnv1a(key) == hash);
        uint32_t half = (uint32_t)(hash >> 32) ^ (uint32_t)hash;
        for (uint32_t count = 1; count <= 65536; count *= 2) {
            assert_int_equal(router_shard(key, count), (half ^ half >> 16) & (count - 1));
        }
    }
}

static void keys_with_one_tag_share_a_shard(void **state) {
    (void)state;
    uint32_t shard = router_shard(BYTES("{user:7}:name"), 1024);
    assert_int_equal(router_shard(BYTES("{user:7}:age"), 1024), shard);
    assert_int_equal(router_shard(BYTES("user:7"), 1024), shard);
    assert_int_equal(router_shard(BYTES("x{user:7}"), 1024), shard);
}

/* 32000 keys over 32 shards: 1000 each, deviation 31; 6 of them say that something is wrong. */
static void numbered_keys_spread_evenly(void **state) {
    (void)state;
    enum { SHARDS = 32, KEYS = 32000 };
    int counts[SHARDS] = {0};
    for (int i = 0; i < KEYS; i++) {
        char text[32];
        int size = snprintf(text, sizeof(text), "key:%d", i);
        counts[router_shard(bytes_of(text, (size_t)size), SHARDS)]++;
    }
    for (int i = 0; i < SHARDS; i++) {
        assert_in_range(counts[i], 1000 - 190, 1000 + 190);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tag_is_between_the_first_brace_and_the_next_closing_one),
        cmocka_unit_test(a_key_without_a_whole_tag_is_its_own_tag),
        cmocka_unit_test(the_shard_is_the_folded_fnv1a_of_the_key),
        cmocka_unit_test(keys_with_one_tag_share_a_shard),
        cmocka_unit_test(numbered_keys_spread_evenly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
