/* A command is one row: what it is called, what it needs, and the body that runs. Everything else is derived from it.
 *
 * Lookup, arity, access, which shards are locked and how, COMMAND and its documentation, statistics and
 * redis-compat.md all read the row. A body is thin: it reads the arguments, calls shards/, writes the
 * reply (server/commands/, a file a group, its rows at its end). Rows are immutable; any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct call;

enum command_flag {
    COMMAND_READ = 1 << 0,     /* its keys' shards are locked for reading */
    COMMAND_WRITE = 1 << 1,    /* ... for writing */
    COMMAND_DENY_OOM = 1 << 2, /* may need more memory */
    COMMAND_ADMIN = 1 << 3,
    COMMAND_FAST = 1 << 4, /* O(1) or O(log n): timed by sampling */
    COMMAND_NO_SCRIPT = 1 << 5,
    COMMAND_LOADING = 1 << 6,
    COMMAND_STALE = 1 << 7,
    COMMAND_NO_AUTH = 1 << 8, /* allowed before authentication */
    COMMAND_ALLOW_BUSY = 1 << 9,
    COMMAND_DANGEROUS = 1 << 10, /* only the ACL category */
    COMMAND_NOT_KEYED =
        1 << 11, /* reads or writes keys but takes the locks itself (KEYS, FLUSHALL) */
    COMMAND_UNPAUSED = 1 << 12, /* runs while clients are paused */
    COMMAND_TOUCHES_NOTHING =
        1 << 13,               /* a lookup leaves the key's access time alone (OBJECT, TTL, TYPE) */
    COMMAND_DELETES = 1 << 14, /* a key not there afterwards is to be nowhere (DEL, GETDEL) */
    /* Only the ACL categories: LASTSAVE, and COMMAND, which connections need. */
    COMMAND_CATEGORY_ADMIN = 1 << 15,
    COMMAND_CATEGORY_CONNECTION = 1 << 16,
    COMMAND_UNSAVED = 1 << 17, /* writes nothing that is saved: runs while saving fails */
};

enum command_group { GROUP_STRING, GROUP_GENERIC, GROUP_CONNECTION, GROUP_SERVER };

/* Arguments that are keys: from `first`, each `step`, up to `last` (negative: counted from the end). first
 * 0: none. */
struct command_keys {
    int8_t first, last, step;
};
#define NO_KEYS            ((struct command_keys){0, 0, 0})
#define ONE_KEY_AT(n)      ((struct command_keys){(n), (n), 1})
#define KEYS_FROM_TO(a, b) ((struct command_keys){(a), (b), 1})
#define KEYS_EACH(a, s)    ((struct command_keys){(a), -1, (s)})

struct command {
    const char *name;               /* lower case; a subcommand's is "client|id" */
    void (*run)(struct call *call); /* NULL: a container that has only subcommands */
    /* Of a writing command of one key that mostly finds nothing to write: tried first, under the lock for reading. True
     * when it has replied; otherwise it has done nothing, and `run` does it all. */
    bool (*run_reading)(struct call *call);
    int16_t arity; /* arguments with the name; negative: at least so many */
    struct command_keys keys;
    uint32_t flags;
    enum command_group group;
    const char *since; /* the version of Redis that had it first; of our own: of sherd */
    const char *summary;
    const char *complexity;
    const char *
        syntax; /* arguments as the manual writes them: "key [NX | XX] [GET] ..."; COMMAND DOCS is made from it */
    const struct command *subcommands;
    size_t subcommand_count;
};

/* The rows of a file. */
struct command_group_rows {
    const struct command *rows;
    size_t count;
};
extern const struct command_group_rows commands_strings, commands_keys, commands_expire,
    commands_object, commands_scan, commands_connection, commands_client, commands_server,
    commands_info, commands_config, commands_command, commands_debug, commands_persistence,
    commands_leases, commands_cache, commands_hotkeys, commands_acl, commands_slowlog,
    commands_latency, commands_workers, commands_monitor;
