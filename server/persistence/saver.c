/* A save is a snapshot (shards/snapshot.h), encoded (rdb_write.h) into a file that replaces the old one (rdb_file.h).
 *
 *      saver_save, saver_start ─▶ begin ─▶ write_snapshot: head, then step by step ─▶ commit ─▶ end
 *                                              └─ cancelled, refused memory, a full disk ─▶ abandon ─▶ end
 *
 * No fork: the process is never copied, and memory grows only by what writers change before we come by. Copies
 * of that wait to be encoded; when they pass SAVER_BEHIND_BYTES, writing commands wait, as by CLIENT PAUSE,
 * until half is written: readers don't notice, and memory stays bounded however slow the disk is. Redis has no
 * such bound; its child's pages double.
 *
 * Changes are counted by what the shards count anyway, a key looked up by a writing command, so that no write pays for
 * `rdb_changes_since_last_save`. A command that looks and changes nothing counts, too: a save comes rather too
 * early than too late.
 *
 * The thread is made for a save and joined by the next one, or by the end: the background pool (jobs.h) has few
 * threads, and a save may take minutes.
 *
 * Source of names, texts and rules: Redis (rdb.c, server.c). */
#include "saver.h"

#include <stdio.h>
#include <string.h>

#include "net/words.h"
#include "rdb_file.h"
#include "rdb_write.h"
#include "server/clock.h"
#include "server/gate.h"
#include "server/log.h"
#include "server/priority.h"
#include "server/server.h"
#include "shards/base/memory.h"
#include "shards/base/number.h"

enum {
    RETRY_MS = 5000,        /* between a save that failed and the next that a save point begins */
    KEYS_BETWEEN_WAYS = 32, /* encoded between two yields: some ten microseconds, of small values */
};

#define LOAD(field)         atomic_load_explicit(&(field), memory_order_relaxed)
#define STORE(field, value) atomic_store_explicit(&(field), (value), memory_order_relaxed)

/* ---- Changes --------------------------------------------------------------------------------- */

static uint64_t changes_ever(const struct saver *saver) {
    return counters_sum_all(&saver->server->shards.counters).writes + LOAD(saver->changes_other);
}

uint64_t saver_changes(const struct saver *saver) {
    uint64_t base = LOAD(saver->changes_base), ever = changes_ever(saver);
    return ever > base ? ever - base : 0;
}

void saver_add_changes(struct saver *saver, uint64_t count) {
    atomic_fetch_add_explicit(&saver->changes_other, count, memory_order_relaxed);
}

/* Locked, so that no save reads the changes between the two. */
void saver_reset_counters(struct saver *saver) {
    struct counters_matrix *counters = &saver->server->shards.counters;
    pthread_mutex_lock(&saver->lock);
    saver_add_changes(saver, counters_sum_all(counters).writes);
    counters_reset(counters);
    pthread_mutex_unlock(&saver->lock);
}

/* ---- Waiting writers ------------------------------------------------------------------------- */

bool saver_is_behind(const struct saver *saver) {
    return snapshot_saved_bytes(&saver->snapshot) > SAVER_BEHIND_BYTES;
}

/* Writers are woken by the gate when it opens; this is for those who can go on before. */
static void wake_writers(struct saver *saver, bool *was_behind) {
    size_t waiting = snapshot_saved_bytes(&saver->snapshot);
    if (waiting > SAVER_BEHIND_BYTES) *was_behind = true;
    if (!*was_behind || waiting > SAVER_BEHIND_BYTES / 2) return;
    *was_behind = false;
    server_wake_paused(saver->server);
}

/* ---- One snapshot into one file -------------------------------------------------------------- */

struct saving {
    struct saver *saver;
    struct rdb_writer writer;
    struct priority_turn turn;
    uint64_t keys;
    bool was_behind;
};

static void give_way(struct saving *saving) {
    if (LOAD(saving->saver->is_background)) priority_give_way(&saving->turn);
}

static void write_entry(void *context, const struct snapshot_entry *entry) {
    struct saving *saving = context;
    struct snapshot *snapshot = &saving->saver->snapshot;
    uint64_t *keys = &snapshot->keys[entry->database];
    if (*keys != 0) { /* its first: tell how many there are */
        rdb_write_database(&saving->writer, entry->database, *keys,
                           snapshot->deadlines[entry->database]);
        *keys = 0;
    }
    rdb_write_entry(&saving->writer, entry);
    STORE(saving->saver->keys_done, ++saving->keys);
    wake_writers(saving->saver, &saving->was_behind);
    if (saving->keys % KEYS_BETWEEN_WAYS == 0) give_way(saving);
}

static void write_fact_number(struct rdb_writer *writer, const char *name, int64_t number) {
    char text[NUMBER_TEXT_MAX];
    rdb_write_fact(writer, name, bytes_of(text, number_write(number, text)));
}

static void write_facts(struct rdb_writer *writer, int64_t now_ms) {
    rdb_write_head(writer);
    rdb_write_fact(writer, "redis-ver", BYTES(SERVER_REDIS_VERSION));
    rdb_write_fact(writer, "sherd-ver", BYTES(SHERD_VERSION));
    write_fact_number(writer, "redis-bits", 8 * sizeof(void *));
    write_fact_number(writer, "ctime", now_ms / 1000);
    write_fact_number(writer, "used-mem", (int64_t)memory_used());
    write_fact_number(writer, "aof-base", 0);
}

static uint64_t sum_of(const uint64_t *numbers, uint32_t count) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum += numbers[i];
    }
    return sum;
}

/* Walk over the snapshot, which has begun, until its end or a failure. */
static enum status write_all(struct saving *saving) {
    struct saver *saver = saving->saver;
    write_facts(&saving->writer, saver->snapshot.now_ms);
    bool has_more = true;
    while (has_more && saving->writer.status == STATUS_OK) {
        if (LOAD(saver->is_cancelled)) return STATUS_REFUSED;
        has_more = snapshot_step(&saver->snapshot, write_entry, saving);
        give_way(saving);
    }
    return rdb_write_end(&saving->writer);
}

static enum status write_snapshot(struct saver *saver, struct rdb_file *file) {
    struct server *server = saver->server;
    struct saving saving = {.saver = saver};
    struct rdb_writer_options options = {
        .write = rdb_file_write,
        .context = file,
        .compresses = config_number(&server->config->rdbcompression) != 0,
        .checksums = config_number(&server->config->rdbchecksum) != 0,
    };
    if (rdb_writer_init(&saving.writer, &options) != STATUS_OK) return STATUS_NO_MEMORY;
    gate_close(server, GATE_SAVING);
    uint64_t begun_ticks = clock_ticks();
    enum status status = snapshot_begin(&saver->snapshot, &server->shards, clock_unix_ms());
    timing_note_event(server, LATENCY_SNAPSHOT, begun_ticks);
    if (status == STATUS_OK) {
        STORE(saver->keys_total, sum_of(saver->snapshot.keys, server->shards.database_count));
        status = write_all(&saving);
        STORE(saver->peak_bytes, LOAD(saver->snapshot.saved_bytes_peak));
        enum status ended = snapshot_end(&saver->snapshot);
        if (status == STATUS_OK) status = ended;
    }
    gate_open(server, GATE_SAVING);
    rdb_writer_release(&saving.writer);
    return status;
}

static void explain(const struct saver *saver, const struct rdb_file *file, enum status status,
                    char *error) {
    if (LOAD(saver->is_cancelled)) {
        snprintf(error, SAVER_ERROR_MAX, "Saving was given up; the file there was is untouched");
    } else {
        snprintf(error, SAVER_ERROR_MAX, "Write error saving DB on disk, in %s: %s",
                 saver->server->config->dir,
                 status == STATUS_NO_MEMORY
                     ? "no memory for the encoder, or for what writers change meanwhile"
                     : file->error);
    }
    log_warning("%s", error);
}

static enum status save(struct saver *saver, char *error) {
    char name[CONFIG_TEXT_MAX];
    config_copy_text(saver->server->config, saver->server->config->dbfilename, name);
    struct rdb_file file;
    atomic_fetch_add_explicit(&saver->saves, 1, memory_order_relaxed);
    uint64_t changes = saver->changes_begun;
    int64_t begun_ms = LOAD(saver->begun_ms);
    enum status status = rdb_file_create(&file, name, LOAD(saver->is_background));
    if (status == STATUS_OK) status = write_snapshot(saver, &file);
    if (status == STATUS_OK) status = rdb_file_commit(&file);
    if (status != STATUS_OK) {
        explain(saver, &file, status, error);
        rdb_file_abandon(&file);
        return status;
    }
    int64_t now_ms = clock_unix_ms();
    STORE(saver->changes_base, changes);
    STORE(saver->saved_ms, now_ms);
    log_notice("DB saved on disk: %llu keys, %llu bytes, %.1f s; %llu bytes at most were kept for "
               "writers meanwhile",
               (unsigned long long)LOAD(saver->keys_done), (unsigned long long)file.written,
               (double)(now_ms - begun_ms) / 1000, (unsigned long long)LOAD(saver->peak_bytes));
    return STATUS_OK;
}

/* ---- Beginning and ending -------------------------------------------------------------------- */

static void join_thread_locked(struct saver *saver) {
    if (saver->has_thread) pthread_join(saver->thread, NULL);
    saver->has_thread = false;
}

/* By who has the claim, if it is claimed. */
static void begin_locked(struct saver *saver, bool is_background) {
    join_thread_locked(saver); /* it has said that it ended */
    saver->changes_begun = changes_ever(saver);
    STORE(saver->begun_ms, clock_unix_ms());
    STORE(saver->keys_done, 0);
    STORE(saver->keys_total, 0);
    STORE(saver->is_cancelled, false);
    STORE(saver->is_background, is_background);
    STORE(saver->is_saving, true);
}

/* False: `status` is what to answer. */
static bool try_to_begin_locked(struct saver *saver, bool is_background, enum status *status,
                                char *error) {
    *status = STATUS_OK;
    if (saver->claim == SAVER_RETIRED) return false;
    if (saver->claim == SAVER_FREE && !LOAD(saver->is_saving)) {
        begin_locked(saver, is_background);
        return true;
    }
    snprintf(error, SAVER_ERROR_MAX, "Background save already in progress");
    *status = STATUS_FULL;
    return false;
}

/* Are writers to be refused, since what they write may be lost? */
static void settle_gate_locked(struct saver *saver) {
    bool stops = config_number(&saver->server->config->stop_writes_on_bgsave_error) != 0;
    if (stops && saver->point_count != 0 && !LOAD(saver->is_sound)) {
        gate_close(saver->server, GATE_MISCONF);
    } else {
        gate_open(saver->server, GATE_MISCONF);
    }
}

/* A save that was given up says nothing about the disk. */
static void end(struct saver *saver, enum status status) {
    pthread_mutex_lock(&saver->lock);
    bool is_judged = status == STATUS_OK || !LOAD(saver->is_cancelled);
    if (is_judged && (LOAD(saver->is_background) || status == STATUS_OK)) {
        STORE(saver->is_sound, status == STATUS_OK);
    }
    if (LOAD(saver->is_background))
        STORE(saver->last_s, (clock_unix_ms() - LOAD(saver->begun_ms)) / 1000);
    settle_gate_locked(saver);
    STORE(saver->is_saving, false);
    STORE(saver->is_background, false);
    pthread_cond_broadcast(&saver->has_ended);
    pthread_mutex_unlock(&saver->lock);
}

static enum status save_here(struct saver *saver, char *error) {
    enum status status = save(saver, error);
    end(saver, status);
    return status == STATUS_FULL ? STATUS_FAILED : status;
}

enum status saver_save(struct saver *saver, char *error) {
    enum status status;
    pthread_mutex_lock(&saver->lock);
    bool has_begun = try_to_begin_locked(saver, false, &status, error);
    pthread_mutex_unlock(&saver->lock);
    return has_begun ? save_here(saver, error) : status;
}

static void *run(void *argument) {
    struct saver *saver = argument;
    priority_step_back();
    char error[SAVER_ERROR_MAX]; /* is in the log */
    enum status status = save(saver, error);
    if (status == STATUS_OK) {
        log_notice("Background saving terminated with success");
    } else {
        log_warning("Background saving error");
    }
    end(saver, status);
    return NULL;
}

static enum status start_thread_locked(struct saver *saver, char *error) {
    if (pthread_create(&saver->thread, NULL, run, saver) == 0) {
        saver->has_thread = true;
        log_notice("Background saving started");
        return STATUS_OK;
    }
    snprintf(error, SAVER_ERROR_MAX, "Can't save in background: the system has no thread for it");
    log_warning("%s", error);
    STORE(saver->is_saving, false);
    STORE(saver->is_background, false);
    STORE(saver->is_sound, false);
    settle_gate_locked(saver);
    pthread_cond_broadcast(&saver->has_ended);
    return STATUS_REFUSED;
}

enum status saver_start(struct saver *saver, char *error) {
    enum status status;
    pthread_mutex_lock(&saver->lock);
    if (try_to_begin_locked(saver, true, &status, error))
        status = start_thread_locked(saver, error);
    pthread_mutex_unlock(&saver->lock);
    return status;
}

/* ---- Who may save ---------------------------------------------------------------------------- */

/* Until nothing is being saved. Who waits may find that another save has begun meanwhile: it is cancelled, too. */
static void cancel_locked(struct saver *saver) {
    while (LOAD(saver->is_saving)) {
        STORE(saver->is_cancelled, true);
        pthread_cond_wait(&saver->has_ended, &saver->lock);
    }
    join_thread_locked(saver);
}

enum status saver_save_last(struct saver *saver, char *error) {
    pthread_mutex_lock(&saver->lock);
    while (saver->claim == SAVER_CLAIMED) {
        pthread_cond_wait(&saver->has_ended, &saver->lock);
    }
    bool is_retired = saver->claim == SAVER_RETIRED;
    if (!is_retired) {
        saver->claim = SAVER_LAST;
        cancel_locked(saver);
        begin_locked(saver, false);
    }
    pthread_mutex_unlock(&saver->lock);
    if (is_retired) return STATUS_OK;
    enum status status = save_here(saver, error);
    if (status != STATUS_OK) saver_yield(saver, false);
    return status;
}

bool saver_claim(struct saver *saver) {
    pthread_mutex_lock(&saver->lock);
    bool is_free = saver->claim == SAVER_FREE;
    if (is_free) {
        saver->claim = SAVER_CLAIMED;
        cancel_locked(saver);
    }
    pthread_mutex_unlock(&saver->lock);
    return is_free;
}

void saver_yield(struct saver *saver, bool retires) {
    pthread_mutex_lock(&saver->lock);
    saver->claim = retires ? SAVER_RETIRED : SAVER_FREE;
    pthread_cond_broadcast(&saver->has_ended);
    pthread_mutex_unlock(&saver->lock);
}

void saver_inherit(struct saver *saver, uint64_t changes, int64_t saved_ms) {
    saver_add_changes(saver, changes);
    STORE(saver->saved_ms, saved_ms);
}

/* ---- Save points ----------------------------------------------------------------------------- */

static void read_points_locked(struct saver *saver) {
    char text[CONFIG_TEXT_MAX];
    struct bytes seconds, changes;
    config_copy_text(saver->server->config, saver->server->config->save, text);
    struct words words = {text, text + strlen(text)};
    saver->point_count = 0;
    while (saver->point_count < CONFIG_SAVE_POINTS_MAX &&
           words_next(&words, &seconds) == WORDS_FOUND &&
           words_next(&words, &changes) == WORDS_FOUND) {
        struct save_point *point = &saver->points[saver->point_count];
        if (number_read(seconds, &point->seconds) && number_read(changes, &point->changes))
            saver->point_count++;
    }
}

void saver_configure(struct saver *saver) {
    pthread_mutex_lock(&saver->lock);
    read_points_locked(saver);
    settle_gate_locked(saver);
    pthread_mutex_unlock(&saver->lock);
}

bool saver_has_points(struct saver *saver) {
    pthread_mutex_lock(&saver->lock);
    bool has_points = saver->point_count != 0;
    pthread_mutex_unlock(&saver->lock);
    return has_points;
}

/* What is loaded by now is less than the file has that a save would replace. */
static bool is_reached_locked(const struct saver *saver, int64_t now_ms) {
    if (saver->point_count == 0 || saver->claim != SAVER_FREE) return false;
    if (gate_is_closed(saver->server, GATE_LOADING)) return false;
    uint64_t changes = saver_changes(saver);
    int64_t elapsed_ms = now_ms - LOAD(saver->saved_ms);
    for (uint32_t i = 0; i < saver->point_count; i++) {
        const struct save_point *point = &saver->points[i];
        if (changes < (uint64_t)point->changes || elapsed_ms <= point->seconds * 1000) continue;
        if (!LOAD(saver->is_sound) && now_ms - LOAD(saver->begun_ms) <= RETRY_MS) continue;
        log_notice("%lld changes in %lld seconds. Saving...", (long long)point->changes,
                   (long long)point->seconds);
        return true;
    }
    return false;
}

void saver_tick(struct saver *saver, int64_t now_ms) {
    if (LOAD(saver->is_saving)) return;
    pthread_mutex_lock(&saver->lock);
    bool is_reached = is_reached_locked(saver, now_ms);
    pthread_mutex_unlock(&saver->lock);
    if (!is_reached) return;
    char error[SAVER_ERROR_MAX]; /* is in the log */
    enum status status = saver_start(saver, error);
    (void)status; /* begun by a client in this moment, or refused, which is logged */
}

/* ---- Lifetime -------------------------------------------------------------------------------- */

void saver_init(struct saver *saver, struct server *server) {
    saver->server = server;
    pthread_mutex_init(&saver->lock, NULL);
    pthread_cond_init(&saver->has_ended, NULL);
    STORE(saver->is_sound, true);
    STORE(saver->saved_ms, server->started_ms);
    STORE(saver->last_s, -1);
    uint32_t removed = rdb_file_remove_stale(server->config->dbfilename); /* nobody sets it yet */
    if (removed != 0)
        log_notice("Removed %u unfinished snapshot%s that killed servers left behind", removed,
                   removed == 1 ? "" : "s");
    saver_configure(saver);
}

void saver_release(struct saver *saver) {
    pthread_mutex_lock(&saver->lock);
    cancel_locked(saver);
    pthread_mutex_unlock(&saver->lock);
    pthread_cond_destroy(&saver->has_ended);
    pthread_mutex_destroy(&saver->lock);
}
