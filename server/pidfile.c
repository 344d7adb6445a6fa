#include "server/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shards/base/path.h"

static bool is_plain_or_absent(const char *path) {
    struct stat about;
    if (lstat(path, &about) != 0) return errno == ENOENT;
    return S_ISREG(about.st_mode);
}

/* At once: so few bytes are written whole or not at all. */
static enum status write_number(const char *path, int flags) {
    char text[16];
    int size = snprintf(text, sizeof text, "%d\n", (int)getpid());
    int file = open(path, O_WRONLY | O_CLOEXEC | flags, 0644);
    if (file < 0) return STATUS_FAILED;
    bool is_written = write(file, text, (size_t)size) == size;
    int number = errno;
    if (close(file) != 0 && is_written) return STATUS_FAILED;
    errno = number;
    return is_written ? STATUS_OK : STATUS_FAILED;
}

static enum status replace(const char *path) {
    char beside[PATH_MAX];
    if (snprintf(beside, sizeof beside, "%s.%d", path, (int)getpid()) >= (int)sizeof beside) {
        errno = ENAMETOOLONG;
        return STATUS_FAILED;
    }
    unlink(beside); /* of one who had our number, and died over it */
    if (write_number(beside, O_CREAT | O_EXCL) == STATUS_OK && rename(beside, path) == 0)
        return STATUS_OK;
    int number = errno;
    unlink(beside);
    errno = number;
    return STATUS_FAILED;
}

static bool may_write_into_instead(int number) {
    return number == EACCES || number == EPERM || number == EROFS || number == EBUSY;
}

static enum status write_somehow(const char *path) {
    if (!is_plain_or_absent(path)) return write_number(path, O_CREAT | O_TRUNC);
    if (replace(path) == STATUS_OK) return STATUS_OK;
    return may_write_into_instead(errno) ? write_number(path, O_CREAT | O_TRUNC) : STATUS_FAILED;
}

static enum status refuse(const char *path, int number, char *error) {
    snprintf(error, PIDFILE_ERROR_MAX, "Can't write the pid file %.*s (option pidfile): %s%s",
             PIDFILE_ERROR_MAX / 2, path, strerror(number),
             number == EACCES ? "; may this user write there?" : "");
    return STATUS_FAILED;
}

enum status pidfile_write(const char *path, char *error) {
    return write_somehow(path) == STATUS_OK ? STATUS_OK : refuse(path, errno, error);
}

enum status pidfile_check(const char *path, char *error) {
    int number = path_refuses_making(path);
    if (!is_plain_or_absent(path) || may_write_into_instead(number))
        number = path_refuses_writing(path);
    return number == 0 ? STATUS_OK : refuse(path, number, error);
}
