/* The mailbox against the thread sanitizer: senders race a worker that sleeps whenever nobody woke it, so that one lost
 * wake-up leaves it asleep, and the test fails when its patience ends. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdbool.h>
#include <time.h>

#include "net/mailbox.h"

enum {
    SENDERS = 4,
    LETTERS = 5000,
    CAPACITY = 64,
    PATIENCE_S = 60,
    BURST_MAX = 7,
    BURST_LETTERS = 200000
};

/* Wakes by a semaphore, as a real engine does by an eventfd. */
struct fake_engine {
    struct engine engine; /* first: the operations get its address */
    sem_t wakes;
};

static void fake_wake(struct engine *engine) {
    sem_post(&((struct fake_engine *)engine)->wakes);
}

static const struct engine_operations fake_operations = {.name = "fake", .wake = fake_wake};

struct post_office {
    struct fake_engine fake;
    struct mailbox mailbox;
    int opened;          /* the worker only */
    int next[SENDERS];   /* the worker only: the number expected from each */
    bool is_out_of_turn; /* the worker only */
};

struct numbered {
    struct letter letter; /* first */
    int sender;           /* plain fields: the queue must publish them */
    int number;
};

struct sender {
    struct post_office *office;
    int index;
    struct numbered letters[LETTERS];
    pthread_t thread;
};

static void open_numbered(void *context, struct letter *letter) {
    struct post_office *office = context;
    const struct numbered *numbered = (const struct numbered *)letter;
    if (office->next[numbered->sender] != numbered->number) office->is_out_of_turn = true;
    office->next[numbered->sender] = numbered->number + 1;
    office->opened++;
}

static void *send_all(void *argument) {
    struct sender *sender = argument;
    for (int i = 0; i < LETTERS; i++) {
        sender->letters[i] =
            (struct numbered){.letter.open = open_numbered, .sender = sender->index, .number = i};
        while (!mailbox_post(&sender->office->mailbox, &sender->letters[i].letter))
            sched_yield();
        if (i % 16 == sender->index) sched_yield(); /* lets the worker find the box empty */
    }
    return NULL;
}

/* False: nobody woke the worker in time. */
static bool wait_for_wake(struct fake_engine *fake) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    while (sem_timedwait(&fake->wakes, &until) != 0) {
        if (errno != EINTR) return false;
    }
    return true;
}

static void no_letter_is_lost_or_left_without_a_wake(void **state) {
    (void)state;
    static struct sender senders[SENDERS];
    struct post_office office = {.fake.engine.operations = &fake_operations};
    assert_int_equal(sem_init(&office.fake.wakes, 0, 0), 0);
    assert_int_equal(mailbox_init(&office.mailbox, &office.fake.engine, &office, CAPACITY),
                     STATUS_OK);
    for (int i = 0; i < SENDERS; i++) {
        senders[i].office = &office;
        senders[i].index = i;
        assert_int_equal(pthread_create(&senders[i].thread, NULL, send_all, &senders[i]), 0);
    }
    while (office.opened < SENDERS * LETTERS) {
        assert_true(wait_for_wake(&office.fake));
        mailbox_open_all(&office.mailbox);
    }
    for (int i = 0; i < SENDERS; i++) {
        assert_int_equal(pthread_join(senders[i].thread, NULL), 0);
        assert_int_equal(office.next[i], LETTERS);
    }
    assert_false(office.is_out_of_turn);
    mailbox_release(&office.mailbox);
    sem_destroy(&office.fake.wakes);
}

/* ---- Short bursts of one sender, who waits for the last: no later letter mends a lost wake-up - */

struct burst {
    struct post_office office;
    struct letter last; /* after the last burst */
    _Atomic int opened; /* release by the worker; pairs with the acquire in send_bursts */
    bool is_done;       /* the worker only: the sender's last letter was opened */
};

static void open_in_burst(void *context, struct letter *letter) {
    (void)letter;
    atomic_fetch_add_explicit(&((struct burst *)context)->opened, 1, memory_order_release);
}

static void end_bursts(void *context, struct letter *letter) {
    (void)letter;
    ((struct burst *)context)->is_done = true;
}

/* The last letter of a burst meets the worker at another step each time: popping, done, or about to sleep. */
static void *send_bursts(void *argument) {
    struct burst *burst = argument;
    struct letter letters[BURST_MAX];
    int sent = 0;
    while (sent < BURST_LETTERS) {
        int size = 1 + sent % BURST_MAX;
        for (int i = 0; i < size; i++) {
            letters[i] = (struct letter){.open = open_in_burst};
            if (!mailbox_post(&burst->office.mailbox, &letters[i])) return NULL;
        }
        sent += size;
        while (atomic_load_explicit(&burst->opened, memory_order_acquire) < sent)
            sched_yield();
    }
    while (!mailbox_post(&burst->office.mailbox, &burst->last))
        sched_yield();
    return NULL;
}

static void the_last_letter_of_every_burst_is_opened(void **state) {
    (void)state;
    struct burst burst = {.office.fake.engine.operations = &fake_operations,
                          .last.open = end_bursts};
    struct post_office *office = &burst.office;
    assert_int_equal(sem_init(&office->fake.wakes, 0, 0), 0);
    assert_int_equal(mailbox_init(&office->mailbox, &office->fake.engine, &burst, CAPACITY),
                     STATUS_OK);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, send_bursts, &burst), 0);
    while (!burst.is_done) {
        assert_true(wait_for_wake(&office->fake));
        mailbox_open_all(&office->mailbox);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    mailbox_release(&office->mailbox);
    sem_destroy(&office->fake.wakes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_letter_is_lost_or_left_without_a_wake),
        cmocka_unit_test(the_last_letter_of_every_burst_is_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
