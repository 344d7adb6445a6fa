/* Write, fsync, rename, fsync the folder: in this order a crash at any moment leaves the old file or the new one.
 *
 * The temporary name has the process's number, so that two servers in one folder don't write into each other's. Every
 * PUSH_BYTES the kernel is told to begin writing: or else fsync would find gigabytes to do at the end, and slow down
 * whoever else uses the disk. */
#include "rdb_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PUSH_BYTES = 4 * 1024 * 1024 };

static enum status failed(struct rdb_file *file, const char *what) {
    snprintf(file->error, sizeof(file->error), "%s %s: %s", what, file->temporary, strerror(errno));
    return STATUS_FAILED;
}

enum status rdb_file_create(struct rdb_file *file, const char *name) {
    *file = (struct rdb_file){.fd = -1};
    snprintf(file->name, sizeof(file->name), "%s", name);
    snprintf(file->temporary, sizeof(file->temporary), "temp-%d.rdb", (int)getpid());
    file->fd = open(file->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    return file->fd >= 0 ? STATUS_OK : failed(file, "can't create");
}

static void push(struct rdb_file *file) {
    if (file->written - file->pushed < PUSH_BYTES) return;
    /* A hint: what it fails to do, fsync does. */
    sync_file_range(file->fd, (off_t)file->pushed, (off_t)(file->written - file->pushed),
                    SYNC_FILE_RANGE_WRITE);
    file->pushed = file->written;
}

enum status rdb_file_write(void *context, struct bytes bytes) {
    struct rdb_file *file = context;
    while (bytes.size > 0) {
        ssize_t size = write(file->fd, bytes.data, bytes.size);
        if (size < 0 && errno == EINTR) continue;
        if (size <= 0) return failed(file, "can't write to");
        bytes = bytes_of(bytes.data + size, bytes.size - (size_t)size);
        file->written += (uint64_t)size;
    }
    push(file);
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
