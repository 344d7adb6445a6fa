#include "command_facts.h"

#include <string.h>

static void add(struct facts *facts, const char *word) {
    facts->words[facts->count++] = word;
}

struct facts command_flag_words(const struct command *row) {
    static const struct {
        uint32_t flag;
        const char *word;
    } words[] = {
        {COMMAND_WRITE, "write"},        {COMMAND_READ, "readonly"},
        {COMMAND_DENY_OOM, "denyoom"},   {COMMAND_ADMIN, "admin"},
        {COMMAND_NO_SCRIPT, "noscript"}, {COMMAND_LOADING, "loading"},
        {COMMAND_STALE, "stale"},        {COMMAND_FAST, "fast"},
        {COMMAND_NO_AUTH, "no_auth"},    {COMMAND_ALLOW_BUSY, "allow_busy"},
    };
    struct facts facts = {0};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (row->flags & words[i].flag) add(&facts, words[i].word);
    }
    return facts;
}

/* A container does nothing itself, so it belongs to no group. */
struct facts command_categories(const struct command *row) {
    bool is_body = row->run != NULL;
    bool takes_all_keys = row->group == GROUP_SERVER && (row->flags & COMMAND_NOT_KEYED);
    struct facts facts = {0};
    if (is_body && (row->group == GROUP_GENERIC || takes_all_keys)) add(&facts, "@keyspace");
    if (row->flags & COMMAND_READ) add(&facts, "@read");
    if (row->flags & COMMAND_WRITE) add(&facts, "@write");
    if (is_body && row->group == GROUP_STRING) add(&facts, "@string");
    if (row->flags & (COMMAND_ADMIN | COMMAND_CATEGORY_ADMIN)) add(&facts, "@admin");
    add(&facts, row->flags & COMMAND_FAST ? "@fast" : "@slow");
    if (row->flags & (COMMAND_ADMIN | COMMAND_DANGEROUS)) add(&facts, "@dangerous");
    if (is_body && (row->group == GROUP_CONNECTION || row->flags & COMMAND_CATEGORY_CONNECTION))
        add(&facts, "@connection");
    return facts;
}

/* ---- Keys ------------------------------------------------------------------------------------ */

/* Reading commands read the value and return something of it (RO, access); writing ones depend on it, show it and
 * change it (RW, access, update). These do otherwise. RM removes, OW overwrites whatever was there. */
struct key_use {
    const char *name;
    const char *first[4];  /* ends with NULL */
    const char *second[4]; /* of the second key, where that differs */
};

/* clang-format off: a row reads best as a row */
static const struct key_use uses[] = {
    {"append", {"RW", "insert"}, {NULL}},
    {"copy", {"RO", "access"}, {"OW", "update"}},
    {"debug|object", {"RO"}, {NULL}},
    {"del", {"RM", "delete"}, {NULL}},
    {"exists", {"RO"}, {NULL}},
    {"expire", {"RW", "update"}, {NULL}},
    {"expireat", {"RW", "update"}, {NULL}},
    {"getdel", {"RW", "access", "delete"}, {NULL}},
    {"memory|usage", {"RO"}, {NULL}},
    {"mset", {"OW", "update"}, {NULL}},
    {"msetnx", {"OW", "insert"}, {NULL}},
    {"object|encoding", {"RO"}, {NULL}},
    {"object|freq", {"RO"}, {NULL}},
    {"object|idletime", {"RO"}, {NULL}},
    {"object|refcount", {"RO"}, {NULL}},
    {"persist", {"RW", "update"}, {NULL}},
    {"pexpire", {"RW", "update"}, {NULL}},
    {"pexpireat", {"RW", "update"}, {NULL}},
    {"psetex", {"OW", "update"}, {NULL}},
    {"rename", {"RW", "access", "delete"}, {"OW", "update"}},
    {"renamenx", {"RW", "access", "delete"}, {"OW", "insert"}},
    {"set", {"RW", "access", "update", "variable_flags"}, {NULL}},
    {"setex", {"OW", "update"}, {NULL}},
    {"setnx", {"OW", "insert"}, {NULL}},
    {"setrange", {"RW", "update"}, {NULL}},
    {"strlen", {"RO"}, {NULL}},
    {"touch", {"RO"}, {NULL}},
    {"type", {"RO"}, {NULL}},
    {"unlink", {"RM", "delete"}, {NULL}},
};
/* clang-format on */

static const struct key_use *find_use(const struct command *row) {
    for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++) {
        if (strcmp(uses[i].name, row->name) == 0) return &uses[i];
    }
    return NULL;
}

bool command_keys_differ(const struct command *row) {
    const struct key_use *use = find_use(row);
    return use != NULL && use->second[0] != NULL;
}

struct facts command_key_use(const struct command *row, uint32_t index) {
    static const struct key_use reads = {"", {"RO", "access"}, {NULL}},
                                writes = {"", {"RW", "access", "update"}, {NULL}};
    const struct key_use *use = find_use(row);
    if (use == NULL) use = row->flags & COMMAND_WRITE ? &writes : &reads;
    bool is_second = use->second[0] != NULL && index > (uint32_t)row->keys.first;
    const char *const *words = is_second ? use->second : use->first;
    struct facts facts = {0};
    for (size_t i = 0; i < sizeof(use->first) / sizeof(use->first[0]) && words[i] != NULL; i++) {
        add(&facts, words[i]);
    }
    return facts;
}

bool command_use_varies(const struct command *row) {
    return strcmp(row->name, "set") == 0;
}

bool command_asks_for_old(const struct bytes *args, uint32_t arg_count) {
    for (uint32_t i = 3; i < arg_count; i++) {
        if (bytes_is(args[i], "GET")) return true;
    }
    return false;
}

struct facts command_key_use_in(const struct command *row, uint32_t index, const struct bytes *args,
                                uint32_t arg_count) {
    static const struct facts overwrites = {{"OW", "update"}, 2},
                              reads_too = {{"RW", "access", "update"}, 3};
    if (!command_use_varies(row)) return command_key_use(row, index);
    return command_asks_for_old(args, arg_count) ? reads_too : overwrites;
}

uint32_t command_last_key(const struct command *row, uint32_t arg_count) {
    if (row->keys.first == 0 || (uint32_t)row->keys.first >= arg_count) return 0;
    if (row->keys.last < 0) return arg_count - (uint32_t)-row->keys.last;
    return (uint32_t)row->keys.last < arg_count ? (uint32_t)row->keys.last : arg_count - 1;
}
