/* The log: the only place that writes text for the operator. One line a message, as Redis writes them:
 *
 *      4711:M 24 Nov 2026 11:22:33.123 * Ready to accept connections
 *
 * the process, M (we are no replica), the local time, a mark for the level (. debug, - verbose, * notice, #
 * warning); or as JSON, an object a line:
 *
 *      {"time":"2026-11-24T10:22:33.123Z","level":"notice","pid":4711,"message":"Ready to accept connections"}
 *
 * and to syslog besides, if asked to. The sink is one of the named exceptions to "no mutable globals". Threads:
 * any; lines never mix, for each is one write. */
#pragma once

#include <stdbool.h>

#include "server/system_log.h"
#include "shards/base/status.h"

/* In the order of the options `loglevel` and `log-format`. */
enum log_level { LOG_DEBUG, LOG_VERBOSE, LOG_NOTICE, LOG_WARNING, LOG_NOTHING };
enum log_form { LOG_FORM_REDIS, LOG_FORM_JSON };

enum { LOG_LINE_MAX = 1024 }; /* bytes; a longer message is cut */

/* Append to the file `path`, or to standard output when it is "". STATUS_REFUSED when it cannot be opened, with
 * errno's text in the old sink. Any thread: others may log meanwhile, each line into the old file or the new one. */
must_use enum status log_open(const char *path);
/* Would it be opened, as far as can be seen without making it? STATUS_REFUSED: `error` (LOG_LINE_MAX bytes) says why
 * not. */
must_use enum status log_check(const char *path, char *error);
/* To syslog besides, from now on. Before other threads log. `name` outlives the log. */
void log_open_system(const char *name, enum system_log_facility facility);
/* Messages below `level` are dropped from now on. At first: LOG_NOTICE. */
void log_set_level(enum log_level level);
void log_set_form(enum log_form form);
/* Is anything of this level written? For messages that cost something to put together. */
bool log_has(enum log_level level);

/* Use the ones below. */
__attribute__((format(printf, 2, 3))) void log_write(enum log_level level, const char *format, ...);
/* The same, a few times a second for each `format` (log_limit.h). */
__attribute__((format(printf, 2, 3))) void log_write_limited(enum log_level level,
                                                             const char *format, ...);
/* Now and then: tell how many messages were held back. A load when none were. */
void log_tell_held_back(void);

#define log_debug(...)   log_write(LOG_DEBUG, __VA_ARGS__)
#define log_verbose(...) log_write(LOG_VERBOSE, __VA_ARGS__)
#define log_notice(...)  log_write(LOG_NOTICE, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)
/* For what a client can cause as often as it likes. */
#define log_verbose_limited(...) log_write_limited(LOG_VERBOSE, __VA_ARGS__)
#define log_warning_limited(...) log_write_limited(LOG_WARNING, __VA_ARGS__)
