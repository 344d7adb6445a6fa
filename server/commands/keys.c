/* Keys of any type: deleting, naming, moving, and looking at them from outside. */
#include "server/call.h"

/* ---- Counting over several keys -------------------------------------------------------------- */

static void delete_keys(struct call *call) {
    int64_t removed = 0;
    for (uint32_t i = 1; i < call->arg_count; i++) {
        struct place place = call_write(call, i);
        if (place.entry == NULL) continue;
        place_remove(&place);
        removed++;
    }
    reply_integer(call->reply, removed);
}

/* EXISTS counts a key as often as it is named; TOUCH is the same but for what call_read does to the access time. */
static void count_present(struct call *call) {
    int64_t present = 0;
    for (uint32_t i = 1; i < call->arg_count; i++) {
        present += call_read(call, i) != NULL;
    }
    reply_integer(call->reply, present);
}

static const char *type_name(const struct entry *entry) {
    static const char *const names[] = {[ENTRY_STRING] = "string"};
    return names[entry_type(entry)];
}

static void type(struct call *call) {
    const struct entry *entry = call_read(call, 1);
    reply_simple(call->reply, entry == NULL ? "none" : type_name(entry));
}

/* ---- Renaming, copying, moving --------------------------------------------------------------- */

/* Put what is at `from` at `to` as well, deadline included. A blob is shared, not copied: writers copy it
 * when they change it. */
static enum status copy_entry(const struct place *from, struct place *to) {
    struct blob *blob = entry_blob(from->entry);
    struct entry_content content = {
        .value = blob != NULL ? BYTES("") : entry_value(from->entry),
        .blob = blob != NULL ? blob_retain(blob) : NULL,
        .type = entry_type(from->entry),
        .encoding = entry_encoding(from->entry) == ENTRY_RAW ? ENTRY_RAW : ENTRY_INLINE,
    };
    enum status status = place_put(to, &content, entry_deadline_ms(from->entry));
    if (status != STATUS_OK && blob != NULL) blob_release(blob);
    return status;
}

static void rename_key(struct call *call, bool only_if_absent) {
    struct place from = call_write(call, 1);
    if (from.entry == NULL) {
        reply_error(call->reply, "ERR no such key");
        return;
    }
    bool is_same = bytes_equal(call->args[1], call->args[2]);
    struct place to = is_same ? from : call_write(call, 2);
    if (only_if_absent && to.entry != NULL) {
        reply_integer(call->reply, 0);
        return;
    }
    enum status status = STATUS_OK;
    if (!is_same) {
        /* Finding and putting `to` may have moved nothing of `from`: entries move only when they are written. */
        status = copy_entry(&from, &to);
        if (status == STATUS_OK) place_remove(&from);
    }
    if (status != STATUS_OK) {
        call_failed(call, status);
    } else if (only_if_absent) {
        reply_integer(call->reply, 1);
    } else {
        reply_simple(call->reply, "OK");
    }
}
static void rename_always(struct call *call) {
    rename_key(call, false);
}
static void rename_if_absent(struct call *call) {
    rename_key(call, true);
}

static void copy(struct call *call) {
    uint32_t database = call->database;
    bool replaces = false;
    for (uint32_t i = 3; i < call->arg_count; i++) {
        if (call_is(call, i, "REPLACE")) {
            replaces = true;
        } else if (call_is(call, i, "DB") && i + 1 < call->arg_count) {
            if (!call_database(call, ++i, &database)) return;
        } else {
            call_syntax_error(call);
            return;
        }
    }
    if (database == call->database && bytes_equal(call->args[1], call->args[2])) {
        reply_error(call->reply, "ERR source and destination objects are the same");
        return;
    }
    struct place from = call_write(call, 1);
    call_count_read(call, &from);
    struct place to = call_write_in(call, 2, database);
    if (from.entry == NULL || (to.entry != NULL && !replaces)) {
        reply_integer(call->reply, 0);
        return;
    }
    enum status status = copy_entry(&from, &to);
    if (status == STATUS_OK) {
        reply_integer(call->reply, 1);
    } else {
        call_failed(call, status);
    }
}

static void move(struct call *call) {
    uint32_t database;
    if (!call_database(call, 2, &database)) return;
    if (database == call->database) {
        reply_error(call->reply, "ERR source and destination objects are the same");
        return;
    }
    struct place from = call_write(call, 1);
    struct place to = call_write_in(call, 1, database);
    if (from.entry == NULL || to.entry != NULL) {
        reply_integer(call->reply, 0);
        return;
    }
    enum status status = copy_entry(&from, &to);
    if (status != STATUS_OK) {
        call_failed(call, status);
        return;
    }
    place_remove(&from);
    reply_integer(call->reply, 1);
}

/* ---- Rows ------------------------------------------------------------------------------------ */

static const struct command rows[] = {
    {.name = "copy",
     .run = copy,
     .arity = -3,
     .flags = COMMAND_WRITE | COMMAND_DENY_OOM,
     .keys = KEYS_FROM_TO(1, 2),
     .group = GROUP_GENERIC,
     .since = "6.2.0",
     .complexity = "O(1) for large strings, O(n) for short ones",
     .summary = "Copies a key to another, perhaps in another database.",
     .syntax = "source destination [DB destination-db] [REPLACE]"},
    {.name = "del",
     .run = delete_keys,
     .arity = -2,
     .flags = COMMAND_WRITE | COMMAND_DELETES,
     .keys = KEYS_EACH(1, 1),
     .group = GROUP_GENERIC,
     .since = "1.0.0",
     .complexity = "O(n) in the keys; large values are freed in the background",
     .summary = "Deletes keys.",
     .syntax = "key [key ...]"},
    {.name = "exists",
     .run = count_present,
     .arity = -2,
     .flags = COMMAND_READ | COMMAND_FAST | COMMAND_TOUCHES_NOTHING,
     .keys = KEYS_EACH(1, 1),
     .group = GROUP_GENERIC,
     .since = "1.0.0",
     .complexity = "O(n) in the keys",
     .summary = "Counts the keys that exist.",
     .syntax = "key [key ...]"},
    {.name = "move",
     .run = move,
     .arity = 3,
     .flags = COMMAND_WRITE | COMMAND_DELETES | COMMAND_FAST,
     .keys = ONE_KEY_AT(1),
     .group = GROUP_GENERIC,
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Moves a key to another database.",
     .syntax = "key db"},
    {.name = "rename",
     .run = rename_always,
     .arity = 3,
     .flags = COMMAND_WRITE | COMMAND_DELETES,
     .keys = KEYS_FROM_TO(1, 2),
     .group = GROUP_GENERIC,
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Renames a key, over one that has the name.",
     .syntax = "key newkey"},
    {.name = "renamenx",
     .run = rename_if_absent,
     .arity = 3,
     .flags = COMMAND_WRITE | COMMAND_DELETES | COMMAND_FAST,
     .keys = KEYS_FROM_TO(1, 2),
     .group = GROUP_GENERIC,
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Renames a key, if none has the name.",
     .syntax = "key newkey"},
    {.name = "touch",
     .run = count_present,
     .arity = -2,
     .flags = COMMAND_READ | COMMAND_FAST,
     .keys = KEYS_EACH(1, 1),
     .group = GROUP_GENERIC,
     .since = "3.2.1",
     .complexity = "O(n) in the keys",
     .summary = "Counts the keys that exist, and marks them as used.",
     .syntax = "key [key ...]"},
    {.name = "type",
     .run = type,
     .arity = 2,
     .flags = COMMAND_READ | COMMAND_FAST | COMMAND_TOUCHES_NOTHING,
     .keys = ONE_KEY_AT(1),
     .group = GROUP_GENERIC,
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Returns the type of a key's value.",
     .syntax = "key"},
    {.name = "unlink",
     .run = delete_keys,
     .arity = -2,
     .flags = COMMAND_WRITE | COMMAND_DELETES | COMMAND_FAST,
     .keys = KEYS_EACH(1, 1),
     .group = GROUP_GENERIC,
     .since = "4.0.0",
     .complexity = "O(n) in the keys; large values are freed in the background",
     .summary = "Deletes keys: the same as DEL here.",
     .syntax = "key [key ...]"},
};

const struct command_group_rows commands_keys = {rows, sizeof(rows) / sizeof(rows[0])};
