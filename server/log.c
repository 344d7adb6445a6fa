/* A file is replaced by putting the new one in the place of the old descriptor, so a thread that is about to write
 * needs no lock: it writes to the one or the other. The only lock is that of the messages which are limited. */
#include "server/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "server/clock.h"
#include "server/json_text.h"
#include "server/log_limit.h"
#include "shards/base/path.h"

static _Atomic int sink = STDOUT_FILENO;     /* atomic, relaxed: any thread */
static _Atomic int level_least = LOG_NOTICE; /* atomic, relaxed: any thread, at any time */
static _Atomic int form = LOG_FORM_REDIS;    /* the same */
static _Atomic uint64_t lines_lost;          /* atomic, relaxed: not told of yet */
static _Atomic bool has_system_log;          /* atomic, relaxed: set before other threads start */

static pthread_mutex_t limit_lock =
    PTHREAD_MUTEX_INITIALIZER;     /* a leaf: nothing is taken or written under it */
static struct log_limit limit;     /* limit_lock */
static _Atomic bool has_held_back; /* atomic, relaxed: a hint, changed under limit_lock */

/* ---- Where to -------------------------------------------------------------------------------- */

static const char *advice(int number) {
    if (number == EACCES) return "; may this user write there?";
    return number == ENOENT ? "; create its folder" : "";
}

static enum status refuse_file(const char *path, int number, char *error) {
    snprintf(error, LOG_LINE_MAX, "Can't open the log file %.*s (option logfile): %s%s",
             LOG_LINE_MAX / 2, path, strerror(number), advice(number));
    return STATUS_REFUSED;
}

enum status log_check(const char *path, char *error) {
    int number = path_refuses_writing(path);
    return number == 0 ? STATUS_OK : refuse_file(path, number, error);
}

enum status log_open(const char *path) {
    int old = atomic_load_explicit(&sink, memory_order_relaxed);
    if (path[0] == '\0') {
        atomic_store_explicit(&sink, STDOUT_FILENO, memory_order_relaxed);
        if (old != STDOUT_FILENO) close(old);
        return STATUS_OK;
    }
    int file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (file < 0) {
        char error[LOG_LINE_MAX];
        enum status status = refuse_file(path, errno, error);
        log_warning("%s", error);
        return status;
    }
    if (old == STDOUT_FILENO) {
        atomic_store_explicit(&sink, file, memory_order_relaxed);
        return STATUS_OK;
    }
    int replaced = dup3(file, old, O_CLOEXEC);
    close(file);
    return replaced >= 0 ? STATUS_OK : STATUS_REFUSED;
}

void log_open_system(const char *name, enum system_log_facility facility) {
    system_log_open(name, facility);
    atomic_store_explicit(&has_system_log, true, memory_order_relaxed);
}

void log_set_level(enum log_level level) {
    atomic_store_explicit(&level_least, (int)level, memory_order_relaxed);
}

bool log_has(enum log_level level) {
    return (int)level >= atomic_load_explicit(&level_least, memory_order_relaxed);
}

void log_set_form(enum log_form chosen) {
    atomic_store_explicit(&form, (int)chosen, memory_order_relaxed);
}

/* ---- Lines ----------------------------------------------------------------------------------- */

/* What snprintf says it would have written, cut to what it has. */
static size_t written(int printed, size_t room) {
    if (printed < 0) return 0;
    return (size_t)printed < room ? (size_t)printed : room - 1;
}

static size_t write_redis_line(char *line, size_t room, enum log_level level, const char *message) {
    char time[CLOCK_TEXT_MAX];
    clock_local_text(clock_unix_ms(), time);
    return written(
        snprintf(line, room, "%d:M %s %c %s", (int)getpid(), time, ".-*#"[level], message), room);
}

static size_t write_json_line(char *line, size_t room, enum log_level level, const char *message) {
    static const char *const names[] = {"debug", "verbose", "notice", "warning"};
    static const char end[] = "\"}";
    char time[CLOCK_TEXT_MAX];
    clock_utc_text(clock_unix_ms(), time);
    size_t size =
        written(snprintf(line, room, "{\"time\":\"%s\",\"level\":\"%s\",\"pid\":%d,\"message\":\"",
                         time, names[level], (int)getpid()),
                room);
    size += json_text_write(line + size, room - size - (sizeof end - 1), message);
    memcpy(line + size, end, sizeof end - 1);
    return size + sizeof end - 1;
}

/* False: not all of it was written. */
static bool put(enum log_level level, const char *message, bool ends_line_before) {
    char bytes[1 + LOG_LINE_MAX] = "\n", *line = bytes + 1;
    size_t room = LOG_LINE_MAX - 1; /* the last byte is the line end's */
    size_t size = atomic_load_explicit(&form, memory_order_relaxed) == LOG_FORM_JSON
                      ? write_json_line(line, room, level, message)
                      : write_redis_line(line, room, level, message);
    line[size++] = '\n';
    if (ends_line_before) {
        line--;
        size++;
    }
    return write(atomic_load_explicit(&sink, memory_order_relaxed), line, size) == (ssize_t)size;
}

/* A full disk must not stop the server; once there is room again, the log says that lines are missing. The last of them
 * may have its beginning there. */
static void tell_lost(void) {
    uint64_t count = atomic_exchange_explicit(&lines_lost, 0, memory_order_relaxed);
    if (count == 0) return;
    char message[128];
    snprintf(message, sizeof message,
             "%llu lines could not be written to this log and are lost; was the disk full?",
             (unsigned long long)count);
    if (!put(LOG_WARNING, message, true))
        atomic_fetch_add_explicit(&lines_lost, count, memory_order_relaxed);
}

static void emit(enum log_level level, const char *message) {
    if (atomic_load_explicit(&lines_lost, memory_order_relaxed) != 0) tell_lost();
    if (!put(level, message, false))
        atomic_fetch_add_explicit(&lines_lost, 1, memory_order_relaxed);
    if (atomic_load_explicit(&has_system_log, memory_order_relaxed))
        system_log_send((int)level, message);
}

static __attribute__((format(printf, 2, 0))) void emit_values(enum log_level level,
                                                              const char *format, va_list values) {
    char message[LOG_LINE_MAX];
    vsnprintf(message, sizeof message, format, values);
    emit(level, message);
}

void log_write(enum log_level level, const char *format, ...) {
    if (!log_has(level)) return;
    va_list values;
    va_start(values, format);
    emit_values(level, format, values);
    va_end(values);
}

/* ---- Limited ones ---------------------------------------------------------------------------- */

static int64_t now_ms(void) {
    return clock_monotonic_ns() / 1000000;
}

static bool is_admitted(enum log_level level, const char *format) {
    pthread_mutex_lock(&limit_lock);
    bool is_admitted = log_limit_admits(&limit, format, (int)level, now_ms());
    if (!is_admitted) atomic_store_explicit(&has_held_back, true, memory_order_relaxed);
    pthread_mutex_unlock(&limit_lock);
    return is_admitted;
}

void log_write_limited(enum log_level level, const char *format, ...) {
    if (!log_has(level) || !is_admitted(level, format)) return;
    va_list values;
    va_start(values, format);
    emit_values(level, format, values);
    va_end(values);
}

static bool take_held_back(struct log_limit_rest *rest) {
    pthread_mutex_lock(&limit_lock);
    bool is_taken = log_limit_take(&limit, now_ms(), rest);
    if (!is_taken && !log_limit_holds(&limit))
        atomic_store_explicit(&has_held_back, false, memory_order_relaxed);
    pthread_mutex_unlock(&limit_lock);
    return is_taken;
}

/* The kind's own words up to what differs: "Closing client ...: 312 more like this". */
void log_tell_held_back(void) {
    if (!atomic_load_explicit(&has_held_back, memory_order_relaxed)) return;
    for (struct log_limit_rest rest; take_held_back(&rest);) {
        const char *words = rest.kind;
        log_write((enum log_level)rest.level, "%.*s...: %llu more like this",
                  (int)strcspn(words, "%"), words, (unsigned long long)rest.count);
    }
}
