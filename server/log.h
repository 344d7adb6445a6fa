/* The log: the only place that writes text for the operator. One line a message, as Redis writes them:
 *
 *      4711:M 24 Nov 2026 11:22:33.123 * Ready to accept connections
 *
 * the process, M (we are no replica), the local time, a mark for the level (. debug, - verbose, * notice, #
 * warning). The sink is one of the named exceptions to "no mutable globals". Threads: any; lines never mix, for
 * each is one write. */
#pragma once

#include "shards/base/status.h"

/* In the order of the option `loglevel`. */
enum log_level { LOG_DEBUG, LOG_VERBOSE, LOG_NOTICE, LOG_WARNING, LOG_NOTHING };

enum { LOG_LINE_MAX = 1024 }; /* bytes; a longer message is cut */

/* Append to the file `path`, or to standard output when it is "". STATUS_REFUSED when it cannot be opened, with
 * errno's text in the old sink. Call before other threads log. */
must_use enum status log_open(const char *path);
/* Messages below `level` are dropped from now on. At first: LOG_NOTICE. */
void log_set_level(enum log_level level);

/* Use the four below. */
__attribute__((format(printf, 2, 3))) void log_write(enum log_level level, const char *format, ...);

#define log_debug(...)   log_write(LOG_DEBUG, __VA_ARGS__)
#define log_verbose(...) log_write(LOG_VERBOSE, __VA_ARGS__)
#define log_notice(...)  log_write(LOG_NOTICE, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)
