/* Saving: who writes snapshots to disk, when, and how the last one went.
 *
 * One save at a time, in the caller's thread (SAVE, the end) or in one of its own (BGSAVE, save points).
 * Numbers are atomic and relaxed, for INFO; the functions say which thread may call them. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "server/config.h"
#include "shards/base/status.h"
#include "shards/snapshot.h"

struct server;

enum {
    /* Copies of what writers changed that may wait to be written; beyond, writers wait until half is. */
    SAVER_BEHIND_BYTES = 64 * 1024 * 1024,
    SAVER_ERROR_MAX = 2 * CONFIG_TEXT_MAX,
};

struct saver {
    struct server *server;
    pthread_mutex_t lock; /* guards what begins and ends; held over no file and no snapshot */
    pthread_cond_t has_ended;
    pthread_t thread;
    bool has_thread; /* to be joined; lock */
    enum saver_claim {
        SAVER_FREE,
        SAVER_CLAIMED, /* by who hands over */
        SAVER_LAST,    /* the last save was asked for: none but it begins any more */
        SAVER_RETIRED, /* nothing is ours to save any more */
    } claim;           /* lock */
    struct save_point {
        int64_t seconds, changes;
    } points[CONFIG_SAVE_POINTS_MAX]; /* lock */
    uint32_t point_count;             /* lock */
    uint64_t changes_begun;   /* of saver_changes, when the save began; lock, then who saves */
    struct snapshot snapshot; /* the one who saves; its byte counts: any thread */

    _Atomic bool is_saving, is_background; /* changed with the lock; read without */
    _Atomic bool is_cancelled;
    _Atomic bool is_sound;    /* the last background save went well */
    _Atomic int64_t saved_ms; /* the last that went well; at first the start */
    _Atomic int64_t begun_ms; /* the last that began */
    _Atomic int64_t last_s;   /* how long the last background save took; -1: none yet */
    _Atomic uint64_t saves, keys_total, keys_done, peak_bytes;
    _Atomic uint64_t changes_base;  /* of saver_changes, at the last save that went well */
    _Atomic uint64_t changes_other; /* not told by the shards' counters */
};

/* Before other threads run. */
void saver_init(struct saver *saver, struct server *server);
/* Gives up what is being saved. */
void saver_release(struct saver *saver);

/* Save now, in this thread; or in the background, where only the beginning is judged. When it isn't STATUS_OK, `error`
 * (SAVER_ERROR_MAX bytes) says what went wrong, as does the log; STATUS_FULL: another save is under way, or claimed. */
must_use enum status saver_save(struct saver *saver, char *error);
must_use enum status saver_start(struct saver *saver, char *error);
/* Save now, as the last: a save that is under way is given up, a claim awaited, and none begins any more but by this again,
 * unless it fails. */
must_use enum status saver_save_last(struct saver *saver, char *error);
/* Give up a save that is under way, and let none begin until the claim is given back: the snapshot is the caller's
 * meanwhile. False: the last save was asked for. `retires`: nor after that; who asks for one is told that it went well,
 * and the file stays as it is. */
must_use bool saver_claim(struct saver *saver);
void saver_yield(struct saver *saver, bool retires);
/* At start: so many changes are in no file, and the last was written then. */
void saver_inherit(struct saver *saver, uint64_t changes, int64_t saved_ms);
/* One thread, now and then: begin a save when a save point is reached. */
void saver_tick(struct saver *saver, int64_t now_ms);
/* The options `save` and `stop-writes-on-bgsave-error` changed. */
void saver_configure(struct saver *saver);
/* Are there save points? Then the end saves, too. */
bool saver_has_points(struct saver *saver);

/* Keys that writing commands looked up since the last save that went well. Any thread. */
uint64_t saver_changes(const struct saver *saver);
/* Changes over which no key is looked up (FLUSHALL). Any thread. */
void saver_add_changes(struct saver *saver, uint64_t count);
/* Reset the shards' counters, and remember what they told. Any thread. */
void saver_reset_counters(struct saver *saver);
/* Any thread: are there more copies waiting than there should be? Whoever then waits is woken. */
bool saver_is_behind(const struct saver *saver);
