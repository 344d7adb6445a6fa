/* The loader alone, in this process: files cut into blocks anywhere, torn anywhere, and damaged anywhere. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/log.h"
#include "server/persistence/rdb_format.h"
#include "tests/support/digest.h"
#include "tests/support/dump.h"
#include "tests/support/folder.h"
#include "tests/support/idle_server.h"

enum { PATH_BYTES = 64, LOG_BYTES = 4096, KEYS = 11 };

struct fixture {
    char folder[PATH_BYTES / 2], path[PATH_BYTES], log[PATH_BYTES];
    struct server *server;
    struct dump whole;
    struct digest expected;
};

/* Strings of every form, in two databases. */
static void write_whole(const char *path) {
    static char text[700];
    struct rdb_writer writer;
    memset(text, 'x', sizeof text);
    dump_start(&writer, path, true);
    rdb_write_fact(&writer, "redis-ver", BYTES("7.4.0"));
    rdb_write_database(&writer, 0, KEYS - 2, 2);
    rdb_write_key(&writer, BYTES("plain"), BYTES("value"), RDB_NO_DEADLINE);
    rdb_write_key(&writer, BYTES(""), BYTES(""), RDB_NO_DEADLINE);
    rdb_write_key(&writer, BYTES("5"), BYTES("-128"), INT64_C(4102444800123));
    rdb_write_key(&writer, BYTES("int16"), BYTES("32767"), RDB_NO_DEADLINE);
    rdb_write_key(&writer, BYTES("int32"), BYTES("-2147483648"), RDB_NO_DEADLINE);
    rdb_write_key(&writer, BYTES("compressed"), bytes_of(text, sizeof text), RDB_NO_DEADLINE);
    rdb_write_key(&writer, bytes_of(text, 70), BYTES("a compressed key"), INT64_C(4102444800124));
    rdb_write_key(&writer, BYTES("\0\xff\r\n"), BYTES("\xff\0"), RDB_NO_DEADLINE);
    rdb_write_key(&writer, BYTES("later"), BYTES("value"), INT64_MAX);
    rdb_write_selection(&writer, 1);
    rdb_write_key(&writer, BYTES("plain"), BYTES("another"), RDB_NO_DEADLINE);
    rdb_write_key(&writer, BYTES("last"), BYTES("value"), RDB_NO_DEADLINE);
    dump_finish(&writer);
}

static void write_file(const char *path, const char *data, size_t size) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static struct digest digest_now(const struct fixture *fixture) {
    return digest_of(&fixture->server->shards, 1, 0);
}

static bool is_same(struct digest a, struct digest b) {
    return a.keys == b.keys && a.sum == b.sum;
}

static int make_fixture(void **state) {
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    snprintf(fixture->folder, sizeof fixture->folder, "/tmp/sherd-loader-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    snprintf(fixture->path, sizeof fixture->path, "%s/dump.rdb", fixture->folder);
    snprintf(fixture->log, sizeof fixture->log, "%s/log", fixture->folder);
    assert_int_equal(log_open(fixture->log), STATUS_OK);
    fixture->server = idle_server_create();
    snprintf(fixture->server->config->dbfilename, CONFIG_TEXT_MAX, "%s", fixture->path);
    write_whole(fixture->path);
    fixture->whole = dump_read(fixture->path);
    assert_int_equal(loader_run(fixture->server, LOADER_BLOCK_BYTES), STATUS_OK);
    fixture->expected = digest_now(fixture);
    assert_int_equal(fixture->expected.keys, KEYS);
    digest_empty(&fixture->server->shards);
    *state = fixture;
    return 0;
}

static int free_fixture(void **state) {
    struct fixture *fixture = *state;
    assert_int_equal(log_open(""), STATUS_OK);
    idle_server_destroy(fixture->server);
    assert_int_equal(folder_remove(fixture->folder), 0);
    free(fixture->whole.data);
    free(fixture);
    return 0;
}

static void blocks_of_any_size_give_the_same(void **state) {
    struct fixture *fixture = *state;
    for (size_t bytes = RDB_MAGIC_BYTES; bytes <= fixture->whole.size; bytes++) {
        assert_int_equal(loader_run(fixture->server, bytes), STATUS_OK);
        assert_true(is_same(digest_now(fixture), fixture->expected));
        digest_empty(&fixture->server->shards);
    }
}

/* ---- Torn and damaged ------------------------------------------------------------------------ */

/* What was logged since it was last asked; valid until then. */
static const char *take_log(const struct fixture *fixture) {
    static char text[LOG_BYTES];
    FILE *file = fopen(fixture->log, "r+");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    assert_int_equal(ftruncate(fileno(file), 0), 0);
    fclose(file);
    return text;
}

/* False when it is taken for whole; then it holds what it should. */
static bool is_refused(const struct fixture *fixture, size_t block_bytes) {
    enum status status = loader_run(fixture->server, block_bytes);
    if (status == STATUS_OK) assert_true(is_same(digest_now(fixture), fixture->expected));
    digest_empty(&fixture->server->shards);
    return status == STATUS_FAILED;
}

static void a_file_torn_anywhere_is_refused(void **state) {
    struct fixture *fixture = *state;
    take_log(fixture);
    for (size_t size = 0; size < fixture->whole.size; size++) {
        write_file(fixture->path, fixture->whole.data, size);
        assert_true(is_refused(fixture, LOADER_BLOCK_BYTES));
        const char *log = take_log(fixture);
        assert_non_null(strstr(log, fixture->path));
        assert_non_null(strstr(log, " is torn"));
        assert_true(is_refused(fixture, RDB_MAGIC_BYTES + 20));
    }
}

/* The checksum finds every single bit. One can turn the version into one of those that had none yet: then what
 * is behind it was not touched. */
static void a_file_with_any_bit_flipped_is_refused(void **state) {
    struct fixture *fixture = *state;
    size_t taken = 0;
    take_log(fixture);
    for (size_t bit = 0; bit < fixture->whole.size * 8; bit++) {
        fixture->whole.data[bit / 8] ^= (char)(1 << bit % 8);
        write_file(fixture->path, fixture->whole.data, fixture->whole.size);
        if (is_refused(fixture, LOADER_BLOCK_BYTES)) {
            assert_non_null(strstr(take_log(fixture), fixture->path));
        } else {
            assert_true(bit / 8 < RDB_MAGIC_BYTES);
            taken++;
        }
        fixture->whole.data[bit / 8] ^= (char)(1 << bit % 8);
    }
    assert_int_equal(taken, 1);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, make_fixture, free_fixture)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(blocks_of_any_size_give_the_same),
        TEST(a_file_torn_anywhere_is_refused),
        TEST(a_file_with_any_bit_flipped_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
