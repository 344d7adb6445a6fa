/* OBJECT: a value seen from outside. */
#include "server/call.h"
#include "server/server.h"
#include "shards/eviction_score.h"
#include "shards/types/string.h"

static struct entry *object_of(struct call *call) {
    struct entry *entry = call_read(call, 2);
    if (entry == NULL) reply_null(call->reply);
    return entry;
}

static void object_encoding(struct call *call) {
    const struct entry *entry = object_of(call);
    if (entry != NULL) reply_bulk_text(call->reply, string_encoding_name(entry));
}

static bool is_lfu(const struct call *call) {
    const struct eviction_rules *rules = &call->server->shards.eviction;
    return eviction_policy_is_lfu(atomic_load_explicit(&rules->policy, memory_order_relaxed));
}

static void object_frequency(struct call *call) {
    const struct entry *entry = object_of(call);
    if (entry == NULL) return;
    if (is_lfu(call)) {
        const struct eviction_rules *rules = &call->server->shards.eviction;
        reply_integer(call->reply, eviction_frequency(rules, entry, call->now_ms));
        return;
    }
    reply_error(call->reply, "ERR An LFU maxmemory policy is not selected, access frequency not "
                             "tracked. Please note that "
                             "when switching between policies at runtime LRU and LFU data will "
                             "take some time to adjust.");
}

static void object_idle_time(struct call *call) {
    const struct entry *entry = object_of(call);
    if (entry == NULL) return;
    if (is_lfu(call)) {
        reply_error(call->reply, "ERR An LFU maxmemory policy is selected, idle time not tracked. "
                                 "Please note that when switching between policies at runtime LRU "
                                 "and LFU data will take some time to adjust.");
        return;
    }
    uint32_t access = atomic_load_explicit(&entry->access, memory_order_relaxed);
    reply_integer(call->reply, eviction_idle_s(call->now_ms, access));
}

static void object_references(struct call *call) {
    if (object_of(call) != NULL) reply_integer(call->reply, 1);
}

static void object_help(struct call *call) {
    static const char *const lines[] = {
        "ENCODING <key>",
        "    Return the kind of internal representation used in order to store the value",
        "    associated with a <key>.",
        "FREQ <key>",
        "    Return the access frequency index of the <key>. The returned integer is",
        "    proportional to the logarithm of the recent access frequency of the key.",
        "IDLETIME <key>",
        "    Return the idle time of the <key>, that is the approximated number of",
        "    seconds elapsed since the last access to the key.",
        "REFCOUNT <key>",
        "    Return the number of references of the value associated with the specified",
        "    <key>.",
        NULL,
    };
    call_reply_help(call, lines);
}

/* ---- Rows ------------------------------------------------------------------------------------ */

static const struct command object_rows[] = {
    {.name = "object|encoding",
     .run = object_encoding,
     .arity = 3,
     .flags = COMMAND_READ | COMMAND_TOUCHES_NOTHING,
     .keys = ONE_KEY_AT(2),
     .group = GROUP_GENERIC,
     .since = "2.2.3",
     .complexity = "O(1)",
     .summary = "Returns how a value is kept.",
     .syntax = "key"},
    {.name = "object|freq",
     .run = object_frequency,
     .arity = 3,
     .flags = COMMAND_READ | COMMAND_TOUCHES_NOTHING,
     .keys = ONE_KEY_AT(2),
     .group = GROUP_GENERIC,
     .since = "4.0.0",
     .complexity = "O(1)",
     .summary = "Returns how often a key is used, under an LFU policy.",
     .syntax = "key"},
    {.name = "object|help",
     .run = object_help,
     .arity = 2,
     .flags = COMMAND_LOADING | COMMAND_STALE,
     .group = GROUP_GENERIC,
     .since = "6.2.0",
     .complexity = "O(1)",
     .summary = "Explains OBJECT.",
     .syntax = ""},
    {.name = "object|idletime",
     .run = object_idle_time,
     .arity = 3,
     .flags = COMMAND_READ | COMMAND_TOUCHES_NOTHING,
     .keys = ONE_KEY_AT(2),
     .group = GROUP_GENERIC,
     .since = "2.2.3",
     .complexity = "O(1)",
     .summary = "Returns the seconds since a key was last used.",
     .syntax = "key"},
    {.name = "object|refcount",
     .run = object_references,
     .arity = 3,
     .flags = COMMAND_READ | COMMAND_TOUCHES_NOTHING,
     .keys = ONE_KEY_AT(2),
     .group = GROUP_GENERIC,
     .since = "2.2.3",
     .complexity = "O(1)",
     .summary = "Returns 1: values are not shared between keys.",
     .syntax = "key"},
};

static const struct command rows[] = {
    {.name = "object",
     .arity = -2,
     .flags = 0,
     .group = GROUP_GENERIC,
     .since = "2.2.3",
     .complexity = "by subcommand",
     .summary = "Looks at a value from outside.",
     .syntax = "",
     .subcommands = object_rows,
     .subcommand_count = sizeof(object_rows) / sizeof(object_rows[0])},
};

const struct command_group_rows commands_object = {rows, sizeof(rows) / sizeof(rows[0])};
