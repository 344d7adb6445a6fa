/* The configuration: redis.conf's syntax and names, one row an option (see config_table.c).
 *
 * An option is read as a plain field, with no lock: `config_number(&config->timeout)`. Text that may change while
 * the server runs is copied out instead, under a lock (`config_copy_text`); text of an immutable option may be read
 * where it lies. Every error is text for people, ready for a client or the console. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "config_lines.h"
#include "shards/base/bytes.h"
#include "shards/base/status.h"
#include "suggestion.h"

enum {
    CONFIG_TEXT_MAX = 1024,  /* bytes of any option's text, and a NUL */
    CONFIG_ERROR_MAX = 1024, /* bytes of an error, and a NUL */
    CONFIG_FILE_MAX = 1024 * 1024,
    CONFIG_INCLUDE_DEPTH_MAX = 16,
    CONFIG_SAVE_POINTS_MAX = 16,
    CONFIG_PLACE_MAX = 256, /* bytes of an origin's place, with its NUL */
};

/* What enumerated options hold; the words are in config_table.c, in this order. */
enum config_lock_mode { LOCK_MODE_SHARDED, LOCK_MODE_GLOBAL };
enum config_io { IO_AUTO, IO_URING, IO_EPOLL };
enum config_debug { DEBUG_COMMAND_NO, DEBUG_COMMAND_YES, DEBUG_COMMAND_LOCAL };
enum config_channels { CHANNELS_NONE, CHANNELS_ALL };
enum config_supervised { SUPERVISED_NO, SUPERVISED_AUTO, SUPERVISED_SYSTEMD };
enum config_tls_auth { TLS_AUTH_NO, TLS_AUTH_YES, TLS_AUTH_OPTIONAL };
enum config_clients { CLIENTS_NORMAL, CLIENTS_REPLICA, CLIENTS_PUBSUB, CLIENTS_CLASSES };

/* A number, a switch (0, 1) or the index of a word. Atomic, relaxed: alone, it promises nothing about
 * other memory. */
typedef _Atomic int64_t config_field;

struct config_buffer_limit {
    config_field hard_bytes, soft_bytes, soft_seconds; /* 0: none */
};

/* Where a value comes from: what CONFIG WHY tells. */
enum config_source { CONFIG_FROM_DEFAULT, CONFIG_FROM_FILE, CONFIG_FROM_FLAG, CONFIG_FROM_CLIENT };
struct config_origin {
    enum config_source source;
    int line;                     /* of the file */
    int64_t time_ms;              /* Unix, of a CONFIG SET */
    char place[CONFIG_PLACE_MAX]; /* the file's path, the flag, the client; as much as fits */
};

/* Fields bear the names of their options, and their units are told by the rows. */
struct config {
    /* Network */
    char bind[CONFIG_TEXT_MAX]; /* words */
    config_field port;
    config_field protected_mode;
    char unixsocket[CONFIG_TEXT_MAX];
    config_field unixsocketperm;
    config_field tcp_backlog, tcp_keepalive;
    config_field timeout;
    /* TLS; the texts may change: copy them */
    config_field tls_port;
    char tls_cert_file[CONFIG_TEXT_MAX], tls_key_file[CONFIG_TEXT_MAX];
    char tls_key_file_pass[CONFIG_TEXT_MAX];
    char tls_ca_cert_file[CONFIG_TEXT_MAX], tls_ca_cert_dir[CONFIG_TEXT_MAX];
    config_field tls_auth_clients;
    char tls_protocols[CONFIG_TEXT_MAX];
    char tls_ciphers[CONFIG_TEXT_MAX], tls_ciphersuites[CONFIG_TEXT_MAX];
    config_field tls_prefer_server_ciphers;
    config_field tls_session_caching, tls_session_cache_size, tls_session_cache_timeout;
    /* Clients */
    config_field maxclients;
    char requirepass[CONFIG_TEXT_MAX]; /* may change: copy it */
    char aclfile[CONFIG_TEXT_MAX];
    config_field acllog_max_len, acl_pubsub_default;
    char masteruser[CONFIG_TEXT_MAX], masterauth[CONFIG_TEXT_MAX]; /* nobody reads them yet */
    struct config_buffer_limit client_output_buffer_limit[CLIENTS_CLASSES];
    config_field client_query_buffer_limit;
    config_field maxmemory_clients; /* bytes; below zero: minus a percentage */
    config_field proto_max_bulk_len;
    /* Threads and shards */
    config_field workers, shards, lock_mode, io;
    config_field receive_buffer_count, receive_buffer_size;
    /* Data */
    config_field databases;
    config_field maxmemory, maxmemory_policy, maxmemory_samples;
    config_field lfu_log_factor, lfu_decay_time;
    config_field hz, active_expire_effort;
    config_field ttl_jitter_percent;
    config_field lease_stale_ms;
    config_field lazyfree_lazy_user_del, lazyfree_lazy_user_flush;
    config_field lazyfree_lazy_expire, lazyfree_lazy_server_del;
    /* Persistence */
    char save[CONFIG_TEXT_MAX];       /* words; may change: copy it */
    char dbfilename[CONFIG_TEXT_MAX]; /* may change: copy it */
    config_field rdbcompression, rdbchecksum, rdb_skip_unknown_types;
    config_field stop_writes_on_bgsave_error;
    config_field appendonly;
    char dir[CONFIG_TEXT_MAX];
    /* Process and log */
    config_field daemonize, supervised;
    char pidfile[CONFIG_TEXT_MAX], takeover_socket[CONFIG_TEXT_MAX];
    char logfile[CONFIG_TEXT_MAX];
    config_field loglevel, log_format;
    config_field syslog_enabled, syslog_facility;
    char syslog_ident[CONFIG_TEXT_MAX];
    /* Insight */
    config_field latency_tracking;
    char latency_tracking_info_percentiles[CONFIG_TEXT_MAX]; /* words; may change: copy it */
    config_field request_sampling;
    config_field slowlog_log_slower_than; /* microseconds; below zero: never */
    config_field slowlog_max_len, latency_monitor_threshold;
    config_field metrics_port;
    char metrics_bind[CONFIG_TEXT_MAX];
    config_field enable_debug_command;

    /* config.c's own. Lock order: change_lock, then text_lock. */
    struct config_origin *origins; /* text_lock; as many as there are options */
    bool has_save_points;          /* some were loaded: further ones add up. At start */
    char file
        [CONFIG_TEXT_MAX]; /* the file that was loaded, absolute; "": none. Immutable after start */
    char folder[CONFIG_TEXT_MAX]; /* where it includes relative paths from; "": here. The same */
    FILE *
        errors; /* loading tells each error here and goes on; NULL: it stops at the first. At start */
    size_t error_count; /* told there */
    /* Offers what else a flag may be: what goes first on the command line, instead of serving. NULL: nothing. At
     * start. */
    void (*offer_flags)(struct suggestion *suggestion);
    pthread_mutex_t change_lock; /* one CONFIG SET or REWRITE at a time */
    pthread_mutex_t text_lock;   /* held for a copy of text, in or out */
    struct config_lines user_lines, rename_lines, include_lines; /* immutable after start */
    /* Prints the users there are as `user` lines, for a rewrite; false when memory is refused. NULL: nobody does. */
    bool (*print_users)(void *context, FILE *out);
    const struct config_hook *hooks;
    size_t hook_count;
    void *hook_context;
};

static inline int64_t config_number(const config_field *field) {
    return atomic_load_explicit(field, memory_order_relaxed);
}
/* Copy the text of `field`, which is one of the configuration's. Any thread; not from where a lock of ours
 * is held. */
void config_copy_text(struct config *config, const char *field, char out[CONFIG_TEXT_MAX]);

/* Makes a change of an option take effect; called by the thread that changes the option, with the new value in place,
 * and those of all options that change with it: once, where several have the same `apply`. On failure nothing has taken
 * effect, `error` (CONFIG_ERROR_MAX bytes) says why, and the old value is put back. An option has one hook at most. */
struct config_option;
struct config_hook {
    const char *option;
    enum status (*apply)(void *context, struct config *config, char *error);
};

/* All defaults; NULL when memory is refused. */
struct config *config_create(void);
void config_destroy(struct config *config);
/* `hooks` stays the caller's and outlives the configuration. Before other threads run. */
void config_attach_hooks(struct config *config, const struct config_hook *hooks, size_t count,
                         void *context);

/* At start, one thread. Later settings win over earlier ones. Each returns STATUS_REFUSED with what is wrong and
 * where in `error` (CONFIG_ERROR_MAX bytes), and may have set some of the options by then. Where `errors` is set, each
 * is told there instead. */
/* A file, which config_rewrite will write to; "-": standard input. */
must_use enum status config_load_file(struct config *config, const char *path, char *error);
/* The text of a file, which is overwritten; `place` names it in errors. */
must_use enum status config_load_text(struct config *config, const char *place, char *text,
                                      size_t size, char *error);
/* "--name value ...", "--name=value", and both in one argument; without the program's name and that of a file. */
must_use enum status config_load_flags(struct config *config, int count, char *const *flags,
                                       char *error);

/* Where `errors` is set, `error` is told there and counted, and it's true: look at what follows, too. */
bool config_tells(struct config *config, const char *error);
/* The same, preceded by where the option was set, if it was. */
bool config_tells_of(struct config *config, const char *option, const char *error);
/* What is no error, but should be known, the same way; not counted. */
void config_warns_of(struct config *config, const char *option, const char *reason);

/* CONFIG GET: `each` is called for every option that matches one of the patterns, once; NULL: only count. Returns how
 * many match. `value` is valid during the call. Any thread. */
size_t config_get(struct config *config, const struct bytes *patterns, size_t count,
                  void (*each)(void *context, struct bytes name, struct bytes value),
                  void *context);
/* CONFIG SET: `count` arguments, name and value by turns; all are set or none. On failure `error` is the whole reply
 * ("ERR ..."). Any thread. */
struct config_request {
    const struct bytes *pairs;
    size_t count;
    const char *author; /* who asks, for config_origin */
    int64_t now_ms;
};
must_use enum status config_set(struct config *config, const struct config_request *request,
                                char *error);
/* Let the hook of an option see what it is about as if it had been set. STATUS_REFUSED: `reason` (CONFIG_ERROR_MAX
 * bytes) says why, and what held goes on. Any thread. */
must_use enum status config_apply_again(struct config *config, const char *name, char *reason);
/* Where the value of an option (one of config_options) comes from. Any thread. */
struct config_origin config_origin(struct config *config, const struct config_option *option);
/* The lines that `name`, in any case, begins: "user", whose text is forgotten once it was read, "rename-command", and
 * "include", whose text is the path. NULL: it is none of these. */
const struct config_lines *config_lines_find(struct config *config, struct bytes name);
/* CONFIG REWRITE: write what holds now into the file that was loaded, keeping its comments and order. On failure
 * `error` is the whole reply, and the file is as it was. Any thread. */
must_use enum status config_rewrite(struct config *config, char *error);

/* ---- The rows -------------------------------------------------------------------------------- */

enum config_kind {
    CONFIG_BOOLEAN, /* yes, no */
    CONFIG_INTEGER,
    CONFIG_MEMORY,       /* bytes, or with a unit: 64mb */
    CONFIG_MEMORY_SHARE, /* the same, or a percentage of the memory there is; kept in bytes */
    CONFIG_MEMORY_PART,  /* the same, or a percentage of maxmemory; kept as minus the percentage */
    CONFIG_OCTAL,
    CONFIG_ENUM, /* one of `choices` */
    CONFIG_STRING,
    CONFIG_WORDS,         /* any number of words */
    CONFIG_PERCENTILES,   /* words that are numbers from 0 to 100 */
    CONFIG_SAVE_POINTS,   /* seconds and changes: any number of times */
    CONFIG_FILE_NAME,     /* a string without a slash */
    CONFIG_BUFFER_LIMITS, /* class, hard, soft, seconds: any number of times */
};

enum {
    CONFIG_IMMUTABLE = 1, /* set at start only */
    CONFIG_NAMES_FILE =
        2, /* a CONFIG SET to the value it has takes effect, too: the file may have changed */
};

struct config_option {
    const char *name;
    enum config_kind kind;
    size_t field;               /* offset into struct config */
    const char *initial;        /* as a file would say it */
    int64_t min, max;           /* of a number, inclusive */
    const char *const *choices; /* of an enum; ends with NULL */
    const char *only_initial;   /* why nothing but `initial` is accepted; NULL: it isn't so */
    unsigned flags;
    const char *group; /* heading in --help */
    const char *unit;  /* of a number, for --help; may be NULL */
    const char *help;
};

/* In the order of --help: groups together. */
extern const struct config_option config_options[];
extern const size_t config_option_count;
