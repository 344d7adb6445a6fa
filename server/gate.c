#include "gate.h"

#include <string.h>

#include "call.h"
#include "server.h"

static uint32_t gates_of(const struct server *server) {
    return atomic_load_explicit(&server->gates, memory_order_relaxed);
}

/* Acquire and release: so that who opens the pause's gate after another closed it sees the other's pause. */
void gate_close(struct server *server, enum gate gate) {
    atomic_fetch_or_explicit(&server->gates, gate, memory_order_acq_rel);
}

void gate_open(struct server *server, enum gate gate) {
    uint32_t before =
        atomic_fetch_and_explicit(&server->gates, ~(uint32_t)gate, memory_order_acq_rel);
    if (before & gate) server_wake_paused(server);
}

bool gate_is_closed(const struct server *server, enum gate gate) {
    return (gates_of(server) & gate) != 0;
}

bool gate_holds_writers(const struct server *server) {
    uint32_t gates = gates_of(server);
    if (gates & (GATE_STOPPING | GATE_HANDING | GATE_FROZEN)) return true;
    return (gates & GATE_SAVING) && saver_is_behind(&server->saver);
}

static int64_t pause_until_ms(const struct server *server) {
    return atomic_load_explicit(&server->pause_until_ms, memory_order_relaxed);
}

void gate_end_pause(struct server *server, int64_t now_ms) {
    if (!(gates_of(server) & GATE_PAUSE) || pause_until_ms(server) > now_ms) return;
    gate_open(server, GATE_PAUSE);
    if (pause_until_ms(server) > now_ms) gate_close(server, GATE_PAUSE);
}

static bool is_paused(const struct server *server, const struct command *row, int64_t now_ms) {
    if (now_ms >= pause_until_ms(server) || (row->flags & COMMAND_UNPAUSED)) return false;
    return (row->flags & COMMAND_WRITE) ||
           !atomic_load_explicit(&server->pause_writes_only, memory_order_relaxed);
}

bool gate_holds(const struct server *server, const struct command *row, int64_t now_ms) {
    if (gate_is_closed(server, GATE_FROZEN) || is_paused(server, row, now_ms)) return true;
    return (row->flags & COMMAND_WRITE) && gate_holds_writers(server);
}

/* Leases are state, so who asks for one writes; but no file holds them, and their values are served all the while. */
static bool writes_what_is_saved(const struct command *row) {
    return (row->flags & COMMAND_WRITE) && !(row->flags & COMMAND_UNSAVED);
}

bool gate_refuses(struct call *call, const struct command *row) {
    uint32_t gates = gates_of(call->server);
    if ((gates & GATE_MISCONF) && (writes_what_is_saved(row) || strcmp(row->name, "ping") == 0)) {
        reply_error(call->reply,
                    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable "
                    "to persist to disk. Commands that may modify the data set are disabled, "
                    "because this instance is configured to report errors during writes if RDB "
                    "snapshotting fails (stop-writes-on-bgsave-error option). Please check the "
                    "Redis logs for details about the RDB error.");
        return true;
    }
    if ((gates & GATE_LOADING) && !(row->flags & COMMAND_LOADING)) {
        reply_error(call->reply, "LOADING Redis is loading the dataset in memory");
        return true;
    }
    return false;
}
