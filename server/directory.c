#include "server/directory.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { SHOWN_MAX = CONFIG_ERROR_MAX / 2 /* bytes of its path */ };

enum status directory_enter(struct config *config, char *error) {
    if (chdir(config->dir) != 0 || getcwd(config->dir, sizeof(config->dir)) == NULL) {
        snprintf(error, CONFIG_ERROR_MAX,
                 "can't change to the directory '%.*s' (option dir): %s; create it, or name "
                 "another",
                 SHOWN_MAX, config->dir, strerror(errno));
        return STATUS_REFUSED;
    }
    if (config->save[0] != '\0' && access(".", W_OK) != 0) {
        snprintf(error, CONFIG_ERROR_MAX,
                 "can't write to the directory '%.*s' (option dir), where the option save wants "
                 "snapshots: %s; give it to this user, or name another",
                 SHOWN_MAX, config->dir, strerror(errno));
        return STATUS_REFUSED;
    }
    return STATUS_OK;
}
