/* One row a change. A version and a name are all the rest needs: since when an argument is there isn't written a second
 * time in the syntax, but is the first change that quotes it. Versions are Redis's; what sherd has from elsewhere
 * (IFEQ) has none, for a client would compare it with `redis_version`. */
#include "command_history.h"

#include <string.h>

/* clang-format off: a row reads best as a row */
static const struct command_change changes[] = {
    {"acl|getuser", "6.2.0", "Shows channels.", NULL},
    {"acl|getuser", "7.0.0", "Shows selectors, and keys and channels as the rules that they are.",
     NULL},
    {"acl|log", "7.2.0", "Shows each entry's number, and when it was made and last met again.",
     NULL},
    {"acl|setuser", "6.2.0", "Added rules about channels.", NULL},
    {"acl|setuser", "7.0.0", "Added selectors, and rules about reading or writing keys.", NULL},
    {"auth", "6.0.0", "Added the `username`.", NULL},
    {"bgsave", "3.2.2", "Added `SCHEDULE`.", NULL},
    {"client|kill", "2.8.12", "Added filters.", "ip:port"},
    {"client|kill", "2.8.12", "Added the filters `ID` and `TYPE`.", NULL},
    {"client|kill", "3.2.0", "Added the type `MASTER`.", NULL},
    {"client|kill", "5.0.0", "Added the type `REPLICA`, a newer word for slave.", NULL},
    {"client|kill", "6.2.0", "Added the filter `LADDR`.", NULL},
    {"client|kill", "7.4.0", "Added the filter `MAXAGE`.", NULL},
    {"client|list", "2.8.12", "Shows the field id.", NULL},
    {"client|list", "5.0.0", "Added `TYPE`.", NULL},
    {"client|list", "6.0.0", "Shows the field user.", NULL},
    {"client|list", "6.2.0", "Added `ID`; shows the fields argv-mem, tot-mem, laddr and redir.",
     NULL},
    {"client|list", "7.0.0", "Shows the fields resp, multi-mem, rbs and rbp.", NULL},
    {"client|list", "7.0.3", "Shows the field ssub.", NULL},
    {"client|pause", "6.2.0", "Added the `mode`: `WRITE` or `ALL`.", NULL},
    {"command|info", "7.0.0", "Without a name tells of all commands.", NULL},
    {"config|get", "7.0.0", "Takes several parameters.", NULL},
    {"config|set", "7.0.0", "Takes several parameters.", NULL},
    {"exists", "3.0.3", "Takes several keys.", NULL},
    {"expire", "7.0.0", "Added the `condition`: `NX`, `XX`, `GT` or `LT`.", NULL},
    {"expireat", "7.0.0", "Added the `condition`: `NX`, `XX`, `GT` or `LT`.", NULL},
    {"flushall", "4.0.0", "Added `ASYNC`.", NULL},
    {"flushall", "6.2.0", "Added `SYNC`.", NULL},
    {"flushdb", "4.0.0", "Added `ASYNC`.", NULL},
    {"flushdb", "6.2.0", "Added `SYNC`.", NULL},
    {"hello", "6.2.0", "Without arguments tells of the connection as it is.", NULL},
    {"info", "7.0.0", "Takes several sections.", NULL},
    {"pexpire", "7.0.0", "Added the `condition`: `NX`, `XX`, `GT` or `LT`.", NULL},
    {"pexpireat", "7.0.0", "Added the `condition`: `NX`, `XX`, `GT` or `LT`.", NULL},
    {"pttl", "2.8.0", "Replies -2 when there is no such key.", NULL},
    {"renamenx", "3.2.0", "The same name twice is no longer an error.", NULL},
    {"scan", "6.0.0", "Added `TYPE`.", NULL},
    {"set", "2.6.12", "Added `EX` and `PX`, and the `condition`: `NX` or `XX`.", NULL},
    {"set", "6.0.0", "Added `KEEPTTL`.", NULL},
    {"set", "6.2.0", "Added `GET`, `EXAT` and `PXAT`.", NULL},
    {"set", "7.0.0", "Takes `NX` and `GET` together.", NULL},
    {"shutdown", "7.0.0", "Added `NOW`, `FORCE` and `ABORT`.", NULL},
    {"slowlog|get", "4.0.0", "Shows the client's address and name.", NULL},
    {"ttl", "2.8.0", "Replies -2 when there is no such key.", NULL},
};

static const struct command_mark marks[] = {
    {"debug", "syscmd", NULL, NULL},
    {"getset", "deprecated", "6.2.0", "`SET` with the `!GET` argument"},
    {"quit", "deprecated", "7.2.0", "just closing the connection"},
    {"substr", "deprecated", "2.0.0", "`GETRANGE`"},
};
/* clang-format on */

enum {
    CHANGES = sizeof(changes) / sizeof(changes[0]),
    MARKS = sizeof(marks) / sizeof(marks[0]),
};

struct command_history command_history_of(const struct command *row) {
    struct command_history history = {0};
    for (size_t i = 0; i < CHANGES; i++) {
        if (strcmp(changes[i].command, row->name) != 0) continue;
        if (history.count++ == 0) history.changes = &changes[i];
    }
    return history;
}

struct command_history command_history_of_all(void) {
    return (struct command_history){changes, CHANGES};
}

const struct command_mark *command_mark_of(const struct command *row) {
    for (size_t i = 0; i < MARKS; i++) {
        if (strcmp(marks[i].command, row->name) == 0) return &marks[i];
    }
    return NULL;
}

static bool quotes(const char *text, struct bytes name) {
    for (const char *quote = strchr(text, '`'); quote != NULL;) {
        size_t size = strcspn(quote + 1, "`");
        if (bytes_equal(bytes_of(quote + 1, size), name)) return true;
        quote = strchr(quote + 1 + size + 1, '`');
    }
    return false;
}

const char *command_history_since(struct command_history history, struct bytes name) {
    for (size_t i = 0; i < history.count; i++) {
        if (quotes(history.changes[i].text, name)) return history.changes[i].version;
    }
    return NULL;
}

const char *command_history_deprecated(struct command_history history, struct bytes name) {
    for (size_t i = 0; i < history.count; i++) {
        const char *deprecated = history.changes[i].deprecated;
        if (deprecated != NULL && bytes_equal(bytes_of_text(deprecated), name))
            return history.changes[i].version;
    }
    return NULL;
}
