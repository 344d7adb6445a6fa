/* A writer that outruns a save: what is kept for its sake is bounded, the writer waits and goes on, nothing is
 * lost, and the file is of one instant all the same.
 *
 * Values are large and can't be compressed, though it is tried, so that the save is slow; and a write to a
 * bucket that the save has not seen keeps all its values. So the bound is reached after some dozens of writes.
 * The writer puts consecutive numbers into its keys, one after the other: at every instant they hold the last so
 * many numbers. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/persistence/saver.h"
#include "shards/base/random.h"
#include "tests/support/client.h"
#include "tests/support/dump.h"
#include "tests/support/folder.h"
#include "tests/support/server.h"
#include "tests/support/wire.h"

enum {
    KEYS = 1600,
    VALUE_BYTES = 128 * 1024,
    NUMBER_BYTES = 20,
    /* What one write may keep, a bucket with all its values, and some more: each worker may have one under way. */
    BEYOND_BYTES = 16 * 1024 * 1024,
    PATH_BYTES = 96,
};

struct writer {
    redisContext *client;
    uint64_t next; /* number */
    bool has_failed;
    _Atomic bool is_over;
    pthread_t thread;
};

static char noise[VALUE_BYTES + 1];

static void put_number(char value[VALUE_BYTES + 1], uint64_t number) {
    char digits[NUMBER_BYTES + 1];
    snprintf(digits, sizeof digits, "%020llu", (unsigned long long)number);
    memcpy(value, noise, VALUE_BYTES);
    memcpy(value, digits, NUMBER_BYTES);
}

static void write_next(struct writer *writer) {
    static char value[VALUE_BYTES + 1];
    put_number(value, writer->next);
    writer->has_failed |=
        !hiredis_ask_status(writer->client, "OK", "SET key:%u %b", (unsigned)(writer->next % KEYS),
                            value, (size_t)VALUE_BYTES);
    writer->next++;
}

static void *write_on(void *argument) {
    struct writer *writer = argument;
    while (!writer->has_failed && !atomic_load(&writer->is_over)) {
        write_next(writer);
    }
    return NULL;
}

struct found {
    uint64_t keys, last;
    uint64_t numbers[KEYS];
};

static void look_at(void *context, const struct rdb_item *item, uint64_t database) {
    struct found *found = context;
    static char value[VALUE_BYTES + 1], expected[VALUE_BYTES + 1];
    char name[32] = {0};
    unsigned key;
    if (item->kind != RDB_ITEM_KEY) return;
    assert_int_equal(database, 0);
    assert_true(item->key.size < sizeof name && item->value.size == VALUE_BYTES);
    assert_true(rdb_string_decode(&item->key, name) && rdb_string_decode(&item->value, value));
    assert_true(sscanf(name, "key:%u", &key) == 1 && key < KEYS);
    assert_int_equal(sscanf(value, "%20llu", (unsigned long long *)&found->numbers[key]), 1);
    put_number(expected, found->numbers[key]);
    assert_memory_equal(value, expected, VALUE_BYTES);
    if (found->numbers[key] > found->last) found->last = found->numbers[key];
    found->keys++;
}

/* The last KEYS numbers, each in its key. */
static void expect_one_instant(const char *path, uint64_t first, uint64_t end) {
    static struct found found;
    dump_visit(path, look_at, &found);
    assert_int_equal(found.keys, KEYS);
    assert_in_range(found.last, first, end - 1);
    for (uint64_t i = 0; i < KEYS; i++) {
        assert_int_equal(found.numbers[(found.last - i) % KEYS], found.last - i);
    }
}

static void expect_nothing_lost(struct writer *writer) {
    for (uint64_t i = 1; i <= KEYS; i++) {
        uint64_t number = writer->next - i;
        redisReply *reply = redisCommand(writer->client, "GETRANGE key:%u 0 %d",
                                         (unsigned)(number % KEYS), NUMBER_BYTES - 1);
        assert_non_null(reply);
        assert_int_equal(reply->type, REDIS_REPLY_STRING);
        assert_int_equal(strtoull(reply->str, NULL, 10), number);
        freeReplyObject(reply);
    }
}

static void fill_noise(void) {
    struct random random;
    random_init(&random, 1);
    for (size_t i = 0; i < VALUE_BYTES; i++) {
        noise[i] = (char)random_next(&random);
    }
}

/* Save beside the writer, reading all the while; returns the bytes that were kept at most. */
static long long save_beside(struct writer *writer, struct wire *wire) {
    assert_int_equal(pthread_create(&writer->thread, NULL, write_on, writer), 0);
    wire_expect(wire, "BGSAVE", "+Background saving started");
    while (wire_ask_field(wire, "INFO persistence", "rdb_bgsave_in_progress") != 0) {
        wire_expect(wire, "STRLEN key:7", ":131072"); /* readers don't wait */
    }
    atomic_store(&writer->is_over, true);
    assert_int_equal(pthread_join(writer->thread, NULL), 0);
    assert_false(writer->has_failed);
    return wire_ask_field(wire, "INFO persistence", "rdb_last_cow_size");
}

static void a_writer_that_outruns_a_save_waits_for_it(void **state) {
    (void)state;
    char folder[PATH_BYTES / 2], path[PATH_BYTES];
    snprintf(folder, sizeof folder, "%s/sherd-behind-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/dump.rdb", folder);
    const char *const options[] = {"--dir", folder, "--workers", "2", NULL};
    struct test_server *server = test_server_start(options);
    struct wire *wire = wire_connect(server);
    struct writer writer = {.client = hiredis_expect_open(server)};
    fill_noise();
    while (writer.next < KEYS) {
        write_next(&writer);
    }
    uint64_t first = writer.next - 1;
    long long kept = save_beside(&writer, wire);
    print_message("%lld bytes were kept at most, %llu values written meanwhile\n", kept,
                  (unsigned long long)(writer.next - 1 - first));
    assert_in_range(kept, SAVER_BEHIND_BYTES, SAVER_BEHIND_BYTES + BEYOND_BYTES);
    expect_nothing_lost(&writer);
    expect_one_instant(path, first, writer.next);
    redisFree(writer.client);
    wire_close(wire);
    test_server_stop(server);
    assert_int_equal(folder_remove(folder), 0);
}

int main(void) {
    test_server_require();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_writer_that_outruns_a_save_waits_for_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
