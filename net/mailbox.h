/* How threads talk to a worker: letters in a bounded lock-free queue, and one wake-up for as many as wait.
 *
 * A letter is owned by whoever holds it: the sender until mailbox_post says true, the receiver from then on. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "engine.h"
#include "shards/base/queue.h"

struct letter {
    /* Run on the worker's thread with the mailbox's context; owns the letter, and frees it or posts it on. */
    void (*open)(void *context, struct letter *letter);
};

struct mailbox {
    struct queue_mpsc queue;
    struct engine *engine; /* immutable after init */
    void *context;         /* immutable after init */
    _Atomic bool is_woken; /* atomic: a wake-up is on its way, so another isn't needed */
};

/* `capacity` letters can wait; rounded up to a power of two. */
must_use enum status mailbox_init(struct mailbox *mailbox, struct engine *engine, void *context,
                                  size_t capacity);
/* Nobody posts any more. Letters that still wait are not opened: open them all before, where they own something. */
void mailbox_release(struct mailbox *mailbox);
/* Any thread; never blocks. False when full: the letter is still the sender's. */
must_use bool mailbox_post(struct mailbox *mailbox, struct letter *letter);
/* Any thread: wake the worker without a letter, for what it will find by itself. What was written before is
 * seen by whatever it does after mailbox_open_all. */
void mailbox_wake(struct mailbox *mailbox);
/* The worker only, on `woken`: open what waits. What is posted meanwhile is opened too, or wakes the worker again. */
void mailbox_open_all(struct mailbox *mailbox);
