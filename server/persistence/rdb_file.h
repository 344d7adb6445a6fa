/* A file that replaces another whole or not at all: written beside it under another name, brought to the disk, renamed.
 *
 * Until rdb_file_commit has returned STATUS_OK what was at the path is untouched, whatever fails or dies. `error` then
 * says what failed, for the log. Any one thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "server/priority.h"
#include "shards/base/bytes.h"
#include "shards/base/status.h"

enum { RDB_FILE_NAME_MAX = 256, RDB_FILE_ERROR_MAX = 768 };

struct rdb_file {
    int fd;
    bool beside_others;
    struct priority_turn turn;
    char *piece; /* heap: bytes that the file hasn't got yet */
    size_t used;
    uint64_t written, pushed,
        settled; /* bytes; those whose way to the disk was begun; or has ended */
    char name[RDB_FILE_NAME_MAX], temporary[RDB_FILE_NAME_MAX];
    char error[RDB_FILE_ERROR_MAX];
};

/* Create the temporary file. `name` has no slash: all happens in the working directory. `beside_others`: requests are
 * served meanwhile. Else the file is left in the page cache, for who reads it next. On failure nothing is held. */
must_use enum status rdb_file_create(struct rdb_file *file, const char *name, bool beside_others);
/* Append; the sink of an rdb_writer. STATUS_FAILED. Bytes may stay in memory until the commit. */
must_use enum status rdb_file_write(void *file, struct bytes bytes);
/* To the disk, and into the old one's place. On failure the temporary file is gone, and the old one is as it was; unless
 * only the folder couldn't be brought to the disk: then the new one is there, and might not be after a power cut. */
must_use enum status rdb_file_commit(struct rdb_file *file);
/* Remove temporary files in the working directory that nobody writes any more, since whoever did was killed; but not
 * `kept`, whatever its name is like. Returns how many. */
uint32_t rdb_file_remove_stale(const char *kept);
/* Instead of committing; nothing after it, nor after a create that failed. */
void rdb_file_abandon(struct rdb_file *file);
