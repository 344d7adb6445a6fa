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

static bool is_same_file(const char *one, const char *other) {
    struct stat a, b;
    return stat(one, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

bool path_is_same(const char *one, const char *other) {
    char a[PATH_MAX], b[PATH_MAX]; /* dirname and basename write into them */
    size_t a_size = strlen(one), b_size = strlen(other);
    if (a_size == b_size && memcmp(one, other, a_size) == 0) return true;
    if (is_same_file(one, other)) return true;
    if (a_size >= sizeof a || b_size >= sizeof b) return false;
    memcpy(a, one, a_size + 1);
    memcpy(b, other, b_size + 1);
    if (strcmp(basename(a), basename(b)) != 0) return false;
    memcpy(a, one, a_size + 1);
    memcpy(b, other, b_size + 1);
    return is_same_file(dirname(a), dirname(b));
}
