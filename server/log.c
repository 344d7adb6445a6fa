#include "server/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "server/clock.h"

static _Atomic int sink = STDOUT_FILENO;     /* atomic, relaxed: set before other threads start */
static _Atomic int level_least = LOG_NOTICE; /* atomic, relaxed: any thread, at any time */

enum status log_open(const char *path) {
    int old = atomic_load_explicit(&sink, memory_order_relaxed);
    int file = STDOUT_FILENO;
    if (path[0] != '\0') {
        file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
        if (file < 0) {
            log_warning("Can't open the log file %s (option logfile): %s; may this user write there?",
                        path, strerror(errno));
            return STATUS_REFUSED;
        }
    }
    atomic_store_explicit(&sink, file, memory_order_relaxed);
    if (old != STDOUT_FILENO) close(old);
    return STATUS_OK;
}

void log_set_level(enum log_level level) {
    atomic_store_explicit(&level_least, (int)level, memory_order_relaxed);
}

/* What snprintf says it would have written, cut to what it has. */
static size_t written(int printed, size_t room) {
    if (printed < 0) return 0;
    return (size_t)printed < room ? (size_t)printed : room - 1;
}

void log_write(enum log_level level, const char *format, ...) {
    if ((int)level < atomic_load_explicit(&level_least, memory_order_relaxed)) return;
    char line[LOG_LINE_MAX];
    char time[CLOCK_TEXT_MAX];
    clock_local_text(clock_unix_ms(), time);
    size_t room = sizeof line - 1; /* the last byte is the line end's */
    size_t size =
        written(snprintf(line, room, "%d:M %s %c ", (int)getpid(), time, ".-*#"[level]), room);
    va_list values;
    va_start(values, format);
    size += written(vsnprintf(line + size, room - size, format, values), room - size);
    va_end(values);
    line[size++] = '\n';
    ssize_t ignored = write(atomic_load_explicit(&sink, memory_order_relaxed), line, size);
    (void)ignored; /* a full disk must not stop the server, and there is nobody left to tell */
}
