/* Write, fsync, rename, fsync the folder: in this order a crash at any moment leaves the old file or the new one.
 *
 * The temporary name has the process's number, so that two servers in one folder don't write into each other's. Numbers
 * may be equal, in two containers that share a folder; so the file is locked (flock) as long as it is written, and
 * who finds it locked fails. What a server that was killed left behind is what nobody has locked: the next one removes
 * it at start. Redis's temporary files bear names without our letter, so we never touch them. Where the file system has
 * no locks we write all the same, and remove nothing.
 *
 * After every PIECE_BYTES the kernel is told to begin writing: or else fsync would find gigabytes to do at the
 * end, and slow down whoever else uses the disk.
 *
 * A piece is small because of who shares the processor. Where the kernel isn't built to be preempted
 * (PREEMPT_NONE, as servers' kernels often are), a worker waits until a system call of ours ends or steps aside by
 * itself, whatever the worker's priority. Of 4 MiB, sync_file_range went on for up to 0.45 ms on ext4, and a
 * worker that became ready meanwhile waited for up to 0.3 (the scheduler's trace; on tmpfs there was nothing of
 * it): that alone was the p99.9 beside a save, 2.4 times the normal on one processor (1.7 to 7.7). With 256 KiB,
 * and blocks of 16 (rdb_write.c; a write of 64 took 22 us, at most 121), it is 1.3 times (1.0 to 1.9; six rounds
 * each, bench/README.md). What is large is written in pieces for the same reason. */
#include "rdb_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE_BYTES = 256 * 1024 };
#define TEMPORARY_BEGIN "temp-s"
#define TEMPORARY_END   ".rdb"

static enum status failed(struct rdb_file *file, const char *what) {
    snprintf(file->error, sizeof(file->error), "%s %s: %s", what, file->temporary, strerror(errno));
    return STATUS_FAILED;
}

/* A plain file that wasn't removed since it was opened. */
static bool has_name(int fd) {
    struct stat about;
    return fstat(fd, &about) == 0 && S_ISREG(about.st_mode) && about.st_nlink != 0;
}

enum status rdb_file_create(struct rdb_file *file, const char *name) {
    *file = (struct rdb_file){.fd = -1};
    snprintf(file->name, sizeof(file->name), "%s", name);
    snprintf(file->temporary, sizeof(file->temporary), TEMPORARY_BEGIN "%d" TEMPORARY_END,
             (int)getpid());
    file->fd = open(file->temporary, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (file->fd < 0) return failed(file, "can't create");
    bool is_ours = flock(file->fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
    if (is_ours && has_name(file->fd) && ftruncate(file->fd, 0) == 0) return STATUS_OK;
    enum status status = failed(file, is_ours ? "can't create" : "another process writes");
    close(file->fd);
    file->fd = -1;
    return status;
}

/* ---- What the dead left ---------------------------------------------------------------------- */

static bool is_temporary(const char *name) {
    size_t begin = sizeof TEMPORARY_BEGIN - 1;
    if (strncmp(name, TEMPORARY_BEGIN, begin) != 0) return false;
    size_t digits = strspn(name + begin, "0123456789");
    return digits != 0 && strcmp(name + begin + digits, TEMPORARY_END) == 0;
}

/* While we hold its lock nobody writes it; who has just opened it finds it without a name, and fails. */
static bool remove_unlocked(const char *name) {
    int fd = open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return false;
    bool is_removed = flock(fd, LOCK_EX | LOCK_NB) == 0 && has_name(fd) && unlink(name) == 0;
    close(fd);
    return is_removed;
}

uint32_t rdb_file_remove_stale(const char *kept) {
    DIR *folder = opendir(".");
    if (folder == NULL) return 0;
    uint32_t count = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (strcmp(entry->d_name, kept) == 0 || !is_temporary(entry->d_name)) continue;
        count += remove_unlocked(entry->d_name);
    }
    closedir(folder);
    return count;
}

/* ---- Writing --------------------------------------------------------------------------------- */

static void push(struct rdb_file *file) {
    if (file->written - file->pushed < PIECE_BYTES) return;
    /* A hint: what it fails to do, fsync does. */
    sync_file_range(file->fd, (off_t)file->pushed, (off_t)(file->written - file->pushed),
                    SYNC_FILE_RANGE_WRITE);
    file->pushed = file->written;
}

enum status rdb_file_write(void *context, struct bytes bytes) {
    struct rdb_file *file = context;
    while (bytes.size > 0) {
        size_t piece = bytes.size < PIECE_BYTES ? bytes.size : PIECE_BYTES;
        ssize_t size = write(file->fd, bytes.data, piece);
        if (size < 0 && errno == EINTR) continue;
        if (size <= 0) return failed(file, "can't write to");
        bytes = bytes_of(bytes.data + size, bytes.size - (size_t)size);
        file->written += (uint64_t)size;
        push(file);
    }
    return STATUS_OK;
}

void rdb_file_abandon(struct rdb_file *file) {
    if (file->fd < 0) return;
    close(file->fd);
    file->fd = -1;
    unlink(file->temporary);
}

static enum status sync_folder(struct rdb_file *file) {
    int folder = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return failed(file, "can't open the folder of");
    enum status status = fsync(folder) == 0 ? STATUS_OK : failed(file, "can't sync the folder of");
    close(folder);
    return status;
}

enum status rdb_file_commit(struct rdb_file *file) {
    enum status status = STATUS_OK;
    if (fsync(file->fd) != 0) {
        status = failed(file, "can't sync");
    } else if (rename(file->temporary, file->name) != 0) {
        status = failed(file, "can't rename");
    }
    if (status != STATUS_OK) {
        rdb_file_abandon(file);
        return status;
    }
    close(file->fd);
    file->fd = -1;
    return sync_folder(file);
}
