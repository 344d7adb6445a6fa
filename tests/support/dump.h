/* RDB files, for tests that look into them, and for those that need one. Main thread only: what goes wrong
 * fails the test. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/persistence/rdb_read.h"
#include "server/persistence/rdb_write.h"

/* An item of a file, and the database that is selected (UINT64_MAX: none yet). */
typedef void (*dump_visitor)(void *context, const struct rdb_item *item, uint64_t database);

/* All the bytes of a file; the caller frees `data`. */
struct dump {
    char *data;
    size_t size;
};
struct dump dump_read(const char *path);
/* Visit every item of a file up to its end mark; it is whole, and its checksum fits. Returns the version. */
int dump_visit(const char *path, dump_visitor visit, void *context);
/* Is the text of this string `text`? */
bool dump_string_is(const struct rdb_string *string, struct bytes text);

/* A writer into a new file, its head written: then rdb_write_selection, rdb_write_key and so on. */
void dump_start(struct rdb_writer *writer, const char *path, bool compresses);
void dump_finish(struct rdb_writer *writer);
