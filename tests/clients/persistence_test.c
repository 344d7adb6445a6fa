/* A warm restart: what is saved, when, and what is there again; and all that may go wrong with a file. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/client.h"
#include "tests/support/dump.h"
#include "tests/support/lease.h"
#include "tests/support/program.h"
#include "tests/support/server.h"
#include "tests/support/wire.h"

enum { VALUE_BYTES = 200000, PATH_BYTES = 128 };

/* ---- Folders and files ----------------------------------------------------------------------- */

/* In memory where there is such a place: on a busy disk fsync alone may take longer than a test waits. */
static int make_folder(void **state) {
    char *folder = strdup(access("/dev/shm", W_OK) == 0 ? "/dev/shm/sherd-rdb-XXXXXX"
                                                        : "/tmp/sherd-rdb-XXXXXX");
    assert_non_null(folder);
    assert_non_null(mkdtemp(folder));
    *state = folder;
    return 0;
}

static int remove_folder(void **state) {
    char command[PATH_BYTES];
    umount2(*state, MNT_DETACH); /* where a test failed with something mounted */
    snprintf(command, sizeof command, "rm -r '%s'", (char *)*state);
    assert_int_equal(system(command), 0);
    free(*state);
    return 0;
}

static const char *path_in(const char *folder, const char *name, char path[PATH_BYTES]) {
    snprintf(path, PATH_BYTES, "%s/%s", folder, name);
    return path;
}

static struct dump read_dump(const char *folder) {
    char path[PATH_BYTES];
    return dump_read(path_in(folder, "dump.rdb", path));
}

static void write_dump(const char *folder, const char *data, size_t size) {
    char path[PATH_BYTES];
    FILE *file = fopen(path_in(folder, "dump.rdb", path), "w");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static bool has_file(const char *folder, const char *name) {
    char path[PATH_BYTES];
    return access(path_in(folder, name, path), F_OK) == 0;
}

/* Nothing in the folder but, perhaps, the dump. */
static void expect_no_litter(const char *folder) {
    char command[PATH_BYTES];
    snprintf(command, sizeof command, "test -z \"$(ls '%s' | grep -v '^dump.rdb$')\"", folder);
    assert_int_equal(system(command), 0);
}

/* ---- Servers --------------------------------------------------------------------------------- */

static struct test_server *start_in(const char *folder, const char *option, const char *value) {
    const char *const options[] = {"--dir", folder, option, value, NULL};
    return test_server_start(options);
}

/* A busy machine and a sanitizer may take long. */
static void await_loaded(struct wire *wire) {
    enum { ATTEMPTS = 10000, PAUSE_US = 10000 };
    for (int i = 0; i < ATTEMPTS; i++) {
        char *reply = wire_ask(wire, "PING");
        bool is_loaded = strcmp(reply, "+PONG") == 0;
        free(reply);
        if (is_loaded) return;
        usleep(PAUSE_US);
    }
    fail_msg("the file isn't loaded yet");
}

/* A server that has to end by itself, with status 1 and this said. */
static void expect_refused(const char *folder, const char *reason) {
    char command[2 * PATH_BYTES];
    snprintf(command, sizeof command,
             "timeout 30 " SHERD_BINARY " --port 0 --unixsocket %s/socket --dir %s 2>&1", folder,
             folder);
    program_expect(command, 1, reason);
}

/* ---- What is saved is there again ------------------------------------------------------------ */

static void fill(struct test_server *server) {
    redisContext *client = hiredis_expect_open(server);
    char *large = malloc(VALUE_BYTES);
    assert_non_null(large);
    for (size_t i = 0; i < VALUE_BYTES; i++) {
        large[i] = (char)(i * i * 2654435761u >> 13);
    }
    hiredis_expect_status(client, "OK", "SET large %b", large, (size_t)VALUE_BYTES);
    hiredis_expect_status(client, "OK", "SET compressed %b", memset(large, 'x', 5000),
                          (size_t)5000);
    hiredis_expect_status(client, "OK", "SET number -123456");
    hiredis_expect_status(client, "OK", "SET %b %b", "\0\r\n", (size_t)3, "", (size_t)0);
    hiredis_expect_status(client, "OK", "SET soon gone PX 1");
    hiredis_expect_status(client, "OK", "SET later gone PXAT 4102444800123");
    hiredis_expect_status(client, "OK", "SELECT 9");
    hiredis_expect_status(client, "OK", "SET other database");
    free(large);
    redisFree(client);
}

static void expect_filled(struct test_server *server) {
    struct wire *wire = wire_connect(server);
    await_loaded(wire);
    wire_expect(wire, "DBSIZE", ":5");
    wire_expect(wire, "STRLEN large", ":200000");
    wire_expect(wire, "GETRANGE compressed 4990 -1", "\"xxxxxxxxxx\"");
    wire_expect(wire, "INCR number", ":-123455");
    wire_expect(wire, "GET \"\\x00\\r\\n\"", "\"\"");
    wire_expect(wire, "PEXPIRETIME later", ":4102444800123");
    wire_expect(wire, "EXISTS soon", ":0");
    wire_expect(wire, "SELECT 9", "+OK");
    wire_expect(wire, "GET other", "\"database\"");
    wire_close(wire);
}

static void what_save_wrote_is_there_after_a_restart(void **state) {
    struct test_server *server = start_in(*state, "--rdbcompression", "yes");
    fill(server);
    struct wire *wire = wire_connect(server);
    wire_await(wire, "EXISTS soon", ":0");
    assert_true(wire_ask_field(wire, "INFO persistence", "rdb_changes_since_last_save") >= 7);
    wire_expect(wire, "SAVE", "+OK");
    assert_int_equal(wire_ask_field(wire, "INFO persistence", "rdb_changes_since_last_save"), 0);
    assert_int_equal(wire_ask_field(wire, "INFO persistence", "rdb_saves"), 1);
    wire_expect(wire, "DEL large", ":1"); /* and not saved */
    wire_close(wire);
    test_server_stop(server);
    expect_no_litter(*state);
    server = start_in(*state, "--rdbcompression", "yes");
    expect_filled(server);
    test_server_stop(server);
}

static void bgsave_answers_at_once_and_tells_its_end(void **state) {
    struct test_server *server = start_in(*state, "--rdbchecksum", "no");
    fill(server);
    struct wire *wire = wire_connect(server);
    wire_await(wire, "EXISTS soon", ":0");
    wire_expect(wire, "BGSAVE", "+Background saving started");
    while (wire_ask_field(wire, "INFO persistence", "rdb_bgsave_in_progress") != 0) {
    }
    assert_true(wire_ask_field(wire, "INFO persistence", "rdb_last_bgsave_time_sec") >= 0);
    assert_true(wire_ask_integer(wire, "LASTSAVE") > 1700000000);
    wire_expect(wire, "BGSAVE SCHEDULE", "+Background saving started");
    wire_expect(wire, "BGSAVE now", "-ERR syntax error");
    wire_close(wire);
    test_server_stop(server); /* perhaps in the midst of it */
    server = start_in(*state, "--rdbchecksum", "no");
    expect_filled(server);
    test_server_stop(server);
}

static void the_end_saves_as_save_points_say(void **state) {
    struct test_server *server = start_in(*state, "--save", "3600 1");
    fill(server);
    test_server_stop(server); /* SIGTERM */
    assert_true(has_file(*state, "dump.rdb"));
    expect_no_litter(*state);
    server = start_in(*state, "--save", "");
    expect_filled(server); /* and changes it */
    test_server_stop(server);
    server = start_in(*state, "--save", "");
    expect_filled(server); /* not saved without save points */
    test_server_stop(server);
}

/* Ours is sent only to who has saved before: another's, mistaken for SIGUSR2 perhaps, is as good as SIGTERM. */
static void a_stray_signal_of_our_own_saves_too(void **state) {
    struct test_server *server = start_in(*state, "--save", "3600 1");
    fill(server);
    kill(server->pid, SIGUSR1);
    test_server_await_end(server);
    assert_true(has_file(*state, "dump.rdb"));
}

static void end_by(const char *folder, const char *save, const char *shutdown) {
    struct test_server *server = start_in(folder, "--save", save);
    struct wire *wire = wire_connect(server);
    wire_expect(wire, "SET key value", "+OK");
    wire_send_command(wire, shutdown);
    wire_expect_closed(wire);
    wire_close(wire);
    test_server_await_end(server);
}

static void shutdown_saves_when_it_is_told_to(void **state) {
    end_by(*state, "3600 1", "SHUTDOWN NOSAVE");
    assert_false(has_file(*state, "dump.rdb"));
    end_by(*state, "", "SHUTDOWN");
    assert_false(has_file(*state, "dump.rdb"));
    end_by(*state, "", "SHUTDOWN SAVE");
    assert_true(has_file(*state, "dump.rdb"));
    expect_no_litter(*state);
}

static long long increment_of(char *reply) {
    assert_int_equal(reply[0], ':');
    long long number = strtoll(reply + 1, NULL, 10);
    free(reply);
    return number;
}

/* As by a container's preStop hook, and then its end. The second comes while the first's last save holds writers. */
static void two_orders_to_stop_lose_no_write(void **state) {
    enum { HELD_MS = 20 };
    static const char increment[] = "INCR n\r\n";
    struct test_server *server = start_in(*state, "--save", "3600 1");
    struct wire *writer = wire_connect(server), *stopper = wire_connect(server);
    wire_set_many(stopper, 400); /* a save of them takes a while */
    long long count = 0;
    char *reply;
    wire_send_command(stopper, "SHUTDOWN");
    for (bool is_held = false;
         !is_held && wire_try_send(writer, increment, sizeof increment - 1);) {
        struct pollfd answer = {.fd = wire_fd(writer), .events = POLLIN};
        if (poll(&answer, 1, HELD_MS) == 0) break;
        if ((reply = wire_read_reply(writer)) == NULL) break; /* it was quicker than we */
        count = increment_of(reply);
    }
    kill(server->pid, SIGTERM);
    while ((reply = wire_read_reply(writer)) != NULL) {
        count = increment_of(reply);
        wire_try_send(writer, increment, sizeof increment - 1);
    }
    wire_close(writer);
    wire_close(stopper);
    test_server_await_end(server);
    server = start_in(*state, "--save", "");
    writer = wire_connect(server);
    await_loaded(writer);
    long long kept = strtoll(strpbrk((reply = wire_ask(writer, "GET n")), "0123456789"), NULL, 10);
    free(reply);
    assert_in_range(kept, count, count + 1); /* one may have been run whose reply was cut off */
    wire_close(writer);
    test_server_stop(server);
}

static void a_save_point_saves_by_itself(void **state) {
    struct test_server *server = start_in(*state, "--save", "1 3");
    struct wire *wire = wire_connect(server);
    wire_expect(wire, "MSET a 1 b 2", "+OK");
    wire_expect(wire, "SET c 3", "+OK");
    while (wire_ask_field(wire, "INFO persistence", "rdb_saves") == 0) {
        usleep(20000); /* a save point's time is in seconds */
    }
    while (wire_ask_field(wire, "INFO persistence", "rdb_bgsave_in_progress") != 0) {
    }
    assert_true(has_file(*state, "dump.rdb"));
    assert_int_equal(wire_ask_field(wire, "INFO persistence", "rdb_changes_since_last_save"), 0);
    wire_expect(wire, "FLUSHALL", "+OK");
    assert_int_equal(wire_ask_field(wire, "INFO persistence", "rdb_changes_since_last_save"), 3);
    wire_close(wire);
    test_server_stop(server);
}

/* ---- Large files ----------------------------------------------------------------------------- */

static void write_many(const char *folder, int keys) {
    char path[PATH_BYTES], name[32];
    struct rdb_writer writer;
    dump_start(&writer, path_in(folder, "dump.rdb", path), false);
    rdb_write_selection(&writer, 0);
    for (int i = 0; i < keys; i++) {
        struct bytes text = bytes_of(name, (size_t)snprintf(name, sizeof name, "key:%d", i));
        rdb_write_key(&writer, text, text, RDB_NO_DEADLINE);
    }
    dump_finish(&writer);
}

/* ---- One instant ----------------------------------------------------------------------------- */

/* Among keys enough that a save takes a while. */
enum { PAIRS = 2000, PAIR_WRITERS = 2, FILLERS = 300000 };

struct pair_writer {
    const struct test_server *server;
    _Atomic bool *is_over;
    unsigned seed;
    bool has_failed;
    pthread_t thread;
};

/* Both halves of a pair change in one command, so they are equal at every instant. */
static void *write_pairs(void *argument) {
    struct pair_writer *writer = argument;
    redisContext *client = hiredis_open(writer->server);
    while (client != NULL && !writer->has_failed && !atomic_load(writer->is_over)) {
        unsigned pair = (unsigned)rand_r(&writer->seed) % PAIRS;
        int value = rand_r(&writer->seed);
        writer->has_failed |=
            !hiredis_ask_status(client, "OK", "MSET a%u %d b%u %d", pair, value, pair, value);
    }
    writer->has_failed |= client == NULL;
    if (client != NULL) redisFree(client);
    return NULL;
}

static void expect_equal_pairs(const char *folder) {
    struct test_server *server = start_in(folder, "--databases", "16");
    struct wire *wire = wire_connect(server);
    await_loaded(wire);
    wire_close(wire);
    redisContext *client = hiredis_expect_open(server);
    for (unsigned pair = 0; pair < PAIRS; pair++) {
        redisReply *reply = redisCommand(client, "MGET a%u b%u", pair, pair);
        assert_non_null(reply);
        assert_int_equal(reply->elements, 2);
        assert_int_equal(reply->element[0]->type, reply->element[1]->type);
        if (reply->element[0]->type == REDIS_REPLY_STRING)
            assert_string_equal(reply->element[0]->str, reply->element[1]->str);
        freeReplyObject(reply);
    }
    redisFree(client);
    test_server_stop(server);
}

static void a_snapshot_under_writers_is_of_one_instant(void **state) {
    write_many(*state, FILLERS);
    struct test_server *server = start_in(*state, "--databases", "16");
    struct wire *wire = wire_connect(server);
    await_loaded(wire);
    _Atomic bool is_over = false;
    struct pair_writer writers[PAIR_WRITERS];
    for (unsigned i = 0; i < PAIR_WRITERS; i++) {
        writers[i] = (struct pair_writer){.server = server, .is_over = &is_over, .seed = i};
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_pairs, &writers[i]), 0);
    }
    while (wire_ask_integer(wire, "DBSIZE") < FILLERS + PAIRS) {
    }
    long long kept = 0;
    for (int i = 0; i < 5; i++) {
        wire_expect(wire, i % 2 == 0 ? "BGSAVE" : "SAVE",
                    i % 2 == 0 ? "+Background saving started" : "+OK");
        while (wire_ask_field(wire, "INFO persistence", "rdb_bgsave_in_progress") != 0) {
        }
        kept += wire_ask_field(wire, "INFO persistence", "rdb_last_cow_size");
    }
    assert_true(kept > 0); /* writers were in the way at all */
    atomic_store(&is_over, true);
    for (unsigned i = 0; i < PAIR_WRITERS; i++) {
        pthread_join(writers[i].thread, NULL);
        assert_false(writers[i].has_failed);
    }
    wire_close(wire);
    test_server_stop(server);
    expect_equal_pairs(*state);
}

/* ---- Loading --------------------------------------------------------------------------------- */

enum { LOADED_KEYS = 300000, STARTS = 10 };

/* Did a client come before the file was read? */
static bool is_told(struct test_server *server) {
    struct wire *wire = wire_connect(server);
    char *reply = wire_ask(wire, "SET key:7 x");
    bool is_loading = strcmp(reply, "-LOADING Redis is loading the dataset in memory") == 0;
    free(reply);
    char *info = wire_ask(wire, "INFO persistence");
    if (strstr(info, "loading:1") != NULL) assert_non_null(strstr(info, "loading_total_bytes:"));
    free(info);
    while (wire_ask_field(wire, "INFO persistence", "loading") != 0) {
    }
    wire_expect(wire, "PING", "+PONG"); /* INFO doesn't say so too early */
    if (is_loading) wire_expect(wire, "GET key:7", "\"key:7\"");
    wire_expect(wire, "DBSIZE", ":300000");
    assert_int_equal(wire_ask_field(wire, "INFO persistence", "rdb_last_load_keys_loaded"),
                     LOADED_KEYS);
    wire_close(wire);
    return is_loading;
}

/* It may be read before we come; not each time. */
static void a_client_is_told_while_the_file_is_read(void **state) {
    write_many(*state, LOADED_KEYS);
    bool was_told = false;
    for (int i = 0; i < STARTS && !was_told; i++) {
        struct test_server *server = start_in(*state, "--databases", "1");
        was_told = is_told(server);
        test_server_stop(server);
    }
    assert_true(was_told);
}

/* Stop a server at once; false: the file was read by then. */
static bool is_given_up(const char *folder) {
    char path[PATH_BYTES], log[PATH_BYTES], command[2 * PATH_BYTES];
    struct stat before, after;
    unlink(path_in(folder, "log", log));
    assert_int_equal(stat(path_in(folder, "dump.rdb", path), &before), 0);
    test_server_stop(start_in(folder, "--logfile", "log"));
    assert_int_equal(stat(path, &after), 0);
    snprintf(command, sizeof command, "cat %s", log);
    int exit_status;
    char *said = program_run(command, &exit_status);
    bool is_so = strstr(said, "Loading was given up, for a signal to stop came; the file ") != NULL;
    if (is_so) assert_null(strstr(said, "Ready to accept connections"));
    if (is_so) assert_int_equal(before.st_ino, after.st_ino);
    free(said);
    return is_so;
}

static void who_is_stopped_while_loading_does_not_say_it_is_ready(void **state) {
    write_many(*state, 4 * LOADED_KEYS);
    bool was_given_up = false;
    for (int i = 0; i < STARTS && !was_given_up; i++) {
        was_given_up = is_given_up(*state);
    }
    assert_true(was_given_up);
}

/* ---- Files that can't be loaded -------------------------------------------------------------- */

static void save_filled(const char *folder) {
    struct test_server *server = start_in(folder, "--rdbcompression", "yes");
    fill(server);
    struct wire *wire = wire_connect(server);
    wire_expect(wire, "SAVE", "+OK");
    wire_close(wire);
    test_server_stop(server);
}

/* 48 MiB of values for a limit of 24: what doesn't fit goes while the file is read, not afterwards. */
static void a_file_larger_than_the_limit_is_loaded_within_it(void **state) {
    enum { MIB = 1024 * 1024, LIMIT = 24 * MIB, KEYS = 48 * 1024, VALUE = 1024 };
    static char value[VALUE];
    memset(value, 'v', sizeof value);
    struct test_server *server = start_in(*state, NULL, NULL);
    redisContext *context = hiredis_expect_open(server);
    for (int i = 0; i < KEYS; i++) {
        redisAppendCommand(context, "SET key:%d %b", i, value, sizeof value);
        if (i % 256 != 255) continue;
        for (int j = 0; j < 256; j++) {
            assert_true(hiredis_take_any(context));
        }
    }
    hiredis_expect_status(context, "OK", "SAVE");
    redisFree(context);
    test_server_stop(server);
    const char *const options[] = {
        "--dir", *state, "--maxmemory", "24mb", "--maxmemory-policy", "allkeys-lru", NULL};
    server = test_server_start(options);
    struct wire *wire = wire_connect(server);
    await_loaded(wire);
    long long keys = wire_ask_integer(wire, "DBSIZE");
    assert_in_range(keys, LIMIT / 2 / VALUE, LIMIT / VALUE);
    assert_int_equal(wire_ask_field(wire, "INFO stats", "evicted_keys"), KEYS - keys);
    assert_in_range(wire_ask_field(wire, "INFO memory", "used_memory_peak"), 1, 2 * LIMIT);
    wire_close(wire);
    test_server_stop(server);
}

static void a_torn_file_is_refused(void **state) {
    save_filled(*state);
    struct dump whole = read_dump(*state);
    write_dump(*state, whole.data, whole.size - 1);
    expect_refused(*state, "is torn: it ends within its checksum");
    write_dump(*state, whole.data, whole.size / 2);
    expect_refused(*state, "goes on beyond its end");
    write_dump(*state, whole.data, 0);
    expect_refused(*state, "is torn: it has only 0 bytes");
    free(whole.data);
}

static void a_damaged_file_is_refused(void **state) {
    save_filled(*state);
    struct dump whole = read_dump(*state);
    for (size_t i = 0; i < 8; i++) {
        size_t at = (i + 1) * whole.size / 9;
        whole.data[at] ^= 4;
        write_dump(*state, whole.data, whole.size);
        expect_refused(*state, "dump.rdb ");
        whole.data[at] ^= 4;
    }
    whole.data[2000] ^= 1; /* in the value of 200,000 bytes, or near it */
    write_dump(*state, whole.data, whole.size);
    expect_refused(*state, "dump.rdb ");
    free(whole.data);
    write_dump(*state, "REDIS0099", 9);
    expect_refused(*state, "has the RDB version 99, sherd reads those up to 12");
    write_dump(*state, "not an RDB file", 15);
    expect_refused(*state, "is no RDB file");
    write_dump(*state, "REDIS0009\0\1k\1v\0\1k\1w\xff\0\0\0\0\0\0\0\0", 28);
    expect_refused(*state, "dump.rdb has the key 'k' twice");
    write_dump(*state, "REDIS0009\xfe\x14\xff\0\0\0\0\0\0\0\0", 20);
    expect_refused(*state, "keys of database 20, but there are 16");
}

static void a_type_that_we_lack_is_named_or_passed_over(void **state) {
    static const char dump[] = "REDIS0009\xfe\0\1\7my-list\2\1a\1b\0\3key\5value\xff\0\0\0\0\0\0\0";
    write_dump(*state, dump, sizeof dump);
    expect_refused(*state,
                   "dump.rdb holds the key 'my-list' at byte 11, a list, which sherd doesn't have");
    struct test_server *server = start_in(*state, "--rdb-skip-unknown-types", "yes");
    struct wire *wire = wire_connect(server);
    await_loaded(wire);
    wire_expect(wire, "DBSIZE", ":1");
    wire_expect(wire, "GET key", "\"value\"");
    test_server_expect_said(
        server, "(rdb-skip-unknown-types), 1 in all: list: 1; keys such as 'my-list'. The "
                "next save will not have them: keep a copy of dump.rdb");
    wire_close(wire);
    test_server_stop(server);
}

static void a_function_library_is_named_or_passed_over(void **state) {
    static const char dump[] = "REDIS0010\xf5\x17#!lua name=mylib\nreturn\xfe\0\0\3key\5value"
                               "\xff\0\0\0\0\0\0\0";
    write_dump(*state, dump, sizeof dump);
    expect_refused(*state, "dump.rdb holds a function library at byte 9, and sherd has none; "
                           "rdb-skip-unknown-types yes loads the rest");
    struct test_server *server = start_in(*state, "--rdb-skip-unknown-types", "yes");
    struct wire *wire = wire_connect(server);
    await_loaded(wire);
    wire_expect(wire, "GET key", "\"value\"");
    test_server_expect_said(
        server, "(rdb-skip-unknown-types), 1 in all: function library: 1. The next save");
    wire_close(wire);
    test_server_stop(server);
}

static void more_than_the_limit_without_eviction_is_warned_of(void **state) {
    enum { MORE_BYTES = 64 << 20 };
    struct test_server *server = start_in(*state, "--rdbcompression", "yes");
    struct wire *wire = wire_connect(server);
    char line[64];
    snprintf(line, sizeof line, "SETRANGE key %d x", MORE_BYTES - 1);
    char *reply = wire_ask(wire, line);
    free(reply);
    wire_expect(wire, "SAVE", "+OK");
    wire_close(wire);
    test_server_stop(server);
    server = start_in(*state, "--maxmemory", "48mb");
    wire = wire_connect(server);
    await_loaded(wire);
    test_server_expect_said(
        server, "maxmemory is 49152 KiB, and maxmemory-policy is noeviction: every command "
                "that needs memory will be refused (OOM)");
    reply = wire_ask(wire, "SET other value");
    assert_non_null(strstr(reply, "OOM"));
    free(reply);
    wire_close(wire);
    test_server_stop(server);
}

/* ---- Disks that don't take it ---------------------------------------------------------------- */

/* SAVE says what, where and why. */
static void expect_save_fails(struct wire *wire, const char *folder, const char *reason) {
    char begin[512];
    snprintf(begin, sizeof(begin), "-ERR Write error saving DB on disk, in %s: can't ", folder);
    char *reply = wire_ask(wire, "SAVE");
    if (strstr(reply, begin) != reply || strstr(reply, reason) == NULL)
        fail_msg("SAVE: \"%s\" hasn't \"%s\" and \"%s\"", reply, begin, reason);
    free(reply);
}

static void a_full_disk_leaves_the_old_file(void **state) {
    save_filled(*state);
    struct dump before = read_dump(*state);
    struct test_server *server = start_in(*state, "--rdbcompression", "no");
    struct rlimit limit = {100000, RLIM_INFINITY}; /* less than the large value takes */
    assert_int_equal(prlimit(server->pid, RLIMIT_FSIZE, &limit, NULL), 0);
    struct wire *wire = wire_connect(server);
    await_loaded(wire);
    wire_expect(wire, "SET more data", "+OK");
    expect_save_fails(wire, *state, "File too large");
    wire_expect(wire, "BGSAVE", "+Background saving started");
    while (wire_ask_field(wire, "INFO persistence", "rdb_bgsave_in_progress") != 0) {
    }
    char *info = wire_ask(wire, "INFO persistence");
    assert_non_null(strstr(info, "rdb_last_bgsave_status:err"));
    free(info);
    test_server_expect_said(server, "File too large");
    expect_no_litter(*state);
    struct dump after = read_dump(*state);
    assert_int_equal(after.size, before.size);
    assert_memory_equal(after.data, before.data, before.size);
    free(before.data);
    free(after.data);
    wire_close(wire);
    test_server_stop(server);
}

/* SAVE fails, the log says this, and the file is as it was. */
static void expect_failing_save(struct test_server *server, struct wire *wire, const char *folder,
                                const struct dump *before, const char *reason) {
    expect_save_fails(wire, folder, reason);
    test_server_expect_said(server, reason);
    expect_no_litter(folder);
    struct dump after = read_dump(folder);
    assert_int_equal(after.size, before->size);
    assert_memory_equal(after.data, before->data, before->size);
    free(after.data);
}

/* Real ones: a file system of 64 KiB, which is then made read-only. Takes root. */
static void a_file_system_that_is_full_or_read_only_leaves_the_old_file(void **state) {
    if (mount("tmpfs", *state, "tmpfs", 0, "size=64k") != 0) {
        print_message("Skipped: no file system may be mounted here: %s\n", strerror(errno));
        skip();
    }
    struct test_server *server = start_in(*state, "--rdbcompression", "no");
    struct wire *wire = wire_connect(server);
    wire_expect(wire, "SET key value", "+OK");
    wire_expect(wire, "SAVE", "+OK");
    struct dump before = read_dump(*state);
    wire_expect(wire, "SETRANGE large 200000 x", ":200001");
    expect_failing_save(server, wire, *state, &before, "No space left on device");
    wire_expect(wire, "DEL large", ":1");
    wire_expect(wire, "SAVE", "+OK"); /* there is room again */
    free(before.data);
    before = read_dump(*state);
    assert_int_equal(mount(NULL, *state, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
    expect_failing_save(server, wire, *state, &before, "Read-only file system");
    wire_expect(wire, "GET key", "\"value\"");
    free(before.data);
    wire_close(wire);
    test_server_stop(server);
    assert_int_equal(umount(*state), 0);
}

/* A lease is no data: who has one is told, but what it was given for can't be stored. */
static void expect_leases_without_fills(struct wire *wire) {
    wire_expect(wire, "GETLEASE key 60000", "[\"value\", $-1, \"hit\"]");
    long long token = lease_ask_token(wire, "GETLEASE missing 60000");
    char *reply = wire_ask(wire, "SETLEASE missing 1 value");
    assert_non_null(strstr(reply, "-MISCONF"));
    free(reply);
    wire_expect(wire, "GETLEASE missing 60000", "[$-1, $-1, \"miss\"]");
    lease_expect(wire, "DELLEASE missing $", token, ":1");
}

static void after_a_failed_save_writes_are_refused_until_one_goes_well(void **state) {
    char path[PATH_BYTES];
    assert_int_equal(mkdir(path_in(*state, "folder", path), 0700),
                     0); /* nothing can be renamed to it */
    struct test_server *server = start_in(*state, "--save", "3600 1");
    struct wire *wire = wire_connect(server);
    wire_expect(wire, "SET key value", "+OK");
    wire_expect(wire, "CONFIG SET dbfilename folder", "+OK");
    wire_expect(wire, "BGSAVE", "+Background saving started");
    while (wire_ask_field(wire, "INFO persistence", "rdb_bgsave_in_progress") != 0) {
    }
    char *reply = wire_ask(wire, "SET key other");
    assert_non_null(strstr(reply, "-MISCONF Redis is configured to save RDB snapshots"));
    free(reply);
    wire_expect(wire, "GET key", "\"value\"");
    expect_leases_without_fills(wire);
    wire_expect(wire, "SHUTDOWN", "-ERR Errors trying to SHUTDOWN. Check logs.");
    test_server_await_said(server, "Error trying to save the DB, can't exit");
    wire_expect(wire, "CONFIG SET stop-writes-on-bgsave-error no", "+OK");
    wire_expect(wire, "SET key other", "+OK");
    wire_expect(wire, "CONFIG SET stop-writes-on-bgsave-error yes", "+OK");
    reply = wire_ask(wire, "PING");
    assert_non_null(strstr(reply, "-MISCONF"));
    free(reply);
    wire_expect(wire, "CONFIG SET dbfilename other.rdb", "+OK");
    wire_expect(wire, "BGSAVE", "+Background saving started");
    wire_await(wire, "SET key other", "+OK");
    assert_true(has_file(*state, "other.rdb"));
    wire_close(wire);
    test_server_stop(server);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void) {
    test_server_require();
    const struct CMUnitTest tests[] = {
        TEST(what_save_wrote_is_there_after_a_restart),
        TEST(bgsave_answers_at_once_and_tells_its_end),
        TEST(the_end_saves_as_save_points_say),
        TEST(a_stray_signal_of_our_own_saves_too),
        TEST(shutdown_saves_when_it_is_told_to),
        TEST(two_orders_to_stop_lose_no_write),
        TEST(a_save_point_saves_by_itself),
        TEST(a_snapshot_under_writers_is_of_one_instant),
        TEST(a_client_is_told_while_the_file_is_read),
        TEST(who_is_stopped_while_loading_does_not_say_it_is_ready),
        TEST(a_file_larger_than_the_limit_is_loaded_within_it),
        TEST(a_torn_file_is_refused),
        TEST(a_damaged_file_is_refused),
        TEST(a_type_that_we_lack_is_named_or_passed_over),
        TEST(a_function_library_is_named_or_passed_over),
        TEST(more_than_the_limit_without_eviction_is_warned_of),
        TEST(a_full_disk_leaves_the_old_file),
        TEST(a_file_system_that_is_full_or_read_only_leaves_the_old_file),
        TEST(after_a_failed_save_writes_are_refused_until_one_goes_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
