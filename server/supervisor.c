#include "supervisor.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"
#include "shards/base/number.h"

bool supervisor_is_wanted(const struct config *config) {
    int64_t wish = config_number(&config->supervised);
    if (wish == SUPERVISED_NO) return false;
    if (getenv("NOTIFY_SOCKET") != NULL) return true;
    if (wish == SUPERVISED_SYSTEMD) {
        log_warning(
            "supervised is systemd, but NOTIFY_SOCKET isn't set: is this a unit of Type=notify?");
    }
    return false;
}

int64_t supervisor_watchdog_ms(void) {
    const char *limit = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    int64_t limit_us, whose;
    if (limit == NULL || !number_read(bytes_of_text(limit), &limit_us) || limit_us <= 0) return 0;
    if (pid != NULL && (!number_read(bytes_of_text(pid), &whose) || whose != getpid())) return 0;
    return limit_us / 1000;
}

void supervisor_notify(const char *state) {
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = path != NULL ? strlen(path) : 0;
    if (size == 0 || size >= sizeof(address.sun_path)) return;
    memcpy(address.sun_path, path, size);
    if (path[0] == '@') address.sun_path[0] = 0; /* an abstract socket */
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 ||
        sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, length) < 0) {
        log_warning("Could not tell systemd %s through %s: %s", state, path, strerror(errno));
    }
    if (fd >= 0) close(fd);
}
