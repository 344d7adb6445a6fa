/* Slots at random: none overlaps another, none changes by itself, all bookkeeping stays true. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "shards/slabs.h"
#include "model.h"

enum { SLOTS = 8000, STEPS = 300000, WAVE = 60000, VALIDATE_EVERY = 4096, MOVE_EVERY = 32 };

struct slot {
    uint32_t reference; /* 0: none */
    uint32_t size;
    uint64_t bytes; /* the slot's, which may be somewhat larger than its size asks for */
    unsigned char pattern;
};

/* What a slot for `least` bytes may have at most: a quarter more, or as much more as of all touched pages lies idle. */
static size_t slot_most(const struct slabs *slabs, size_t least) {
    uint64_t idle = slabs->resident_bytes - slabs->used_bytes;
    uint64_t part = slabs->resident_bytes != 0 ? least * idle / slabs->resident_bytes : 0;
    return least + (part > least / 4 ? part : least / 4);
}

static void slot_take(struct slabs *slabs, struct slot *slot, struct random *random) {
    uint64_t draw = random_next(random);
    uint32_t max = draw % 8 == 0 ? SLABS_OBJECT_MAX : 128;
    slot->size = 1 + (uint32_t)(draw / 8 % max);
    slot->pattern = (unsigned char)(draw >> 40);
    uint64_t used_before = slabs->used_bytes;
    size_t least = slabs_slot_bytes(slot->size), most = slot_most(slabs, least);
    slot->reference = slabs_allocate(slabs, slot->size);
    slot->bytes = slabs->used_bytes - used_before;
    assert_in_range(slot->bytes, least, most);
    assert_int_not_equal(slot->reference, 0);
    memset(slabs_at(slabs, slot->reference), slot->pattern, slot->size);
}

static void slot_check(const struct slabs *slabs, const struct slot *slot) {
    const unsigned char *data = slabs_at(slabs, slot->reference);
    for (uint32_t i = 0; i < slot->size; i++) {
        if (data[i] != slot->pattern)
            fail_msg("byte %u of %u was changed by another slot's owner", i, slot->size);
    }
}

static void slot_give_back(struct slabs *slabs, struct slot *slot) {
    slot_check(slabs, slot);
    uint64_t used_before = slabs->used_bytes;
    slabs_free(slabs, slot->reference);
    assert_int_equal(used_before - slabs->used_bytes, slot->bytes);
    slot->reference = 0;
}

/* What `slots` should cost. */
static uint64_t bytes_used(const struct slot *slots) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < SLOTS; i++) {
        if (slots[i].reference != 0) bytes += slots[i].bytes;
    }
    return bytes;
}

/* What should be moved out of a sparse slab, if there is one, is. */
static void slot_move(struct slabs *slabs, struct slot *slots) {
    uint32_t from = slabs_drain_next(slabs), i = 0;
    if (from == 0) return;
    while (i < SLOTS && slots[i].reference != from) {
        i++;
    }
    assert_true(i < SLOTS); /* it is one of those in use */
    uint64_t used_before = slabs->used_bytes;
    slots[i].reference = slabs_allocate(slabs, slots[i].size);
    assert_int_not_equal(slots[i].reference, 0);
    memcpy(slabs_at(slabs, slots[i].reference), slabs_at(slabs, from), slots[i].size);
    slabs_free(slabs, from);
    slots[i].bytes += slabs->used_bytes - used_before;
    slot_check(slabs, &slots[i]);
}

static void slots_keep_what_is_written_to_them(void **state) {
    (void)state;
    static struct slot slots[SLOTS];
    struct slabs slabs;
    struct random random;
    model_seed(&random, "slabs");
    assert_int_equal(slabs_init(&slabs, (size_t)256 << 20), STATUS_OK);
    for (uint32_t i = 0; i < STEPS; i++) {
        struct slot *slot = &slots[random_below(&random, SLOTS)];
        bool is_growing = i / WAVE % 2 == 0;
        if (slot->reference == 0) {
            if (is_growing || random_below(&random, 8) == 0) slot_take(&slabs, slot, &random);
        } else if (!is_growing || random_below(&random, 8) == 0) {
            slot_give_back(&slabs, slot);
        }
        if (i % MOVE_EVERY == 0) slot_move(&slabs, slots);
        if (i % VALIDATE_EVERY == 0) {
            slabs_validate(&slabs);
            assert_int_equal(slabs.used_bytes, bytes_used(slots));
        }
    }
    for (uint32_t i = 0; i < SLOTS; i++) {
        if (slots[i].reference != 0) slot_give_back(&slabs, &slots[i]);
    }
    slabs_validate(&slabs);
    assert_int_equal(slabs.used_bytes, 0);
    slabs_release(&slabs);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_keep_what_is_written_to_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
