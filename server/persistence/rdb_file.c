/* Write, fsync, rename, fsync the folder: in this order a crash at any moment leaves the old file or the new one.
 *
 * The temporary name has the process's number, so that two servers in one folder don't write into each other's. Numbers
 * may be equal, in two containers that share a folder; so the file is locked (flock) as long as it is written, and
 * who finds it locked fails. What a server that was killed left behind is what nobody has locked: the next one removes
 * it at start. Redis's temporary files bear names without our letter, so we never touch them. Where the file system has
 * no locks we write all the same, and remove nothing.
 *
 * How it gets to the disk matters to who shares the processor, since where the kernel isn't built to be preempted
 * (PREEMPT_NONE, as servers' kernels often are) a worker waits until a system call of ours ends or sleeps, whatever
 * the worker's priority.
 *
 * - Beside requests: into the page cache, and each BURST_BYTES at once to the disk and out of the cache again. While a
 *   disk is busy, requests are slow: a virtual machine's processor is taken away for its host's part of it, for one to
 *   three milliseconds (that is the machine's `away`, in the bench). So the disk is busy in few and short bursts, and
 *   what others have in the cache stays there.
 * - Otherwise: into the page cache; after each piece the kernel is told to begin writing, and two bursts before is waited
 *   for, or else fsync would find gigabytes to do at the end. At a shutdown this leaves in memory what the next start will
 *   read.
 *
 * Measured beside a save of a million keys, one processor, ext4 on a virtual disk, three rounds in turn: p99 in us 91 to
 * 105, p99.9 0.3 to 0.7 ms; writing past the cache (O_DIRECT), 256 KiB at a time, by which the disk is busy all along, 162
 * to 1327 and 1.8 to 3.9 ms; having the kernel begin after each piece 467 to 950 and 2.5 to 3.3 ms. All at the end, which
 * for gigabytes wouldn't do, by writes of 256 KiB: 156 to 164, 0.3 to 0.8 ms. In another hour, on another machine, past the
 * cache was better than beginning after each piece (185 and 651 us); bursts weren't tried there. See bench/README.md.
 *
 * Writes are small because of what they cost where nothing preempts them: one of 64 KiB 22 us, at most 121. Pieces of 256
 * and 16 brought p99.9 from 2.4 times the normal to 1.3. */
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

#include "shards/base/memory.h"

enum {
    PIECE_BYTES = 256 * 1024,
    WRITE_BYTES = 16 * 1024,
    BURST_BYTES = 32 * 1024 * 1024,
};
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

static enum status lock_empty(struct rdb_file *file) {
    bool is_ours = flock(file->fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
    if (!is_ours) return failed(file, "another process writes");
    bool is_there = has_name(file->fd);
    if (is_there && ftruncate(file->fd, 0) == 0) return STATUS_OK;
    if (!is_there) errno = EBUSY; /* just removed, as a dead server's, or no plain file */
    return failed(file, "can't create");
}

static void let_go(struct rdb_file *file) {
    if (file->fd >= 0) close(file->fd);
    file->fd = -1;
    memory_free(file->piece);
    file->piece = NULL;
}

enum status rdb_file_create(struct rdb_file *file, const char *name, bool beside_others) {
    *file = (struct rdb_file){.fd = -1, .beside_others = beside_others};
    snprintf(file->name, sizeof(file->name), "%s", name);
    snprintf(file->temporary, sizeof(file->temporary), TEMPORARY_BEGIN "%d" TEMPORARY_END,
             (int)getpid());
    file->piece = memory_allocate(PIECE_BYTES);
    if (file->piece == NULL) {
        errno = ENOMEM;
        return failed(file, "can't write");
    }
    file->fd = open(file->temporary, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
    enum status status = file->fd < 0 ? failed(file, "can't create") : lock_empty(file);
    if (status != STATUS_OK) let_go(file);
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

/* Beginning to write, and forgetting what is written, are hints. They are given a piece at a time, so that others get in
 * between: to begin a piece takes the kernel 44 us, one in a hundred 111 (778 of them, traced). When fdatasync began all
 * 128 of a burst, a worker waited for the saver's processor for 2.7 to 5.3 ms, seven times in three saves; that this was
 * why is inferred. */
static void begin_writing(struct rdb_file *file) {
    for (uint64_t at = file->pushed; at < file->written; at += PIECE_BYTES) {
        sync_file_range(file->fd, (off_t)at, PIECE_BYTES, SYNC_FILE_RANGE_WRITE);
        if (file->beside_others) priority_give_way(&file->turn);
    }
}

static void forget(struct rdb_file *file, int fd, uint64_t from, uint64_t to) {
    for (uint64_t at = from; at < to; at += PIECE_BYTES) {
        posix_fadvise(fd, (off_t)at, PIECE_BYTES, POSIX_FADV_DONTNEED);
        priority_give_way(&file->turn);
    }
}

/* Who replaces a file has the kernel forget all that is cached of it. Of the save before that was the last burst, and took
 * 4 ms: the one wait of a worker behind the saver above 0.7 ms in each of four saves, sampled each 0.1 ms. With this, and
 * giving way between pieces, p99.9 on one processor is 1.1 to 1.3 times that without a save; it was 1.3 to 21 times (five
 * rounds in turn, bench/README.md). */
static void forget_replaced(struct rdb_file *file) {
    int fd = open(file->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat about;
    if (fd < 0) return;
    if (fstat(fd, &about) == 0 && S_ISREG(about.st_mode))
        forget(file, fd, 0, (uint64_t)about.st_size);
    close(fd);
}

/* Two bursts are on their way to the disk at most: then fsync doesn't stand still for minutes at the end, where a watchdog
 * looks whether we go on. What doesn't get to the disk is told only once, here or by fsync. */
static enum status settle(struct rdb_file *file) {
    if (file->pushed - file->settled < 2 * BURST_BYTES) return STATUS_OK;
    unsigned waits =
        SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
    int outcome = sync_file_range(file->fd, (off_t)file->settled, BURST_BYTES, waits);
    bool is_lost = outcome != 0 && (errno == EIO || errno == ENOSPC || errno == EDQUOT);
    file->settled += BURST_BYTES;
    return is_lost ? failed(file, "can't sync") : STATUS_OK;
}

static enum status push(struct rdb_file *file) {
    if (file->beside_others && file->written - file->pushed < BURST_BYTES) return STATUS_OK;
    begin_writing(file);
    if (file->beside_others) {
        if (fdatasync(file->fd) != 0) return failed(file, "can't sync");
        forget(file, file->fd, file->pushed, file->written);
    }
    file->pushed = file->written;
    return file->beside_others ? STATUS_OK : settle(file);
}

static enum status write_piece(struct rdb_file *file) {
    for (size_t at = 0; at < file->used;) {
        size_t left = file->used - at;
        ssize_t written =
            write(file->fd, file->piece + at, left < WRITE_BYTES ? left : WRITE_BYTES);
        if (written > 0) {
            at += (size_t)written;
            file->written += (uint64_t)written;
        } else if (written == 0 || errno != EINTR) {
            return failed(file, "can't write to");
        }
    }
    file->used = 0;
    return push(file);
}

enum status rdb_file_write(void *context, struct bytes bytes) {
    struct rdb_file *file = context;
    enum status status = STATUS_OK;
    while (bytes.size != 0 && status == STATUS_OK) {
        size_t room = PIECE_BYTES - file->used;
        size_t size = bytes.size < room ? bytes.size : room;
        memcpy(file->piece + file->used, bytes.data, size);
        file->used += size;
        bytes = bytes_of(bytes.data + size, bytes.size - size);
        if (file->used == PIECE_BYTES) status = write_piece(file);
    }
    return status;
}

void rdb_file_abandon(struct rdb_file *file) {
    if (file->fd < 0) return;
    let_go(file);
    unlink(file->temporary);
}

static enum status sync_folder(struct rdb_file *file) {
    int folder = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return failed(file, "can't open the folder of");
    enum status status = fsync(folder) == 0 ? STATUS_OK : failed(file, "can't sync the folder of");
    close(folder);
    return status;
}

static enum status finish(struct rdb_file *file) {
    if (write_piece(file) != STATUS_OK) return STATUS_FAILED;
    begin_writing(file);
    if (fsync(file->fd) != 0) return failed(file, "can't sync");
    if (file->beside_others) forget_replaced(file);
    if (rename(file->temporary, file->name) == 0) return STATUS_OK;
    snprintf(file->error, sizeof(file->error), "can't rename %s to %s: %s", file->temporary,
             file->name, strerror(errno));
    return STATUS_FAILED;
}

enum status rdb_file_commit(struct rdb_file *file) {
    enum status status = finish(file);
    if (status != STATUS_OK) {
        rdb_file_abandon(file);
        return status;
    }
    let_go(file);
    return sync_folder(file);
}
