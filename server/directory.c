#include "server/directory.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SHOWN_MAX = CONFIG_ERROR_MAX / 2 /* bytes of its path */ };

static const char *advice(int number) {
    switch (number) {
    case ENOENT:
        return "create it, or name another";
    case EACCES:
        return "let this user into it and the folders above, or name another";
    default:
        return "name another";
    }
}

/* Nobody who reads '.' knows where the server was started. */
static void show_path(const char *path, char shown[SHOWN_MAX + 1]) {
    char here[PATH_MAX];
    if (path[0] == '/' || getcwd(here, sizeof(here)) == NULL) {
        snprintf(shown, SHOWN_MAX + 1, "%.*s", SHOWN_MAX, path);
    } else if (strcmp(path, ".") == 0) {
        snprintf(shown, SHOWN_MAX + 1, "%.*s", SHOWN_MAX, here);
    } else {
        snprintf(shown, SHOWN_MAX + 1, "%.*s/%.*s", SHOWN_MAX / 2, here, SHOWN_MAX / 2 - 1, path);
    }
}

static enum status refuse_entering(const struct config *config, int number, char *error) {
    char shown[SHOWN_MAX + 1];
    show_path(config->dir, shown);
    snprintf(error, CONFIG_ERROR_MAX, "can't change to the directory '%s' (option dir): %s; %s",
             shown, strerror(number), advice(number));
    return STATUS_REFUSED;
}

enum status directory_enter(struct config *config, char *error) {
    if (chdir(config->dir) != 0 || getcwd(config->dir, sizeof(config->dir)) == NULL)
        return refuse_entering(config, errno, error);
    if (config->save[0] != '\0' && access(".", W_OK) != 0) {
        snprintf(error, CONFIG_ERROR_MAX,
                 "can't write to the directory '%.*s' (option dir), where the option save wants "
                 "snapshots: %s; give it to this user, or name another",
                 SHOWN_MAX, config->dir, strerror(errno));
        return STATUS_REFUSED;
    }
    return STATUS_OK;
}
