/* Letters to a worker, and when it must be woken.
 *
 * A wake-up is a system call, so only the post that finds nobody on the way makes one: `is_woken` says
 * that a wake-up was made and not yet answered. The order is what makes it right:
 *
 *     mailbox_post:      push the letter;   is_woken := true, and if it was false: wake
 *     mailbox_open_all:  is_woken := false; pop until empty
 *
 * A post that found true had pushed before it looked, and the worker clears the flag before it pops: the
 * two exchanges of one flag have an order, so either the worker's comes later, and its pops see the
 * letter, or the post finds false and wakes. A wake-up for letters that are read already may happen, a
 * letter without a wake-up may not.
 *
 * One call opens at most as many letters as fit in the queue, so that letters which post letters cannot
 * hold the worker for ever; what is left then wakes it once more. */
#include "mailbox.h"

enum status mailbox_init(struct mailbox *mailbox, struct engine *engine, void *context,
                         size_t capacity) {
    mailbox->engine = engine;
    mailbox->context = context;
    atomic_init(&mailbox->is_woken, false);
    return queue_mpsc_init(&mailbox->queue, capacity);
}

void mailbox_release(struct mailbox *mailbox) {
    queue_mpsc_release(&mailbox->queue);
}

void mailbox_wake(struct mailbox *mailbox) {
    /* Release; pairs with the acquire in mailbox_open_all: the letter is in the queue. */
    bool was_woken = atomic_exchange_explicit(&mailbox->is_woken, true, memory_order_acq_rel);
    if (!was_woken) engine_wake(mailbox->engine);
}

bool mailbox_post(struct mailbox *mailbox, struct letter *letter) {
    if (!queue_mpsc_push(&mailbox->queue, letter)) return false;
    mailbox_wake(mailbox);
    return true;
}

void mailbox_open_all(struct mailbox *mailbox) {
    /* Acquire; pairs with the release in mailbox_wake. An exchange, since a plain store could be ordered
     * after the pops. */
    atomic_exchange_explicit(&mailbox->is_woken, false, memory_order_acq_rel);
    for (size_t left = mailbox->queue.mask + 1; left > 0; left--) {
        struct letter *letter = queue_mpsc_pop(&mailbox->queue);
        if (letter == NULL) return;
        letter->open(mailbox->context, letter);
    }
    mailbox_wake(mailbox);
}
