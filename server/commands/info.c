/* INFO: which sections, in the order of the rows (metrics_table.c), each once. */
#include "server/call.h"
#include "server/commands/report.h"
#include "server/metrics.h"
#include "server/server.h"

/* "default", "all" and "everything" are sets of sections; a word that is none is no error. */
static void choose(struct bytes word, bool chosen[METRICS_SECTIONS]) {
    bool is_all = bytes_is(word, "all") || bytes_is(word, "everything");
    bool is_default = bytes_is(word, "default");
    for (int i = 0; i < METRICS_SECTIONS; i++) {
        if (is_all || (is_default && metrics_section_is_default(i)) ||
            bytes_is(word, metrics_section_name(i))) {
            chosen[i] = true;
        }
    }
}

static void info(struct call *call) {
    bool chosen[METRICS_SECTIONS] = {false};
    if (call->arg_count == 1) choose(BYTES("default"), chosen);
    for (uint32_t i = 1; i < call->arg_count; i++) {
        choose(call->args[i], chosen);
    }
    struct metrics metrics;
    metrics_gather(&metrics, call->server, call->now_ms);
    struct text text = {0};
    for (int i = 0; i < METRICS_SECTIONS; i++) {
        if (!chosen[i]) continue;
        if (text.size != 0) text_add(&text, BYTES("\r\n"));
        metrics_write_section(&metrics, i, &text);
    }
    report_reply(call, &text);
}

static const struct command rows[] = {
    {.name = "info",
     .run = info,
     .arity = -1,
     .flags = COMMAND_LOADING | COMMAND_STALE | COMMAND_DANGEROUS,
     .group = GROUP_SERVER,
     .since = "1.0.0",
     .complexity = "O(shards + commands) a worker, and O(connections)",
     .summary = "Returns what the server knows of itself, by sections.",
     .syntax = "[section [section ...]]"},
};

const struct command_group_rows commands_info = {rows, sizeof(rows) / sizeof(rows[0])};
