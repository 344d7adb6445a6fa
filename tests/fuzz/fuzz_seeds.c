/* Files for the fuzzers of RDB files to begin with, made by our own writer: FOLDER/rdb_fuzz/… and FOLDER/load_fuzz/…
 * (what the first bytes of each mean is told in rdb_fuzz.c and load_fuzz.c). */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "server/persistence/rdb_format.h"
#include "server/persistence/rdb_write.h"
#include "shards/base/check.h"
#include "tests/support/foreign_items.h"
#include "tests/support/sink.h"

enum { ITEMS_MAX = 4096, PATH_BYTES = 512 };

static void write_seed(const char *folder, const char *target, const char *name, struct bytes head,
                       struct bytes items) {
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", folder, target);
    mkdir(path, 0755);
    snprintf(path, sizeof path, "%s/%s/%s", folder, target, name);
    FILE *file = fopen(path, "w");
    check(file != NULL);
    check(fwrite(head.data, 1, head.size, file) == head.size);
    check(fwrite(items.data, 1, items.size, file) == items.size);
    check(fclose(file) == 0);
}

static void write_seeds(const char *folder, const char *name, struct bytes items) {
    char cut[64];
    write_seed(folder, "rdb_fuzz", name, BYTES("\x81"), items);
    write_seed(folder, "load_fuzz", name, BYTES("\x15\x20"), items);
    snprintf(cut, sizeof cut, "%s-cut", name);
    write_seed(folder, "load_fuzz", cut, BYTES("\x06\x00"), items);
}

/* Strings of every form, deadlines, two databases, and hints. */
static struct bytes our_items(void) {
    static char text[300], data[ITEMS_MAX];
    memset(text, 'x', sizeof text);
    struct sink items = {.data = data, .capacity = sizeof data};
    struct rdb_writer writer;
    struct rdb_writer_options options = {
        .write = sink_write, .context = &items, .compresses = true};
    check(rdb_writer_init(&writer, &options) == STATUS_OK);
    rdb_write_fact(&writer, "redis-ver", BYTES("7.4.0"));
    rdb_write_database(&writer, 0, 6, 1);
    rdb_write_key(&writer, BYTES("plain"), BYTES("value"), RDB_NO_DEADLINE);
    rdb_write_key(&writer, BYTES("empty"), BYTES(""), INT64_C(4102444800123));
    rdb_write_key(&writer, BYTES("5"), BYTES("-128"), RDB_NO_DEADLINE);
    rdb_write_key(&writer, BYTES("int16"), BYTES("32767"), RDB_NO_DEADLINE);
    rdb_write_key(&writer, BYTES("int32"), BYTES("-2147483648"), RDB_NO_DEADLINE);
    rdb_write_key(&writer, BYTES("compressed"), bytes_of(text, sizeof text), RDB_NO_DEADLINE);
    rdb_write_selection(&writer, 1);
    rdb_write_key(&writer, bytes_of(text, 70), BYTES("14 bits"), RDB_NO_DEADLINE);
    check(rdb_write_end(&writer) == STATUS_OK);
    rdb_writer_release(&writer);
    return bytes_of(data, items.size - 1 - RDB_CHECKSUM_BYTES); /* the end is the fuzzers' */
}

int main(int argument_count, char **arguments) {
    if (argument_count != 2) {
        fprintf(stderr, "usage: fuzz_seeds FOLDER\n");
        return 2;
    }
    mkdir(arguments[1], 0755);
    write_seeds(arguments[1], "ours", our_items());
    for (size_t i = 0; i < foreign_item_count; i++) {
        char name[32];
        snprintf(name, sizeof name, "foreign-%zu", i);
        write_seeds(arguments[1], name, foreign_items[i].bytes);
    }
    return 0;
}
