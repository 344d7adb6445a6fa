/* SAVE, BGSAVE, LASTSAVE: see server/persistence/saver.h. */
#include "server/call.h"
#include "server/server.h"

static void reply_save(struct call *call, enum status status, const char *success,
                       const char *error) {
    if (status == STATUS_OK) {
        reply_simple(call->reply, success);
    } else {
        reply_error_format(call->reply, "ERR %s", error);
    }
}

/* In this worker: its own clients wait, those of others don't, but for the instant itself. */
static void save(struct call *call) {
    char error[SAVER_ERROR_MAX];
    enum status status = saver_save(&call->server->saver, error);
    reply_save(call, status, "OK", error);
}

/* SCHEDULE puts off in Redis what can't begin beside a rewrite of the append log: there is none. */
static void save_in_background(struct call *call) {
    if (call->arg_count > 2 || (call->arg_count == 2 && !call_is(call, 1, "SCHEDULE"))) {
        call_syntax_error(call);
        return;
    }
    char error[SAVER_ERROR_MAX];
    enum status status = saver_start(&call->server->saver, error);
    reply_save(call, status, "Background saving started", error);
}

static void last_save(struct call *call) {
    const struct saver *saver = &call->server->saver;
    reply_integer(call->reply, atomic_load_explicit(&saver->saved_ms, memory_order_relaxed) / 1000);
}

/* ---- Rows ------------------------------------------------------------------------------------ */

static const struct command rows[] = {
    {.name = "bgsave",
     .run = save_in_background,
     .arity = -1,
     .flags = COMMAND_ADMIN | COMMAND_NO_SCRIPT,
     .group = GROUP_SERVER,
     .since = "1.0.0",
     .complexity = "O(1); the rest in the background",
     .summary = "Writes all databases to disk in the background.",
     .syntax = "[SCHEDULE]"},
    {.name = "lastsave",
     .run = last_save,
     .arity = 1,
     .flags = COMMAND_LOADING | COMMAND_STALE | COMMAND_FAST | COMMAND_DANGEROUS |
              COMMAND_CATEGORY_ADMIN,
     .group = GROUP_SERVER,
     .since = "1.0.0",
     .complexity = "O(1)",
     .summary = "Returns when all was last written to disk, in seconds of the epoch.",
     .syntax = ""},
    {.name = "save",
     .run = save,
     .arity = 1,
     .flags = COMMAND_ADMIN | COMMAND_NO_SCRIPT,
     .group = GROUP_SERVER,
     .since = "1.0.0",
     .complexity = "O(n) in all keys",
     .summary = "Writes all databases to disk, and waits for it.",
     .syntax = ""},
};

const struct command_group_rows commands_persistence = {rows, sizeof(rows) / sizeof(rows[0])};
