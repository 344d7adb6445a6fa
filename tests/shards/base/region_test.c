#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shards/base/region.h"

enum { MEBIBYTE = 1024 * 1024 };

static void a_region_grows_in_place_and_keeps_its_bytes(void **state) {
    (void)state;
    struct region region;
    assert_int_equal(region_init(&region, 64 * MEBIBYTE), STATUS_OK);
    assert_int_equal(region.reserved_bytes, 64 * MEBIBYTE);
    assert_int_equal(region.committed_bytes, 0);
    char *base = region.base;
    for (size_t bytes = 1; bytes <= 64 * MEBIBYTE; bytes *= 2) {
        assert_int_equal(region_commit(&region, bytes), STATUS_OK);
        assert_ptr_equal(region.base, base);
        assert_in_range(region.committed_bytes, bytes, region.reserved_bytes);
        region.base[bytes - 1] = 'x';
    }
    for (size_t bytes = 1; bytes <= 64 * MEBIBYTE; bytes *= 2) {
        assert_int_equal(region.base[bytes - 1], 'x');
    }
    region_release(&region);
    assert_null(region.base);
}

static void committing_goes_ahead_in_few_steps(void **state) {
    (void)state;
    struct region region;
    assert_int_equal(region_init(&region, 64 * MEBIBYTE), STATUS_OK);
    size_t steps = 0, committed = 0;
    for (size_t bytes = 4096; bytes <= 64 * MEBIBYTE; bytes += 4096) {
        assert_int_equal(region_commit(&region, bytes), STATUS_OK);
        steps += region.committed_bytes != committed;
        committed = region.committed_bytes;
    }
    assert_in_range(steps, 2, 50); /* one for every page would be 16384 */
    assert_int_equal(committed, region.reserved_bytes);
    region_release(&region);
}

static void nothing_is_committed_past_the_reservation(void **state) {
    (void)state;
    struct region region;
    assert_int_equal(region_init(&region, MEBIBYTE), STATUS_OK);
    assert_int_equal(region_commit(&region, MEBIBYTE + 1), STATUS_NO_MEMORY);
    assert_int_equal(region_commit(&region, SIZE_MAX), STATUS_NO_MEMORY);
    assert_int_equal(region_commit(&region, MEBIBYTE), STATUS_OK);
    region.base[MEBIBYTE - 1] = 1;
    region_release(&region);
}

static void discarded_pages_read_as_zero_and_their_neighbours_stay(void **state) {
    (void)state;
    struct region region;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    assert_int_equal(region_init(&region, MEBIBYTE), STATUS_OK);
    assert_int_equal(region_commit(&region, 4 * page), STATUS_OK);
    memset(region.base, 'x', 4 * page);
    region_discard(&region, page / 2,
                   2 * page + page / 2); /* whole pages inside: the second and third */
    for (size_t i = 0; i < 4 * page; i++) {
        bool is_inside = i >= page && i < 3 * page;
        if (region.base[i] != (is_inside ? 0 : 'x')) fail_msg("byte %zu is %d", i, region.base[i]);
    }
    region.base[page] = 'y';
    assert_int_equal(region.base[page], 'y');
    region_discard(&region, 10, 20); /* no whole page inside */
    assert_int_equal(region.base[10], 'x');
    region_release(&region);
}

static bool can_be_reserved(size_t bytes) {
    void *base = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) return false;
    munmap(base, bytes);
    return true;
}

static void a_reservation_too_large_is_halved_and_then_refused(void **state) {
    (void)state;
    size_t too_large = (size_t)1 << 60;
    struct region region;
    assert_int_equal(region_init(&region, too_large), STATUS_NO_MEMORY);
    assert_null(region.base);
    while (!can_be_reserved(too_large / 2)) {
        too_large /= 2;
    }
    assert_int_equal(region_init(&region, too_large), STATUS_OK);
    assert_in_range(region.reserved_bytes, too_large / 16, too_large / 2);
    region_release(&region);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_region_grows_in_place_and_keeps_its_bytes),
        cmocka_unit_test(committing_goes_ahead_in_few_steps),
        cmocka_unit_test(nothing_is_committed_past_the_reservation),
        cmocka_unit_test(discarded_pages_read_as_zero_and_their_neighbours_stay),
        cmocka_unit_test(a_reservation_too_large_is_halved_and_then_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
