/* The mailbox in one thread, with an engine that only counts its wake-ups. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "net/mailbox.h"
#include "shards/base/memory.h"

enum { CAPACITY = 4 };

struct fake_engine {
    struct engine engine; /* first: the operations get its address */
    int wakes;
};

static void fake_wake(struct engine *engine) {
    ((struct fake_engine *)engine)->wakes++;
}

static const struct engine_operations fake_operations = {.name = "fake", .wake = fake_wake};

struct fixture {
    struct fake_engine fake;
    struct mailbox mailbox;
    int opened[64];
    int opened_count;
};

struct numbered {
    struct letter letter; /* first */
    int number;
};

static void note(void *context, struct letter *letter) {
    struct fixture *fixture = context;
    fixture->opened[fixture->opened_count++] = ((struct numbered *)letter)->number;
}

static void note_and_post_again(void *context, struct letter *letter) {
    struct fixture *fixture = context;
    note(context, letter);
    assert_true(mailbox_post(&fixture->mailbox, letter));
}

static void fixture_init(struct fixture *fixture) {
    *fixture = (struct fixture){.fake.engine.operations = &fake_operations};
    assert_int_equal(mailbox_init(&fixture->mailbox, &fixture->fake.engine, fixture, CAPACITY),
                     STATUS_OK);
}

static void mailbox_opens_letters_in_order_for_one_wake(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    struct numbered letters[CAPACITY];
    for (int i = 0; i < CAPACITY; i++) {
        letters[i] = (struct numbered){.letter.open = note, .number = i};
        assert_true(mailbox_post(&fixture.mailbox, &letters[i].letter));
    }
    assert_int_equal(fixture.fake.wakes, 1);
    mailbox_open_all(&fixture.mailbox);
    assert_int_equal(fixture.opened_count, CAPACITY);
    for (int i = 0; i < CAPACITY; i++)
        assert_int_equal(fixture.opened[i], i);
    mailbox_release(&fixture.mailbox);
}

static void mailbox_wakes_again_for_a_letter_after_opening(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    struct numbered letter = {.letter.open = note};
    for (int round = 1; round <= 3; round++) {
        assert_true(mailbox_post(&fixture.mailbox, &letter.letter));
        assert_int_equal(fixture.fake.wakes, round);
        mailbox_open_all(&fixture.mailbox);
        assert_int_equal(fixture.opened_count, round);
    }
    mailbox_release(&fixture.mailbox);
}

static void mailbox_refuses_a_letter_when_full_and_wakes_nobody_for_it(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    struct numbered letters[CAPACITY + 1];
    for (int i = 0; i <= CAPACITY; i++) {
        letters[i] = (struct numbered){.letter.open = note, .number = i};
        assert_int_equal(mailbox_post(&fixture.mailbox, &letters[i].letter), i < CAPACITY);
    }
    assert_int_equal(fixture.fake.wakes, 1);
    mailbox_open_all(&fixture.mailbox);
    assert_true(mailbox_post(&fixture.mailbox, &letters[CAPACITY].letter));
    mailbox_open_all(&fixture.mailbox);
    assert_int_equal(fixture.opened_count, CAPACITY + 1);
    mailbox_release(&fixture.mailbox);
}

static void a_letter_that_posts_itself_again_does_not_hold_the_worker(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    struct numbered letter = {.letter.open = note_and_post_again};
    assert_true(mailbox_post(&fixture.mailbox, &letter.letter));
    mailbox_open_all(&fixture.mailbox);
    assert_int_equal(fixture.opened_count, CAPACITY);
    assert_int_equal(fixture.fake.wakes, 2); /* what is left has its wake-up */
    mailbox_release(&fixture.mailbox);
}

static void mailbox_reports_refused_memory(void **state) {
    (void)state;
    struct mailbox mailbox;
    memory_refuse_after(0);
    enum status status = mailbox_init(&mailbox, NULL, NULL, CAPACITY);
    memory_refuse_after(-1);
    assert_int_equal(status, STATUS_NO_MEMORY);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mailbox_opens_letters_in_order_for_one_wake),
        cmocka_unit_test(mailbox_wakes_again_for_a_letter_after_opening),
        cmocka_unit_test(mailbox_refuses_a_letter_when_full_and_wakes_nobody_for_it),
        cmocka_unit_test(a_letter_that_posts_itself_again_does_not_hold_the_worker),
        cmocka_unit_test(mailbox_reports_refused_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
