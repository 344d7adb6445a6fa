/* kill -9 at random moments of a save under writers: what is in the place of the snapshot is a whole file,
 * always: the old one, or the new one.
 *
 * A writer puts the numbers 0, 1, 2, … into its keys, one key after the other, over and over. So at every
 * instant its keys hold consecutive numbers, and a file that is torn, mixed of two, or of more than one instant
 * does not. Which file it is, the last number tells: it is the old one's, or one that was sent since, and no
 * less than what was acknowledged before the save.
 *
 * Each round's server begins with what the last one left. The moment is drawn from a span that begins before the
 * save and follows what is found, longer after an old file and shorter after a new one: about half are new,
 * however fast the machine is.
 *
 *   SHERD_TEST_KILLS  how many rounds
 *   SHERD_TEST_SEED   the moments */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/models/model.h"
#include "tests/support/client.h"
#include "tests/support/dump.h"
#include "tests/support/folder.h"
#include "tests/support/server.h"
#include "tests/support/wire.h"

enum {
    ROUNDS = 1000,    /* unless told otherwise, */
    SECONDS_MAX = 25, /* and no more than this allows: sanitizers are slow, and some machines */
    WRITERS = 2,
    KEYS = 2000, /* of a writer */
    BATCH = 50,
    VALUE_BYTES = 100,
    SPAN_US = 10000, /* at first */
    SPAN_STEPS = 4,  /* a part of it that it changes by */
    PATH_BYTES = 96,
};

struct writer {
    unsigned index;
    uint64_t saved;        /* the last number in the file */
    _Atomic uint64_t sent; /* how many numbers: the last one is one less */
    _Atomic uint64_t acknowledged;
    redisContext *client;
    pthread_t thread;
};

struct kills {
    char folder[PATH_BYTES / 2], path[PATH_BYTES];
    struct random random;
    uint64_t span_us;
    struct writer writers[WRITERS];
    unsigned old, new, torn; /* files that were found, and temporary ones that lay about */
};

/* ---- Writers --------------------------------------------------------------------------------- */

static void value_of(uint64_t number, char value[VALUE_BYTES + 1]) {
    for (size_t at = 0; at < VALUE_BYTES; at += 20) {
        snprintf(value + at, 21, "%020llu", (unsigned long long)number);
    }
}

/* False when the server is gone. */
static bool write_batch(struct writer *writer) {
    char value[VALUE_BYTES + 1];
    uint64_t first = atomic_load(&writer->sent);
    atomic_store(&writer->sent, first + BATCH);
    for (uint64_t number = first; number < first + BATCH; number++) {
        value_of(number, value);
        redisAppendCommand(writer->client, "SET %u:%u %s", writer->index, (unsigned)(number % KEYS),
                           value);
    }
    for (int i = 0; i < BATCH; i++) {
        if (!hiredis_take(writer->client, REDIS_REPLY_STATUS)) return false;
    }
    atomic_store(&writer->acknowledged, first + BATCH);
    return true;
}

static void *write_on(void *argument) {
    while (write_batch(argument)) {
    }
    return NULL;
}

/* From where the file ends. */
static void start_writer(struct writer *writer, const struct test_server *server) {
    atomic_store(&writer->sent, writer->saved + 1);
    writer->client = hiredis_expect_open(server);
    assert_true(write_batch(writer));
    assert_int_equal(pthread_create(&writer->thread, NULL, write_on, writer), 0);
}

static void join_writer(struct writer *writer) {
    assert_int_equal(pthread_join(writer->thread, NULL), 0);
    redisFree(writer->client);
}

/* ---- What was found -------------------------------------------------------------------------- */

struct found {
    uint64_t keys[WRITERS], last[WRITERS];
    uint64_t numbers[WRITERS][KEYS];
};

static void look_at(void *context, const struct rdb_item *item, uint64_t database) {
    struct found *found = context;
    char name[32] = {0}, value[VALUE_BYTES + 1] = {0}, expected[VALUE_BYTES + 1];
    unsigned writer, key;
    if (item->kind != RDB_ITEM_KEY) return;
    assert_int_equal(database, 0);
    assert_true(item->key.size < sizeof name && item->value.size == VALUE_BYTES);
    assert_true(rdb_string_decode(&item->key, name) && rdb_string_decode(&item->value, value));
    assert_int_equal(sscanf(name, "%u:%u", &writer, &key), 2);
    assert_true(writer < WRITERS && key < KEYS);
    uint64_t number = strtoull(value + VALUE_BYTES - 20, NULL, 10);
    value_of(number, expected);
    assert_string_equal(value, expected);
    found->numbers[writer][key] = number;
    found->keys[writer]++;
    if (number > found->last[writer]) found->last[writer] = number;
}

/* The key of each number holds it, and the last number is of this one instant. */
static void expect_consecutive(const struct found *found, unsigned writer) {
    assert_int_equal(found->keys[writer], KEYS);
    for (uint64_t i = 0; i < KEYS; i++) {
        uint64_t number = found->last[writer] - i;
        assert_int_equal(found->numbers[writer][number % KEYS], number);
    }
}

/* True when the file is the one that `before` tells of, or later than that. */
static void expect_whole(struct kills *kills, const uint64_t acknowledged[WRITERS]) {
    static struct found found;
    memset(&found, 0, sizeof found);
    dump_visit(kills->path, look_at, &found);
    bool is_old = found.last[0] == kills->writers[0].saved;
    for (unsigned i = 0; i < WRITERS; i++) {
        struct writer *writer = &kills->writers[i];
        expect_consecutive(&found, i);
        if (is_old) {
            assert_int_equal(found.last[i], writer->saved);
        } else {
            assert_in_range(found.last[i], acknowledged[i] - 1, atomic_load(&writer->sent) - 1);
        }
        writer->saved = found.last[i];
    }
    kills->old += is_old;
    kills->new += !is_old;
    uint64_t step_us = kills->span_us / SPAN_STEPS + 1;
    kills->span_us += is_old ? step_us : -step_us;
}

/* A file that was being written lies there still; the next server would remove it, but we count. */
static bool remove_torn(const char *folder) {
    bool has_torn = false;
    char path[PATH_BYTES + 256];
    DIR *entries = opendir(folder);
    assert_non_null(entries);
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        if (strncmp(entry->d_name, "temp-", 5) != 0) continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        assert_int_equal(unlink(path), 0);
        has_torn = true;
    }
    closedir(entries);
    return has_torn;
}

/* ---- Rounds ---------------------------------------------------------------------------------- */

static struct test_server *start_in(const char *folder) {
    const char *const options[] = {"--dir", folder, "--databases", "1", NULL};
    return test_server_start(options);
}

static void save_and_kill(struct kills *kills) {
    struct test_server *server = start_in(kills->folder);
    struct wire *wire = wire_connect(server);
    wire_await(wire, "PING", "+PONG"); /* loaded */
    assert_int_equal(wire_ask_integer(wire, "DBSIZE"), WRITERS * KEYS);
    uint64_t acknowledged[WRITERS];
    for (unsigned i = 0; i < WRITERS; i++) {
        start_writer(&kills->writers[i], server);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        acknowledged[i] = atomic_load(&kills->writers[i].acknowledged);
    }
    wire_send_command(wire, "BGSAVE");
    usleep((useconds_t)random_below(&kills->random, kills->span_us)); /* the moment is the matter */
    assert_int_equal(kill(server->pid, SIGKILL), 0);
    for (unsigned i = 0; i < WRITERS; i++) {
        join_writer(&kills->writers[i]);
    }
    wire_close(wire);
    test_server_kill(server);
    unsigned new = kills->new;
    expect_whole(kills, acknowledged);
    bool has_torn = remove_torn(kills->folder);
    assert_false(has_torn && new != kills->new); /* it took the old one's place */
    kills->torn += has_torn;
}

/* The first file. */
static void write_first(struct kills *kills) {
    struct rdb_writer writer;
    char name[32], value[VALUE_BYTES + 1];
    dump_start(&writer, kills->path, false);
    rdb_write_selection(&writer, 0);
    for (unsigned i = 0; i < WRITERS * KEYS; i++) {
        int size = snprintf(name, sizeof name, "%u:%u", i / KEYS, i % KEYS);
        value_of(i % KEYS, value);
        rdb_write_key(&writer, bytes_of(name, (size_t)size), bytes_of(value, VALUE_BYTES),
                      RDB_NO_DEADLINE);
    }
    dump_finish(&writer);
    for (unsigned i = 0; i < WRITERS; i++) {
        kills->writers[i] = (struct writer){.index = i, .saved = KEYS - 1};
    }
}

/* In memory where there is such a place: fsync may take any time on a busy disk, and killing a process loses nothing
 * that it wrote, synced or not. */
static void start_kills(struct kills *kills) {
    *kills = (struct kills){.span_us = SPAN_US};
    model_seed(&kills->random, "snapshot_kill");
    snprintf(kills->folder, sizeof kills->folder, "%s/sherd-kill-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(kills->folder));
    snprintf(kills->path, sizeof kills->path, "%s/dump.rdb", kills->folder);
    write_first(kills);
}

/* Redis has an opinion, too, where it is installed. */
static void expect_sound(const char *path) {
    char command[256];
    snprintf(command, sizeof command,
             "if command -v redis-check-rdb >/dev/null; then redis-check-rdb %s >/dev/null; fi",
             path);
    assert_int_equal(system(command), 0);
}

static void a_killed_server_leaves_a_whole_file(void **state) {
    (void)state;
    struct kills kills;
    const char *given = getenv("SHERD_TEST_KILLS");
    unsigned rounds = given != NULL ? (unsigned)strtoul(given, NULL, 10) : ROUNDS;
    time_t end = time(NULL) + SECONDS_MAX;
    start_kills(&kills);
    while (kills.old + kills.new < rounds && (given != NULL || time(NULL) < end)) {
        save_and_kill(&kills);
    }
    print_message("%u kills: the old file %u times, the new one %u times; %u times a torn one "
                  "beside it; within %llu us in the end\n",
                  kills.old + kills.new, kills.old, kills.new, kills.torn,
                  (unsigned long long)kills.span_us);
    assert_true(kills.old > 0 && kills.new > 0 && kills.torn > 0);
    expect_sound(kills.path);
    assert_int_equal(folder_remove(kills.folder), 0);
}

int main(void) {
    test_server_require();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_server_leaves_a_whole_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
