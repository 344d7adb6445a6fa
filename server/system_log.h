/* syslog(3), in a file of its own since <syslog.h> and our log use the same names. Threads: any, once it is open. */
#pragma once

/* In the order of the option `syslog-facility`. */
enum system_log_facility {
    SYSTEM_LOG_USER,
    SYSTEM_LOG_LOCAL0, /* ... LOCAL7 */
    SYSTEM_LOG_LOCAL7 = SYSTEM_LOG_LOCAL0 + 7,
};

/* `name` stays the caller's and outlives the log. */
void system_log_open(const char *name, enum system_log_facility facility);
/* `level` is one of log.h's. */
void system_log_send(int level, const char *message);
