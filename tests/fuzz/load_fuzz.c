/* Any bytes as a file that is loaded: it is refused, or what it makes of the store is saved and loaded again,
 * and is the same then.
 *
 * The first byte chooses the head and the options, the second the size of the blocks that the file is read in,
 * so that it is cut anywhere. The end mark and a checksum that fits are ours, for the fuzzer would not find one;
 * but for the files that bring their own. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "server/clock.h"
#include "server/log.h"
#include "server/persistence/rdb_format.h"
#include "server/persistence/rdb_write.h"
#include "shards/base/check.h"
#include "shards/base/crc64.h"
#include "tests/support/digest.h"
#include "tests/support/idle_server.h"

enum {
    HEADER_BYTES = 2,
    SKIPS_UNKNOWN = 1 << 2, /* of the first byte: the lower two bits are the head */
    BRINGS_ITS_END = 1 << 3,
    COMPRESSES = 1 << 4,
};
/* Deadlines nearer than this may pass meanwhile. */
static const int64_t SOON_MS = INT64_C(3600) * 1000;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A server that loads from a file in memory. */
struct world {
    struct server *server;
    int fd;
};

static void write_bytes(struct world *world, struct bytes bytes) {
    check(write(world->fd, bytes.data, bytes.size) == (ssize_t)bytes.size);
}

static void start_file(struct world *world) {
    check(ftruncate(world->fd, 0) == 0 && lseek(world->fd, 0, SEEK_SET) == 0);
}

/* ---- The file as it comes -------------------------------------------------------------------- */

static void write_file(struct world *world, unsigned options, struct bytes items) {
    static const char *const heads[] = {"REDIS0009", "REDIS0012", "VALKEY080", "REDIS0004"};
    struct bytes head = bytes_of_text(heads[options % 4]);
    char end[1 + RDB_CHECKSUM_BYTES] = {(char)RDB_OPCODE_END};
    struct crc64 crc64;
    crc64_init(&crc64);
    uint64_t checksum = crc64_update(&crc64, crc64_update(&crc64, 0, head), items);
    checksum = crc64_update(&crc64, checksum, bytes_of(end, 1));
    for (unsigned i = 0; i < RDB_CHECKSUM_BYTES; i++) {
        end[1 + i] = (char)(checksum >> 8 * i);
    }
    start_file(world);
    write_bytes(world, head);
    write_bytes(world, items);
    if (!(options & BRINGS_ITS_END)) write_bytes(world, bytes_of(end, sizeof end));
}

/* ---- The file that is made of the store ------------------------------------------------------ */

static enum status take(void *context, struct bytes bytes) {
    write_bytes(context, bytes);
    return STATUS_OK;
}

static void save_entry(void *context, const struct snapshot_entry *entry) {
    rdb_write_entry(context, entry);
}

static void save(struct world *world, int64_t now_ms, bool compresses) {
    struct rdb_writer_options options = {
        .write = take, .context = world, .compresses = compresses, .checksums = true};
    struct rdb_writer writer;
    struct snapshot snapshot;
    start_file(world);
    check(rdb_writer_init(&writer, &options) == STATUS_OK);
    check(snapshot_begin(&snapshot, &world->server->shards, now_ms) == STATUS_OK);
    rdb_write_head(&writer);
    while (snapshot_step(&snapshot, save_entry, &writer)) {
    }
    check(snapshot_end(&snapshot) == STATUS_OK);
    check(rdb_write_end(&writer) == STATUS_OK);
    rdb_writer_release(&writer);
}

/* ---- Both ------------------------------------------------------------------------------------ */

static void start(struct world *world) {
    log_set_level(LOG_NOTHING);
    world->server = idle_server_create();
    world->server->worker_count = 0; /* nobody to be woken */
    world->fd = memfd_create("fuzz", MFD_CLOEXEC);
    check(world->fd >= 0);
    snprintf(world->server->config->dbfilename, CONFIG_TEXT_MAX, "/proc/self/fd/%d", world->fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct world world;
    if (world.server == NULL) start(&world);
    if (size < HEADER_BYTES) return 0;
    unsigned options = data[0];
    size_t block_bytes = data[1] == UINT8_MAX ? LOADER_BLOCK_BYTES : RDB_MAGIC_BYTES + data[1];
    atomic_store_explicit(&world.server->config->rdb_skip_unknown_types,
                          (options & SKIPS_UNKNOWN) != 0, memory_order_relaxed);
    write_file(&world, options, bytes_of(data + HEADER_BYTES, size - HEADER_BYTES));
    int64_t now_ms = clock_unix_ms();
    if (loader_run(world.server, block_bytes) == STATUS_OK) {
        struct digest loaded = digest_of(&world.server->shards, now_ms, now_ms + SOON_MS);
        save(&world, now_ms, options & COMPRESSES);
        digest_empty(&world.server->shards);
        check(loader_run(world.server, LOADER_BLOCK_BYTES) == STATUS_OK);
        struct digest again = digest_of(&world.server->shards, now_ms, now_ms + SOON_MS);
        check(loaded.keys == again.keys && loaded.sum == again.sum);
    }
    digest_empty(&world.server->shards);
    return 0;
}
