#include "server/system_log.h"

#include <syslog.h>

void system_log_open(const char *name, enum system_log_facility facility) {
    static const int facilities[] = {LOG_USER,   LOG_LOCAL0, LOG_LOCAL1, LOG_LOCAL2, LOG_LOCAL3,
                                     LOG_LOCAL4, LOG_LOCAL5, LOG_LOCAL6, LOG_LOCAL7};
    openlog(name, LOG_PID | LOG_NDELAY | LOG_NOWAIT, facilities[facility]);
}

void system_log_send(int level, const char *message) {
    static const int priorities[] = {LOG_DEBUG, LOG_INFO, LOG_NOTICE, LOG_WARNING};
    syslog(priorities[level], "%s", message);
}
