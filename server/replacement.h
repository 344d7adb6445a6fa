/* A file of text that takes another's place whole or not at all: written beside it, brought to the disk, renamed.
 *
 *      replacement_create ─▶ print to `out` … ─┬─▶ replacement_commit
 *                                              └─▶ replacement_abandon
 *
 * Until a commit has returned STATUS_OK the old file is untouched, whatever fails or dies. `error`, of CONFIG_ERROR_MAX
 * bytes, then says what failed, with the path. Any one thread. Files of data have their own (persistence/rdb_file.h). */
#pragma once

#include <stdio.h>
#include <sys/types.h>

#include "server/config.h"

struct replacement {
    FILE *out;        /* what can't be written is told by the commit */
    const char *path; /* borrowed */
    char temporary[CONFIG_TEXT_MAX + sizeof ".XXXXXX"];
};

/* STATUS_FAILED: nothing is held. */
must_use enum status replacement_create(struct replacement *replacement, const char *path,
                                        char *error);
/* The permissions are the old file's, or `mode` where there is none. STATUS_FAILED: abandoned; or it has taken the old
 * one's place, and a crash of the machine may yet bring that back. */
must_use enum status replacement_commit(struct replacement *replacement, mode_t mode, char *error);
void replacement_abandon(struct replacement *replacement);
