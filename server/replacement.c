#include "server/replacement.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum status failed(const struct replacement *replacement, const char *what, char *error) {
    snprintf(error, CONFIG_ERROR_MAX, "%s %.*s: %s", what, CONFIG_ERROR_MAX / 2, replacement->path,
             strerror(errno));
    return STATUS_FAILED;
}

enum status replacement_create(struct replacement *replacement, const char *path, char *error) {
    *replacement = (struct replacement){.path = path};
    snprintf(replacement->temporary, sizeof(replacement->temporary), "%s.XXXXXX", path);
    int file = mkostemp(replacement->temporary, O_CLOEXEC);
    if (file < 0) return failed(replacement, "can't create a file beside", error);
    replacement->out = fdopen(file, "w");
    if (replacement->out != NULL) return STATUS_OK;
    enum status status = failed(replacement, "can't write", error);
    close(file);
    unlink(replacement->temporary);
    return status;
}

void replacement_abandon(struct replacement *replacement) {
    fclose(replacement->out);
    unlink(replacement->temporary);
}

static bool bring_to_disk(const struct replacement *replacement, mode_t mode) {
    struct stat old;
    if (stat(replacement->path, &old) == 0) mode = old.st_mode & 07777;
    int file = fileno(replacement->out);
    return fflush(replacement->out) == 0 && !ferror(replacement->out) && fchmod(file, mode) == 0 &&
           fsync(file) == 0;
}

/* A rename is on the disk when its folder is. */
static enum status sync_folder(const struct replacement *replacement, char *error) {
    char copy[CONFIG_TEXT_MAX]; /* dirname writes into it */
    snprintf(copy, sizeof(copy), "%s", replacement->path);
    int folder = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return failed(replacement, "can't open the folder of", error);
    enum status status =
        fsync(folder) == 0 ? STATUS_OK : failed(replacement, "can't sync the folder of", error);
    close(folder);
    return status;
}

enum status replacement_commit(struct replacement *replacement, mode_t mode, char *error) {
    enum status status = STATUS_OK;
    if (!bring_to_disk(replacement, mode)) {
        status = failed(replacement, "can't write", error);
    } else if (rename(replacement->temporary, replacement->path) != 0) {
        status = failed(replacement, "can't rename to", error);
    }
    if (status != STATUS_OK) {
        replacement_abandon(replacement);
        return status;
    }
    fclose(replacement->out); /* all of it is on the disk */
    return sync_folder(replacement, error);
}
