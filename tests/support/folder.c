#include "tests/support/folder.h"

#include <dirent.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *place) {
    (void)info, (void)kind, (void)place;
    return remove(path);
}

int folder_remove(const char *path) {
    enum { DESCRIPTORS = 8 };
    return nftw(path, remove_one, DESCRIPTORS, FTW_DEPTH | FTW_PHYS);
}

int folder_count(const char *path) {
    enum { ITSELF_AND_PARENT = 2 };
    DIR *entries = opendir(path);
    assert_non_null(entries);
    int count = -ITSELF_AND_PARENT;
    while (readdir(entries) != NULL) {
        count++;
    }
    closedir(entries);
    return count;
}

int place_set_up(void **state) {
    struct place *place = calloc(1, sizeof *place);
    assert_non_null(place);
    strcpy(place->folder, "/tmp/sherd-place-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    snprintf(place->path, sizeof place->path, "%s/file", place->folder);
    *state = place;
    return 0;
}

int place_tear_down(void **state) {
    struct place *place = *state;
    folder_remove(place->folder);
    free(place);
    return 0;
}
