/* One row an option. To add one: a row here, and a field of its name in `struct config`. Names, defaults, ranges
 * and units are Redis's where it has the option; the group "Threads and shards" is ours alone. */
#include <limits.h>

#include "server/config.h"

#define FIELD(name) offsetof(struct config, name)

enum {
    KIB = 1024,
    MIB = 1024 * KIB,
};

static const char *const loglevels[] = {"debug", "verbose", "notice", "warning", "nothing", NULL};
static const char *const log_formats[] = {"redis", "json", NULL};
static const char *const syslog_facilities[] = {"user",   "local0", "local1", "local2", "local3",
                                                "local4", "local5", "local6", "local7", NULL};
static const char *const lock_modes[] = {"sharded", "global", NULL};
static const char *const io_engines[] = {"auto", "uring", "epoll", NULL};
static const char *const debug_modes[] = {"no", "yes", "local", NULL};
static const char *const channels_at_first[] = {"resetchannels", "allchannels", NULL};
static const char *const supervisors[] = {"no", "auto", "systemd", NULL};
/* As in enum eviction_policy (shards/eviction.h). */
static const char *const eviction_policies[] = {
    "noeviction",  "volatile-lru", "volatile-lfu",   "volatile-random",  "volatile-ttl",
    "allkeys-lru", "allkeys-lfu",  "allkeys-random", "allkeys-adaptive", NULL,
};

static const char network[] = "Network";
static const char clients[] = "Clients";
static const char threads[] = "Threads and shards";
static const char data[] = "Data";
static const char persistence[] = "Persistence";
static const char process[] = "Process and log";
static const char insight[] = "Insight";

static const char no_append_log[] = "sherd has no append log yet, so it accepts only no";
static const char no_daemon[] =
    "sherd stays in the foreground: let systemd or the shell's & put it into the background";

/* clang-format off */
const struct config_option config_options[] = {
    {.name = "bind", .kind = CONFIG_WORDS, .field = FIELD(bind), .initial = "127.0.0.1 -::1",
     .flags = CONFIG_IMMUTABLE, .group = network,
     .help = "Addresses to listen on; one behind a '-' may be missing"},
    {.name = "port", .kind = CONFIG_INTEGER, .field = FIELD(port), .initial = "6379", .max = 65535,
     .flags = CONFIG_IMMUTABLE, .group = network,
     .help = "TCP port to listen on; 0: none"},
    {.name = "protected-mode", .kind = CONFIG_BOOLEAN, .field = FIELD(protected_mode),
     .initial = "yes", .group = network,
     .help = "Refuse other hosts while there is no password"},
    {.name = "unixsocket", .kind = CONFIG_STRING, .field = FIELD(unixsocket), .initial = "",
     .flags = CONFIG_IMMUTABLE, .group = network,
     .help = "Path of a Unix socket to listen on"},
    {.name = "unixsocketperm", .kind = CONFIG_OCTAL, .field = FIELD(unixsocketperm),
     .initial = "0", .max = 0777, .flags = CONFIG_IMMUTABLE, .group = network,
     .help = "Its permissions; 0: as the umask leaves them"},
    {.name = "tcp-backlog", .kind = CONFIG_INTEGER, .field = FIELD(tcp_backlog), .initial = "511",
     .max = INT_MAX, .flags = CONFIG_IMMUTABLE, .group = network, .unit = "connections",
     .help = "Connections that may wait to be accepted"},
    {.name = "tcp-keepalive", .kind = CONFIG_INTEGER, .field = FIELD(tcp_keepalive),
     .initial = "300", .max = INT_MAX, .group = network, .unit = "seconds",
     .help = "Silence after which TCP asks whether the peer is alive; 0: never"},
    {.name = "timeout", .kind = CONFIG_INTEGER, .field = FIELD(timeout), .initial = "0",
     .max = INT_MAX, .group = network, .unit = "seconds",
     .help = "Close a client that has been idle for so long; 0: never"},

    {.name = "maxclients", .kind = CONFIG_INTEGER, .field = FIELD(maxclients), .initial = "10000",
     .min = 1, .max = UINT_MAX, .group = clients,
     .help = "Clients connected at a time"},
    {.name = "requirepass", .kind = CONFIG_STRING, .field = FIELD(requirepass), .initial = "",
     .group = clients,
     .help = "Password of the default user; empty: none"},
    {.name = "aclfile", .kind = CONFIG_STRING, .field = FIELD(aclfile), .initial = "",
     .flags = CONFIG_IMMUTABLE, .group = clients,
     .help = "File of users, instead of `user` lines here"},
    {.name = "acllog-max-len", .kind = CONFIG_INTEGER, .field = FIELD(acllog_max_len),
     .initial = "128", .max = 65536, .group = clients, .unit = "entries",
     .help = "Denials that ACL LOG remembers"},
    {.name = "acl-pubsub-default", .kind = CONFIG_ENUM, .field = FIELD(acl_pubsub_default),
     .initial = "resetchannels", .choices = channels_at_first, .group = clients,
     .help = "Whether a new user may use all channels"},
    {.name = "masteruser", .kind = CONFIG_STRING, .field = FIELD(masteruser), .initial = "",
     .group = clients,
     .help = "Accepted; there is no replication yet"},
    {.name = "masterauth", .kind = CONFIG_STRING, .field = FIELD(masterauth), .initial = "",
     .group = clients,
     .help = "Accepted; there is no replication yet"},
    {.name = "client-output-buffer-limit", .kind = CONFIG_BUFFER_LIMITS,
     .field = FIELD(client_output_buffer_limit),
     .initial = "normal 256mb 0 0 replica 256mb 64mb 60 pubsub 32mb 8mb 60", .group = clients,
     .help = "Close a client whose unsent replies pass the hard limit (the soft ones are accepted)"},
    {.name = "client-query-buffer-limit", .kind = CONFIG_MEMORY,
     .field = FIELD(client_query_buffer_limit), .initial = "1gb", .min = MIB, .max = LONG_MAX,
     .group = clients, .unit = "bytes",
     .help = "Close a client when its unfinished request passes this"},
    {.name = "maxmemory-clients", .kind = CONFIG_MEMORY_PART, .field = FIELD(maxmemory_clients),
     .initial = "10%", .max = LONG_MAX, .group = clients, .unit = "bytes",
     .help = "Memory for all clients' input and replies, or 1% to 100% of maxmemory; beyond it the worst is "
             "closed; 0: no limit"},
    {.name = "proto-max-bulk-len", .kind = CONFIG_MEMORY, .field = FIELD(proto_max_bulk_len),
     .initial = "512mb", .min = MIB, .max = LONG_MAX, .group = clients, .unit = "bytes",
     .help = "Size of an argument, and so of a string"},

    {.name = "workers", .kind = CONFIG_INTEGER, .field = FIELD(workers), .initial = "0",
     .max = 1024, .flags = CONFIG_IMMUTABLE, .group = threads,
     .help = "Threads that serve clients; 0: as many as the CPUs we may use"},
    {.name = "shards", .kind = CONFIG_INTEGER, .field = FIELD(shards), .initial = "0",
     .max = 64 * KIB, .flags = CONFIG_IMMUTABLE, .group = threads,
     .help = "Parts of the data, each with its lock, rounded up to a power of two; 0: 16 a worker"},
    {.name = "lock-mode", .kind = CONFIG_ENUM, .field = FIELD(lock_mode), .initial = "sharded",
     .choices = lock_modes, .flags = CONFIG_IMMUTABLE, .group = threads,
     .help = "A lock a shard, or a single map under one lock, to compare"},
    {.name = "io", .kind = CONFIG_ENUM, .field = FIELD(io), .initial = "auto",
     .choices = io_engines, .flags = CONFIG_IMMUTABLE, .group = threads,
     .help = "Network engine; auto: io_uring where the kernel allows it, else epoll"},
    {.name = "receive-buffer-count", .kind = CONFIG_INTEGER, .field = FIELD(receive_buffer_count),
     .initial = "256", .min = 8, .max = 32 * KIB, .flags = CONFIG_IMMUTABLE, .group = threads,
     .help = "Buffers a worker lends the kernel to receive into, rounded up to a power of two"},
    {.name = "receive-buffer-size", .kind = CONFIG_MEMORY, .field = FIELD(receive_buffer_size),
     .initial = "8kb", .min = KIB, .max = MIB, .flags = CONFIG_IMMUTABLE, .group = threads,
     .unit = "bytes",
     .help = "Size of each"},

    {.name = "databases", .kind = CONFIG_INTEGER, .field = FIELD(databases), .initial = "16",
     .min = 1, .max = INT_MAX, .flags = CONFIG_IMMUTABLE, .group = data,
     .help = "Databases that SELECT knows"},
    {.name = "maxmemory", .kind = CONFIG_MEMORY_SHARE, .field = FIELD(maxmemory), .initial = "0",
     .max = LONG_MAX, .group = data, .unit = "bytes",
     .help = "Memory sherd may take, or 1% to 100% of what the cgroup or the machine has; 0: no limit"},
    {.name = "maxmemory-policy", .kind = CONFIG_ENUM, .field = FIELD(maxmemory_policy),
     .initial = "noeviction", .choices = eviction_policies, .group = data,
     .help = "What to evict at the limit; allkeys-adaptive is the best for a cache"},
    {.name = "maxmemory-samples", .kind = CONFIG_INTEGER, .field = FIELD(maxmemory_samples),
     .initial = "5", .min = 1, .max = 64, .group = data, .unit = "keys",
     .help = "Keys looked at for one that is evicted, at least"},
    {.name = "lfu-log-factor", .kind = CONFIG_INTEGER, .field = FIELD(lfu_log_factor),
     .initial = "10", .max = INT_MAX, .group = data,
     .help = "How much more uses each further count takes, under an LFU policy"},
    {.name = "lfu-decay-time", .kind = CONFIG_INTEGER, .field = FIELD(lfu_decay_time),
     .initial = "1", .max = INT_MAX, .group = data, .unit = "minutes",
     .help = "A count is lost after so long without use, under an LFU policy; 0: never"},
    {.name = "hz", .kind = CONFIG_INTEGER, .field = FIELD(hz), .initial = "10", .min = 1,
     .max = 500, .group = data, .unit = "times a second",
     .help = "Accepted; the pace of upkeep follows the work there is"},
    {.name = "active-expire-effort", .kind = CONFIG_INTEGER, .field = FIELD(active_expire_effort),
     .initial = "1", .min = 1, .max = 10, .group = data,
     .help = "Accepted; the sweep knows where keys are due"},
    {.name = "ttl-jitter-percent", .kind = CONFIG_INTEGER, .field = FIELD(ttl_jitter_percent),
     .initial = "0", .max = 90, .group = data, .unit = "percent",
     .help = "Shorten each time to live by chance, by so much at most; EXAT and its like stay exact"},
    {.name = "lease-stale-ms", .kind = CONFIG_INTEGER, .field = FIELD(lease_stale_ms),
     .initial = "0", .max = 3600000, .group = data, .unit = "milliseconds",
     .help = "Keep expired values in memory for so long, for GETLEASE with STALE to show"},
    {.name = "lazyfree-lazy-user-del", .kind = CONFIG_BOOLEAN,
     .field = FIELD(lazyfree_lazy_user_del), .initial = "no", .group = data,
     .help = "Accepted; DEL always frees large values in the background"},
    {.name = "lazyfree-lazy-user-flush", .kind = CONFIG_BOOLEAN,
     .field = FIELD(lazyfree_lazy_user_flush), .initial = "no", .group = data,
     .help = "FLUSHALL and FLUSHDB free in the background, as with ASYNC"},
    {.name = "lazyfree-lazy-expire", .kind = CONFIG_BOOLEAN, .field = FIELD(lazyfree_lazy_expire),
     .initial = "no", .group = data,
     .help = "Accepted; so are those that expire, always"},
    {.name = "lazyfree-lazy-server-del", .kind = CONFIG_BOOLEAN,
     .field = FIELD(lazyfree_lazy_server_del), .initial = "no", .group = data,
     .help = "Accepted; so are those that a command overwrites, always"},

    {.name = "save", .kind = CONFIG_SAVE_POINTS, .field = FIELD(save), .initial = "",
     .group = persistence,
     .help = "Write a snapshot after so many seconds if so many keys changed; at the end, too"},
    {.name = "dbfilename", .kind = CONFIG_FILE_NAME, .field = FIELD(dbfilename),
     .initial = "dump.rdb", .group = persistence,
     .help = "File of the snapshot, in dir; read at start"},
    {.name = "rdbcompression", .kind = CONFIG_BOOLEAN, .field = FIELD(rdbcompression),
     .initial = "yes", .group = persistence,
     .help = "Compress strings of more than 20 bytes in it"},
    {.name = "rdbchecksum", .kind = CONFIG_BOOLEAN, .field = FIELD(rdbchecksum),
     .initial = "yes", .group = persistence,
     .help = "End it with a checksum"},
    {.name = "rdb-skip-unknown-types", .kind = CONFIG_BOOLEAN,
     .field = FIELD(rdb_skip_unknown_types), .initial = "no", .flags = CONFIG_IMMUTABLE,
     .group = persistence,
     .help = "Load a file without the keys whose types sherd lacks; no: refuse it"},
    {.name = "stop-writes-on-bgsave-error", .kind = CONFIG_BOOLEAN,
     .field = FIELD(stop_writes_on_bgsave_error), .initial = "yes", .group = persistence,
     .help = "Refuse writes while the last snapshot failed, if there is a save option"},
    {.name = "appendonly", .kind = CONFIG_BOOLEAN, .field = FIELD(appendonly), .initial = "no",
     .only_initial = no_append_log, .group = persistence,
     .help = "Log every write; nothing else than no yet"},
    {.name = "dir", .kind = CONFIG_STRING, .field = FIELD(dir), .initial = ".",
     .flags = CONFIG_IMMUTABLE, .group = persistence,
     .help = "Working directory"},

    {.name = "daemonize", .kind = CONFIG_BOOLEAN, .field = FIELD(daemonize), .initial = "no",
     .only_initial = no_daemon, .flags = CONFIG_IMMUTABLE, .group = process,
     .help = "Nothing else than no: systemd or the shell's & does it"},
    {.name = "supervised", .kind = CONFIG_ENUM, .field = FIELD(supervised), .initial = "no",
     .choices = supervisors, .flags = CONFIG_IMMUTABLE, .group = process,
     .help = "Tell systemd when we are ready; auto: when it asks for it"},
    {.name = "pidfile", .kind = CONFIG_STRING, .field = FIELD(pidfile), .initial = "",
     .flags = CONFIG_IMMUTABLE, .group = process,
     .help = "File to write our process number to"},
    {.name = "logfile", .kind = CONFIG_STRING, .field = FIELD(logfile), .initial = "",
     .flags = CONFIG_IMMUTABLE, .group = process,
     .help = "File to log to, opened anew by SIGHUP; empty: standard output"},
    {.name = "loglevel", .kind = CONFIG_ENUM, .field = FIELD(loglevel), .initial = "notice",
     .choices = loglevels, .group = process,
     .help = "The least that is logged"},
    {.name = "log-format", .kind = CONFIG_ENUM, .field = FIELD(log_format), .initial = "redis",
     .choices = log_formats, .group = process,
     .help = "A line of Redis's a message, or an object of JSON a line"},
    {.name = "syslog-enabled", .kind = CONFIG_BOOLEAN, .field = FIELD(syslog_enabled),
     .initial = "no", .flags = CONFIG_IMMUTABLE, .group = process,
     .help = "Log to syslog besides"},
    {.name = "syslog-ident", .kind = CONFIG_STRING, .field = FIELD(syslog_ident),
     .initial = "sherd", .flags = CONFIG_IMMUTABLE, .group = process,
     .help = "Our name there"},
    {.name = "syslog-facility", .kind = CONFIG_ENUM, .field = FIELD(syslog_facility),
     .initial = "local0", .choices = syslog_facilities, .flags = CONFIG_IMMUTABLE,
     .group = process,
     .help = "Our facility there"},

    {.name = "latency-tracking", .kind = CONFIG_BOOLEAN, .field = FIELD(latency_tracking),
     .initial = "yes", .group = insight,
     .help = "Keep a latency histogram for every command"},
    {.name = "latency-tracking-info-percentiles", .kind = CONFIG_PERCENTILES,
     .field = FIELD(latency_tracking_info_percentiles), .initial = "50 99 99.9", .group = insight,
     .help = "Which of its percentiles INFO shows"},
    {.name = "request-sampling", .kind = CONFIG_BOOLEAN, .field = FIELD(request_sampling),
     .initial = "yes", .group = insight,
     .help = "Note one request in 128, for HOTKEYS and CACHE PREFIXES"},
    {.name = "enable-debug-command", .kind = CONFIG_ENUM, .field = FIELD(enable_debug_command),
     .initial = "local", .choices = debug_modes, .flags = CONFIG_IMMUTABLE, .group = insight,
     .help = "Who may use DEBUG; local: clients of this host"},
};
/* clang-format on */

const size_t config_option_count = sizeof config_options / sizeof config_options[0];
