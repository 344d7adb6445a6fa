/* One thread reads the file, sums it up and finds where items begin; others decode and put.
 *
 *      file ─▶ block ─▶ scan: whole items? ─▶ queue (bounded) ─▶ inserter 0 … n-1: decode, hash, lock a shard, put
 *                 ▲                │
 *                 └── the rest ◀───┘  an item that isn't whole goes on in the next block, which grows if it must
 *
 * Finding where a key ends takes some ten nanoseconds, putting it several hundred: so one scanner feeds many. A
 * block says which database it begins in, and can be worked on without its neighbours.
 *
 * Nothing is half loaded: the checksum comes at the file's end, so what was put before it is only served once it fits;
 * until then the gate is closed, and a server that finds the file torn or damaged says where, and ends.
 *
 * Memory: the store (within its limit, if the policy evicts), and BLOCKS_WAITING blocks a thread of LOADER_BLOCK_BYTES, or as long as the longest value. */
#include "loader.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rdb_format.h"
#include "rdb_read.h"
#include "rdb_write.h"
#include "strangers.h"
#include "server/clock.h"
#include "server/cpus.h"
#include "server/gate.h"
#include "server/limit.h"
#include "server/log.h"
#include "server/server.h"
#include "server/signals.h"
#include "shards/base/check.h"
#include "shards/base/memory.h"
#include "shards/place.h"

enum {
    BLOCKS_WAITING = 4, /* a thread */
    THREADS_MAX = 32,
    NAME_SHOWN_MAX = STRANGER_NAME_MAX, /* bytes of a key in an error */
    ERROR_MAX = 512,
    STRANGERS_TEXT_MAX = 640,
    PROGRESS_MS = 2000, /* between lines in the log */
    STALL_MS = 30000,   /* without a byte from a pipe */
    LOOK_MS = 100,      /* between two looks for a signal meanwhile */
};

struct block {
    struct block *next;
    uint64_t offset;   /* in the file */
    uint32_t database; /* of its first key */
    size_t size, capacity;
    char data[];
};

/* What the threads share. */
struct loading {
    struct server *server;
    struct loader *loader;
    size_t block_bytes; /* unless an item is longer */
    int64_t now_ms;     /* what expired before is passed over */
    bool passes_over;   /* types that we lack */
    pthread_mutex_t lock;
    pthread_cond_t has_changed;
    struct block *first, *last; /* waiting: a list; lock */
    uint32_t waiting, waiting_max;
    bool is_complete;           /* no more blocks come; lock */
    _Atomic bool has_failed;    /* set with the lock; read without */
    char error[ERROR_MAX];      /* the first; lock */
    struct strangers strangers; /* lock */
    uint32_t thread_count;
    pthread_t threads[THREADS_MAX];
};

/* ---- Failing --------------------------------------------------------------------------------- */

static bool has_failed(const struct loading *loading) {
    return atomic_load_explicit(&loading->has_failed, memory_order_relaxed);
}

__attribute__((format(printf, 2, 3))) static void fail(struct loading *loading, const char *format,
                                                       ...) {
    va_list values;
    va_start(values, format);
    pthread_mutex_lock(&loading->lock);
    if (!has_failed(loading)) {
        vsnprintf(loading->error, sizeof(loading->error), format, values);
    }
    atomic_store_explicit(&loading->has_failed, true, memory_order_relaxed);
    pthread_cond_broadcast(&loading->has_changed);
    pthread_mutex_unlock(&loading->lock);
    va_end(values);
}

/* A key for an error, what can't be printed as dots. */
static void show_name(const struct rdb_string *name, char out[NAME_SHOWN_MAX + 1]) {
    char *text = memory_allocate(name->size + 1);
    size_t size = 0;
    if (text != NULL && rdb_string_decode(name, text)) {
        for (; size < name->size && size < NAME_SHOWN_MAX; size++) {
            out[size] = text[size] >= ' ' && text[size] <= '~' ? text[size] : '.';
        }
    }
    out[size] = 0;
    memory_free(text);
}

/* ---- The queue ------------------------------------------------------------------------------- */

/* Waits for room. The block is the queue's, also when all has failed. */
static void submit(struct loading *loading, struct block *block) {
    pthread_mutex_lock(&loading->lock);
    while (loading->waiting == loading->waiting_max && !has_failed(loading)) {
        pthread_cond_wait(&loading->has_changed, &loading->lock);
    }
    block->next = NULL;
    if (loading->first == NULL) {
        loading->first = block;
    } else {
        loading->last->next = block;
    }
    loading->last = block;
    loading->waiting++;
    pthread_cond_broadcast(&loading->has_changed);
    pthread_mutex_unlock(&loading->lock);
}

/* NULL when no more come. */
static struct block *await_block(struct loading *loading) {
    pthread_mutex_lock(&loading->lock);
    while (loading->first == NULL && !loading->is_complete) {
        pthread_cond_wait(&loading->has_changed, &loading->lock);
    }
    struct block *block = loading->first;
    if (block != NULL) {
        loading->first = block->next;
        loading->waiting--;
        pthread_cond_broadcast(&loading->has_changed);
    }
    pthread_mutex_unlock(&loading->lock);
    return block;
}

/* ---- Putting --------------------------------------------------------------------------------- */

/* An inserter's own memory for names that don't lie plainly in the file. */
struct inserter {
    struct loading *loading;
    char *name;
    size_t name_capacity;
};

static bool decode_name(struct inserter *inserter, const struct rdb_string *string,
                        struct bytes *name) {
    *name = string->bytes;
    if (string->form == RDB_PLAIN) return true;
    if (string->size > inserter->name_capacity) {
        char *grown = memory_resize(inserter->name, string->size);
        if (grown == NULL) return false;
        inserter->name = grown;
        inserter->name_capacity = string->size;
    }
    *name = bytes_of(inserter->name, string->size);
    return rdb_string_decode(string, inserter->name);
}

/* A file may hold more than the limit: who the policy wants goes on the way. Where it wants nobody, all is loaded. */
static void lock_with_room(struct shards *shards, struct shard *shard, int64_t now_ms) {
    rwlock_write_lock(&shard->lock);
    uint32_t policy = atomic_load_explicit(&shards->eviction.policy, memory_order_relaxed);
    if (!eviction_policy_evicts(policy) ||
        room_make(shard, now_ms, LIMIT_VICTIMS, &shards->reclaimer))
        return;
    rwlock_write_unlock(&shard->lock);
    (void)shards_relieve(shards, shard->index, now_ms, LIMIT_VICTIMS);
    rwlock_write_lock(&shard->lock);
}

static enum status put_decoded(struct shards *shards, uint32_t database, struct bytes name,
                               const struct entry_content *content, int64_t deadline_ms,
                               int64_t now_ms) {
    struct shard *shard = shards_of(shards, name);
    struct place place = {
        .reclaimer = &shards->reclaimer, .key = shards_key(shards, name), .now_ms = now_ms};
    lock_with_room(shards, shard, now_ms);
    place.database = shard_database(shard, database);
    place.entry = database_find(place.database, &place.key, now_ms); /* nobody watches yet */
    enum status status = STATUS_REFUSED;                             /* it is there already */
    if (place.entry == NULL) status = place_put(&place, content, deadline_ms);
    rwlock_write_unlock(&shard->lock);
    return status;
}

/* A long value is decoded right into what will hold it. STATUS_FAILED: it is damaged. */
static enum status put(struct inserter *inserter, const struct rdb_item *item, uint32_t database) {
    struct shards *shards = &inserter->loading->server->shards;
    struct entry_content content = {.type = ENTRY_STRING};
    char text[SLABS_OBJECT_MAX];
    struct bytes name;
    int64_t deadline_ms =
        item->deadline_ms == RDB_NO_DEADLINE ? ENTRY_NO_EXPIRY : item->deadline_ms;
    if (!decode_name(inserter, &item->key, &name)) return STATUS_FAILED;
    if (item->value.size > sizeof(text)) {
        content.blob = blob_create(item->value.size, item->value.size);
        if (content.blob == NULL) return STATUS_NO_MEMORY;
    }
    bool is_sound =
        rdb_string_decode(&item->value, content.blob != NULL ? content.blob->data : text);
    content.value = content.blob != NULL ? BYTES("") : bytes_of(text, item->value.size);
    enum status status = STATUS_FAILED;
    if (is_sound) {
        status =
            put_decoded(shards, database, name, &content, deadline_ms, inserter->loading->now_ms);
    }
    if (status != STATUS_OK && content.blob != NULL) blob_release(content.blob);
    return status;
}

static void insert(struct inserter *inserter, const struct rdb_item *item, uint32_t database,
                   uint64_t offset) {
    struct loading *loading = inserter->loading;
    if (item->deadline_ms != RDB_NO_DEADLINE && item->deadline_ms <= loading->now_ms) {
        atomic_fetch_add_explicit(&loading->loader->expired, 1, memory_order_relaxed);
        return;
    }
    enum status status = put(inserter, item, database);
    char name[NAME_SHOWN_MAX + 1];
    if (status == STATUS_OK) {
        atomic_fetch_add_explicit(&loading->loader->keys, 1, memory_order_relaxed);
        return;
    }
    show_name(&item->key, name);
    if (status == STATUS_REFUSED) {
        fail(loading, "has the key '%s' twice, again at byte %llu", name,
             (unsigned long long)offset);
    } else if (status == STATUS_FAILED) {
        fail(loading, "is damaged at byte %llu: the compressed string of the key '%s'",
             (unsigned long long)offset, name);
    } else {
        fail(loading, "can't be loaded: no memory for the key '%s'", name);
    }
}

static void pass_over(struct loading *loading, const struct rdb_item *item) {
    pthread_mutex_lock(&loading->lock);
    char *name = strangers_note(&loading->strangers, item->type, item->has_key);
    if (name != NULL) show_name(&item->key, name);
    pthread_mutex_unlock(&loading->lock);
}

static void meet_stranger(struct loading *loading, const struct rdb_item *item, uint64_t offset) {
    if (loading->passes_over) {
        pass_over(loading, item);
        return;
    }
    if (!item->has_key) {
        fail(loading,
             "holds a %s at byte %llu, and sherd has none; rdb-skip-unknown-types yes loads the "
             "rest",
             item->type, (unsigned long long)offset);
        return;
    }
    char name[NAME_SHOWN_MAX + 1];
    show_name(&item->key, name);
    fail(loading,
         "holds the key '%s' at byte %llu, a %s, which sherd doesn't have; rdb-skip-unknown-types "
         "yes loads the rest",
         name, (unsigned long long)offset, item->type);
}

static void insert_block(struct inserter *inserter, const struct block *block) {
    uint32_t database = block->database;
    for (size_t at = 0; at < block->size && !has_failed(inserter->loading);) {
        struct rdb_item item;
        const char *error;
        enum rdb_outcome outcome =
            rdb_read_item(bytes_of(block->data + at, block->size - at), &item, &error);
        check(outcome == RDB_WHOLE); /* the scanner saw that */
        if (item.kind == RDB_ITEM_DATABASE) database = (uint32_t)item.number;
        if (item.kind == RDB_ITEM_KEY) insert(inserter, &item, database, block->offset + at);
        if (item.kind == RDB_ITEM_STRANGER)
            meet_stranger(inserter->loading, &item, block->offset + at);
        at += item.size;
    }
}

static void *run_inserter(void *argument) {
    struct inserter inserter = {.loading = argument};
    struct block *block;
    while ((block = await_block(inserter.loading)) != NULL) {
        insert_block(&inserter, block);
        memory_free(block);
    }
    memory_free(inserter.name);
    return NULL;
}

/* ---- Scanning -------------------------------------------------------------------------------- */

struct scanner {
    struct loading *loading;
    int fd;
    int version;
    bool is_pipe;
    uint64_t file_bytes, read_bytes; /* of a pipe: unknown, until it ends */
    uint32_t database;               /* selected at the end of what was scanned */
    uint64_t checksum;               /* of what was scanned */
    bool has_ended;                  /* the end mark was met */
    int64_t told_ms;                 /* when the log last had a line */
    struct crc64 crc64;
};

static struct block *block_create(size_t capacity, uint64_t offset) {
    struct block *block = memory_allocate(sizeof(*block) + capacity);
    if (block != NULL) *block = (struct block){.offset = offset, .capacity = capacity};
    return block;
}

/* What comes through a pipe may stop coming. */
static bool await_more(struct scanner *scanner) {
    struct pollfd waiting = {.fd = scanner->fd, .events = POLLIN};
    for (int waited_ms = 0; waited_ms < STALL_MS && !signals_want_end(); waited_ms += LOOK_MS) {
        if (poll(&waiting, 1, LOOK_MS) > 0) return true;
    }
    fail(scanner->loading, "stops at byte %llu%s", (unsigned long long)scanner->read_bytes,
         signals_want_end() ? ": a signal to stop came" : "");
    return false;
}

/* Read until the block is full or the file at its end. */
static bool fill(struct scanner *scanner, struct block *block) {
    while (block->size < block->capacity && scanner->read_bytes < scanner->file_bytes) {
        if (scanner->is_pipe && !await_more(scanner)) return false;
        ssize_t size = read(scanner->fd, block->data + block->size, block->capacity - block->size);
        if (size < 0 && errno == EINTR) continue;
        if (size == 0 && scanner->is_pipe) {
            scanner->file_bytes = scanner->read_bytes;
            return true;
        }
        if (size <= 0) {
            fail(scanner->loading, "can't be read at byte %llu: %s",
                 (unsigned long long)scanner->read_bytes,
                 size < 0 ? strerror(errno) : "it has become shorter");
            return false;
        }
        block->size += (size_t)size;
        scanner->read_bytes += (uint64_t)size;
    }
    return true;
}

static bool select_database(struct scanner *scanner, uint64_t number, uint64_t offset) {
    uint32_t count = scanner->loading->server->shards.database_count;
    if (number >= count) {
        fail(scanner->loading,
             "has at byte %llu keys of database %llu, but there are %u (option databases)",
             (unsigned long long)offset, (unsigned long long)number, count);
        return false;
    }
    scanner->database = (uint32_t)number;
    return true;
}

/* How many bytes from `at` on are whole items; stops after the end mark. */
static size_t scan(struct scanner *scanner, const struct block *block, size_t at) {
    size_t start = at;
    while (!scanner->has_ended) {
        struct rdb_item item;
        const char *error;
        struct bytes rest = bytes_of(block->data + at, block->size - at);
        enum rdb_outcome outcome = rdb_read_item(rest, &item, &error);
        if (outcome == RDB_INCOMPLETE) {
            /* A damaged length may ask for more than there is: it is not waited for. */
            if (item.size > scanner->file_bytes - (block->offset + at)) {
                fail(scanner->loading,
                     "is torn or damaged: the item at byte %llu goes on beyond its end",
                     (unsigned long long)(block->offset + at));
            }
            break;
        }
        if (outcome == RDB_INVALID) {
            fail(scanner->loading, "is damaged at byte %llu: %s",
                 (unsigned long long)(block->offset + at), error);
            break;
        }
        if (item.kind == RDB_ITEM_DATABASE &&
            !select_database(scanner, item.number, block->offset + at))
            break;
        scanner->has_ended = item.kind == RDB_ITEM_END;
        at += item.size;
    }
    scanner->checksum =
        crc64_update(&scanner->crc64, scanner->checksum, bytes_of(block->data + start, at - start));
    return at;
}

/* A block that begins with what `block` has from `at` on; larger when a whole one had not one whole item. */
static struct block *next_block(struct scanner *scanner, const struct block *block, size_t at) {
    size_t rest = block->size - at;
    size_t block_bytes = scanner->loading->block_bytes;
    size_t capacity = rest * 2 > block_bytes ? rest * 2 : block_bytes;
    struct block *next = block_create(capacity, block->offset + at);
    if (next == NULL) {
        fail(scanner->loading, "can't be read: no memory for %zu bytes of it", capacity);
        return NULL;
    }
    memcpy(next->data, block->data + at, rest);
    next->size = rest;
    next->database = scanner->database;
    return next;
}

static void tell_progress(struct scanner *scanner, uint64_t scanned) {
    struct loader *loader = scanner->loading->loader;
    atomic_store_explicit(&loader->loaded_bytes, scanned, memory_order_relaxed);
    int64_t now_ms = clock_unix_ms();
    if (now_ms - scanner->told_ms < PROGRESS_MS) return;
    scanner->told_ms = now_ms;
    if (scanner->is_pipe) {
        log_notice("Taking over: %llu bytes, %llu keys so far", (unsigned long long)scanned,
                   (unsigned long long)atomic_load_explicit(&loader->keys, memory_order_relaxed));
        return;
    }
    log_notice("Loading: %.0f %% of %llu bytes, %llu keys so far",
               (double)scanned * 100 / (double)scanner->file_bytes,
               (unsigned long long)scanner->file_bytes,
               (unsigned long long)atomic_load_explicit(&loader->keys, memory_order_relaxed));
}

/* What follows the end mark: the checksum. */
static void check_sum(struct scanner *scanner, const struct block *block, size_t at) {
    if (scanner->version < RDB_VERSION_CHECKSUM) return;
    if (block->size - at < RDB_CHECKSUM_BYTES) {
        fail(scanner->loading, "is torn: it ends within its checksum");
        return;
    }
    uint64_t told = rdb_read_checksum(block->data + at);
    if (told == 0 || told == scanner->checksum) return;
    fail(scanner->loading, "is damaged: its checksum is %016llx, that of what it holds %016llx",
         (unsigned long long)told, (unsigned long long)scanner->checksum);
}

static bool is_known(int version) {
    return (version >= 1 && version <= RDB_VERSION_READ_MAX) || version == RDB_VERSION_VALKEY;
}

static bool read_head(struct scanner *scanner, const struct block *block) {
    enum rdb_outcome outcome = rdb_read_head(bytes_of(block->data, block->size), &scanner->version);
    if (outcome == RDB_WHOLE && is_known(scanner->version)) {
        scanner->checksum =
            crc64_update(&scanner->crc64, 0, bytes_of(block->data, RDB_MAGIC_BYTES));
        return true;
    }
    if (outcome == RDB_WHOLE) {
        fail(scanner->loading, "has the RDB version %d, sherd reads those up to %d, and %d",
             scanner->version, RDB_VERSION_READ_MAX, RDB_VERSION_VALKEY);
    } else if (outcome == RDB_INCOMPLETE) {
        fail(scanner->loading, "is torn: it has only %zu bytes", block->size);
    } else {
        fail(scanner->loading,
             "is no RDB file: it does not begin with REDIS or VALKEY and a version");
    }
    return false;
}

/* Takes the first block over. False when told to stop. */
static bool scan_all(struct scanner *scanner, struct block *block) {
    struct loading *loading = scanner->loading;
    size_t start = RDB_MAGIC_BYTES;
    while (block != NULL && !has_failed(loading)) {
        if (signals_want_end()) break;
        size_t whole = scan(scanner, block, start);
        tell_progress(scanner, block->offset + whole);
        if (has_failed(loading)) break;
        bool is_last = scanner->read_bytes == scanner->file_bytes;
        /* Room for the checksum, too, behind the end mark. */
        bool has_all = scanner->has_ended && (is_last || block->size - whole >= RDB_CHECKSUM_BYTES);
        if (has_all) check_sum(scanner, block, whole);
        struct block *next =
            has_all || has_failed(loading) ? NULL : next_block(scanner, block, whole);
        memmove(block->data, block->data + start, whole - start);
        block->offset += start;
        block->size = whole - start;
        submit(loading, block);
        block = next;
        start = 0;
        if (has_all) return true;
        if (block != NULL && !fill(scanner, block)) break;
    }
    memory_free(block);
    return has_failed(loading) || !signals_want_end();
}

/* ---- The whole ------------------------------------------------------------------------------- */

static void start_threads(struct loading *loading) {
    uint32_t wanted = cpus_allowed();
    if (wanted > THREADS_MAX) wanted = THREADS_MAX;
    while (loading->thread_count < wanted &&
           pthread_create(&loading->threads[loading->thread_count], NULL, run_inserter, loading) ==
               0) {
        loading->thread_count++;
    }
    loading->waiting_max = BLOCKS_WAITING * loading->thread_count;
    if (loading->thread_count == 0) fail(loading, "can't be read: the system has no thread for it");
}

/* When every block is taken, or all has failed. */
static void finish_threads(struct loading *loading) {
    pthread_mutex_lock(&loading->lock);
    loading->is_complete = true;
    pthread_cond_broadcast(&loading->has_changed);
    pthread_mutex_unlock(&loading->lock);
    for (uint32_t i = 0; i < loading->thread_count; i++) {
        pthread_join(loading->threads[i], NULL);
    }
}

static bool open_file(struct scanner *scanner, const char *name) {
    struct stat about;
    if (scanner->is_pipe) {
        scanner->file_bytes = UINT64_MAX;
        return true;
    }
    scanner->fd =
        open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO would wait for its writer */
    if (scanner->fd < 0 || fstat(scanner->fd, &about) != 0) {
        fail(scanner->loading, "can't be opened: %s", strerror(errno));
        return false;
    }
    if (!S_ISREG(about.st_mode)) {
        fail(scanner->loading, "is no plain file");
        return false;
    }
    scanner->file_bytes = (uint64_t)about.st_size;
    atomic_store_explicit(&scanner->loading->loader->total_bytes, scanner->file_bytes,
                          memory_order_relaxed);
    return true;
}

/* The file of this name, or, when `pipe_fd` isn't -1, what comes from there. False when told to stop. */
static bool load(struct loading *loading, const char *name, int pipe_fd) {
    struct scanner scanner = {
        .loading = loading, .fd = pipe_fd, .is_pipe = pipe_fd >= 0, .told_ms = loading->now_ms};
    crc64_init(&scanner.crc64);
    bool is_through = true;
    struct block *block = block_create(loading->block_bytes, 0);
    if (block == NULL) fail(loading, "can't be read: no memory");
    if (block != NULL && open_file(&scanner, name) && fill(&scanner, block) &&
        read_head(&scanner, block)) {
        start_threads(loading);
        if (!has_failed(loading)) {
            is_through = scan_all(&scanner, block);
            block = NULL;
        }
        finish_threads(loading);
    }
    memory_free(block);
    if (scanner.fd >= 0 && !scanner.is_pipe) close(scanner.fd);
    return is_through;
}

static void tell_strangers(const struct loading *loading, const char *name) {
    const struct strangers *strangers = &loading->strangers;
    char what[STRANGERS_TEXT_MAX];
    if (strangers->count == 0) return;
    strangers_describe(strangers, what, sizeof(what));
    log_warning("Passed over what sherd has no type for (rdb-skip-unknown-types), %llu in all: %s. "
                "The next save will not have them: keep a copy of %s",
                (unsigned long long)strangers->count, what, name);
}

/* Under a policy that evicts nobody all is loaded, whatever the limit; but then nothing more is taken. */
static void tell_full(const struct server *server) {
    const struct eviction_rules *rules = &server->shards.eviction;
    int64_t limit = atomic_load_explicit(&rules->limit_bytes, memory_order_relaxed);
    int64_t used = (int64_t)memory_used();
    uint32_t policy = atomic_load_explicit(&rules->policy, memory_order_relaxed);
    if (limit == 0 || used <= limit || eviction_policy_evicts(policy)) return;
    log_warning("What was loaded takes %lld KiB, maxmemory is %lld KiB, and maxmemory-policy is "
                "noeviction: every command that needs memory will be refused (OOM), until there is "
                "a higher limit, a policy that evicts, or less to keep",
                (long long)(used / 1024), (long long)(limit / 1024));
}

static void tell_end(const struct loading *loading, const char *name, const char *what) {
    const struct loader *loader = loading->loader;
    tell_strangers(loading, name);
    log_notice("%s: %llu keys, %llu expired ones left out, %.3f seconds", what,
               (unsigned long long)atomic_load_explicit(&loader->keys, memory_order_relaxed),
               (unsigned long long)atomic_load_explicit(&loader->expired, memory_order_relaxed),
               (double)(clock_unix_ms() - loading->now_ms) / 1000);
    tell_full(loading->server);
}

void loader_prepare(struct server *server, bool takes_over) {
    /* What can't be looked at is no reason to begin without: loading tells why. */
    bool has_file = access(server->config->dbfilename, F_OK) == 0 || errno != ENOENT;
    if (!has_file && !takes_over) return;
    atomic_store_explicit(&server->loader.started_ms, clock_unix_ms(), memory_order_relaxed);
    gate_close(server, GATE_LOADING);
}

static enum status run(struct server *server, int pipe_fd, size_t block_bytes) {
    struct loader *loader = &server->loader;
    char name[CONFIG_TEXT_MAX]; /* a client may change it meanwhile */
    config_copy_text(server->config, server->config->dbfilename, name);
    struct loading loading = {
        .server = server,
        .loader = loader,
        .block_bytes = block_bytes,
        .now_ms = clock_unix_ms(),
        .passes_over = config_number(&server->config->rdb_skip_unknown_types) != 0,
    };
    pthread_mutex_init(&loading.lock, NULL);
    pthread_cond_init(&loading.has_changed, NULL);
    bool is_through = load(&loading, name, pipe_fd);
    enum status status = is_through ? STATUS_OK : STATUS_REFUSED;
    if (has_failed(&loading) && pipe_fd >= 0) {
        log_warning("What the running server hands over %s", loading.error);
        status = STATUS_FAILED;
    } else if (has_failed(&loading)) {
        log_warning("The file %s/%s %s; it is left as it is: put a sound one in its place, or, to "
                    "start without its keys, move it away",
                    server->config->dir, name, loading.error);
        status = STATUS_FAILED;
    } else if (is_through) {
        tell_end(&loading, name, pipe_fd >= 0 ? "Taken over" : "DB loaded from disk");
    } else if (pipe_fd < 0) {
        log_notice("Loading was given up, for a signal to stop came; the file %s/%s is untouched",
                   server->config->dir, name);
    }
    pthread_cond_destroy(&loading.has_changed);
    pthread_mutex_destroy(&loading.lock);
    return status;
}

enum status loader_run(struct server *server, size_t block_bytes) {
    enum status status = run(server, -1, block_bytes);
    if (status == STATUS_OK) gate_open(server, GATE_LOADING);
    return status;
}

enum status loader_take(struct server *server, int fd) {
    return run(server, fd, LOADER_BLOCK_BYTES);
}
