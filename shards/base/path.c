#include "shards/base/path.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int path_refuses_making(const char *path) {
    char copy[PATH_MAX]; /* dirname writes into it */
    size_t size = strlen(path);
    if (size == 0) return ENOENT;
    if (size >= sizeof copy) return ENAMETOOLONG;
    memcpy(copy, path, size + 1);
    const char *folder = dirname(copy);
    struct stat about;
    if (stat(folder, &about) != 0) return errno;
    if (!S_ISDIR(about.st_mode)) return ENOTDIR;
    return access(folder, W_OK | X_OK) == 0 ? 0 : errno;
}

int path_refuses_writing(const char *path) {
    struct stat about;
    if (stat(path, &about) != 0) return errno == ENOENT ? path_refuses_making(path) : errno;
    if (S_ISDIR(about.st_mode)) return EISDIR;
    return access(path, W_OK) == 0 ? 0 : errno;
}
