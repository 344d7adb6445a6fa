/* LATENCY: the histograms of commands, and the events of latency.h. */
#include "server/latency.h"

#include <string.h>

#include "server/call.h"
#include "server/commands/report.h"
#include "server/latency_graph.h"
#include "server/metrics.h"
#include "server/server.h"

/* ---- HISTOGRAM ------------------------------------------------------------------------------- */

/* Which commands are asked for, by id: those named, a container's with their subcommands; without names all. */
static void choose_commands(const struct call *call, bool *chosen) {
    const struct command_table *commands = call->server->commands;
    for (uint32_t id = 0; call->arg_count == 2 && id < command_table_count_all(commands); id++) {
        chosen[id] = true;
    }
    for (uint32_t i = 2; i < call->arg_count; i++) {
        struct command_found found = command_table_find_full(commands, call->args[i]);
        if (found.row == NULL) continue;
        chosen[found.id] = true;
        for (uint32_t s = 0; s < found.row->subcommand_count; s++) {
            chosen[command_table_first_sub(commands, found.id) + s] = true;
        }
    }
}

/* The number of calls that took at most a power of two of microseconds, for each power that adds some. The timed
 * calls' distribution is scaled to all calls (see metrics.c). */
static void reply_histogram(struct reply *reply, const struct command_sum *sum) {
    uint64_t counts[COMMAND_HISTOGRAM], timed = 0, pairs = 0, before = 0;
    for (size_t i = 0; i < COMMAND_HISTOGRAM; i++) {
        timed += sum->histogram[i];
        counts[i] = (uint64_t)((double)timed / (double)sum->timed * (double)sum->calls + 0.5);
        pairs += counts[i] != before;
        before = counts[i];
    }
    reply_map(reply, 2);
    reply_field(reply, "calls", sum->calls);
    reply_bulk_text(reply, "histogram_usec");
    reply_map(reply, pairs);
    before = 0;
    for (size_t i = 0; i < COMMAND_HISTOGRAM; i++) {
        if (counts[i] == before) continue;
        before = counts[i];
        reply_integer(reply, (int64_t)1 << i);
        reply_integer(reply, (int64_t)counts[i]);
    }
}

static void latency_histogram(struct call *call) {
    const struct command_table *commands = call->server->commands;
    uint32_t count = command_table_count_all(commands), shown = 0;
    bool *chosen = call_scratch(call, count * sizeof(*chosen));
    struct command_sum *sums = chosen != NULL ? call_scratch(call, count * sizeof(*sums)) : NULL;
    if (sums == NULL) return;
    memset(chosen, 0, count * sizeof(*chosen));
    choose_commands(call, chosen);
    for (uint32_t id = 0; id < count; id++) {
        if (!chosen[id]) continue;
        sums[id] = metrics_command(call->server, id);
        chosen[id] = sums[id].timed != 0 && sums[id].calls != 0;
        shown += chosen[id];
    }
    reply_map(call->reply, shown);
    for (uint32_t id = 0; id < count; id++) {
        if (!chosen[id]) continue;
        reply_bulk_text(call->reply, command_table_row(commands, id)->name);
        reply_histogram(call->reply, &sums[id]);
    }
}

/* ---- Events ---------------------------------------------------------------------------------- */

static void reply_latest(struct reply *reply, enum latency_event event,
                         const struct latency_series *series) {
    const struct latency_sample *last = &series->samples[series->count - 1];
    reply_array(reply, 4);
    reply_bulk_text(reply, latency_event_name(event));
    reply_integer(reply, last->time_s);
    reply_integer(reply, (int64_t)last->took_ms);
    reply_integer(reply, (int64_t)series->longest_ms);
}

static void latency_latest(struct call *call) {
    struct latency_series all[LATENCY_EVENTS];
    uint32_t shown = 0;
    for (int event = 0; event < LATENCY_EVENTS; event++) {
        all[event] = latency_series(&call->server->latency, (enum latency_event)event);
        shown += all[event].count != 0;
    }
    reply_array(call->reply, shown);
    for (int event = 0; event < LATENCY_EVENTS; event++) {
        if (all[event].count != 0)
            reply_latest(call->reply, (enum latency_event)event, &all[event]);
    }
}

/* Of the event in argument 2; an unknown one has none. */
static struct latency_series asked_series(struct call *call) {
    enum latency_event event = latency_event_find(call->args[2]);
    if (event == LATENCY_EVENTS) return (struct latency_series){0};
    return latency_series(&call->server->latency, event);
}

static void latency_history(struct call *call) {
    struct latency_series series = asked_series(call);
    reply_array(call->reply, series.count);
    for (uint32_t i = 0; i < series.count; i++) {
        reply_array(call->reply, 2);
        reply_integer(call->reply, series.samples[i].time_s);
        reply_integer(call->reply, (int64_t)series.samples[i].took_ms);
    }
}

static void latency_forget(struct call *call) {
    int64_t forgotten = 0;
    for (int event = 0; event < LATENCY_EVENTS && call->arg_count == 2; event++) {
        forgotten += latency_reset(&call->server->latency, (enum latency_event)event);
    }
    for (uint32_t i = 2; i < call->arg_count; i++) {
        enum latency_event event = latency_event_find(call->args[i]);
        if (event != LATENCY_EVENTS) forgotten += latency_reset(&call->server->latency, event);
    }
    reply_integer(call->reply, forgotten);
}

/* ---- GRAPH ----------------------------------------------------------------------------------- */

static void latency_graph(struct call *call) {
    struct latency_series series = asked_series(call);
    if (series.count == 0) {
        reply_error_format(call->reply, "ERR No samples available for event '%.*s'",
                           call_shown(call->args[2]), call->args[2].data);
        return;
    }
    struct text text = {0};
    text_format(&text, "%s - ", latency_event_name(latency_event_find(call->args[2])));
    latency_graph_write(&series, call->now_ms / 1000, &text);
    report_reply(call, &text);
}

/* ---- DOCTOR ---------------------------------------------------------------------------------- */

static const char *advice(enum latency_event event) {
    static const char *const texts[LATENCY_EVENTS] = {
        [LATENCY_COMMAND] =
            "SLOWLOG GET names the commands. Those that look at many keys (KEYS, SORT, long MGETs) "
            "are better cut into pieces, or replaced by SCAN.",
        [LATENCY_FAST_COMMAND] = "Commands that should take microseconds were held up. If "
                                 "lock-wait shows events as well, that is why; "
                                 "otherwise look for a machine that has too few processors for the "
                                 "workers, for swapping, "
                                 "and for values of many megabytes.",
        [LATENCY_LOCK_WAIT] =
            "SHARDS tells which shard's lock was held long, and by which command. One hot shard: "
            "HOTKEYS names its keys. All of them: more shards (--shards) help.",
        [LATENCY_EVICTION_CYCLE] = "Room is made at maxmemory in large steps: large values are "
                                   "evicted, or the limit was lowered.",
        [LATENCY_EXPIRE_CYCLE] =
            "Very many keys are due at once: ttl-jitter-percent spreads deadlines.",
        [LATENCY_SNAPSHOT] =
            "All shards are locked for the instant in which a snapshot begins: a long command held "
            "one of them.",
    };
    return texts[event];
}

static void describe(enum latency_event event, const struct latency_series *series,
                     struct text *out) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < series->count; i++) {
        sum += series->samples[i].took_ms;
    }
    int64_t spread_s = series->samples[series->count - 1].time_s - series->samples[0].time_s;
    text_format(out,
                "\n%s: %u second%s with such an event, within %lld s; mean %llu ms, longest ever "
                "%llu ms.\n    %s\n",
                latency_event_name(event), series->count, series->count == 1 ? "" : "s",
                (long long)spread_s, (unsigned long long)(sum / series->count),
                (unsigned long long)series->longest_ms, advice(event));
}

static void latency_doctor(struct call *call) {
    long long threshold_ms = config_number(&call->server->config->latency_monitor_threshold);
    struct text text = {0};
    uint32_t kinds = 0;
    for (int event = 0; event < LATENCY_EVENTS; event++) {
        struct latency_series series =
            latency_series(&call->server->latency, (enum latency_event)event);
        if (series.count == 0) continue;
        if (kinds++ == 0) text_format(&text, "Latency events have been noted:\n");
        describe((enum latency_event)event, &series, &text);
    }
    if (kinds == 0 && threshold_ms == 0) {
        text_format(&text, "Latency events are not watched for. CONFIG SET "
                           "latency-monitor-threshold <milliseconds> "
                           "begins to; choose what would be too long for your application.\n");
    } else if (kinds == 0) {
        text_format(&text, "Nothing is wrong: nothing took %lld ms or more.\n", threshold_ms);
    }
    report_reply(call, &text);
}

/* ---- Rows ------------------------------------------------------------------------------------ */

static void latency_help(struct call *call) {
    static const char *const lines[] = {
        "DOCTOR",
        "    Return a human readable latency analysis report.",
        "GRAPH <event>",
        "    Return an ASCII latency graph for the <event> class.",
        "HISTORY <event>",
        "    Return time-latency samples for the <event> class.",
        "LATEST",
        "    Return the latest latency samples for all events.",
        "RESET [<event> ...]",
        "    Reset latency data of one or more <event> classes.",
        "    (default: reset all data for all event classes)",
        "HISTOGRAM [COMMAND ...]",
        "    Return a cumulative distribution of latencies in the format of a histogram for the "
        "specified command names.",
        "    If no commands are specified then all histograms are replied.",
        NULL,
    };
    call_reply_help(call, lines);
}

enum {
    ALWAYS = COMMAND_LOADING | COMMAND_STALE,
    OPERATOR = ALWAYS | COMMAND_ADMIN | COMMAND_NO_SCRIPT
};

static const struct command latency_rows[] = {
    {.name = "latency|doctor",
     .run = latency_doctor,
     .arity = 2,
     .flags = OPERATOR,
     .group = GROUP_SERVER,
     .since = "2.8.13",
     .complexity = "O(1)",
     .summary = "Says what took long lately, and what to do about it.",
     .syntax = ""},
    {.name = "latency|graph",
     .run = latency_graph,
     .arity = 3,
     .flags = OPERATOR,
     .group = GROUP_SERVER,
     .since = "2.8.13",
     .complexity = "O(1)",
     .summary = "Draws how long events of a kind took.",
     .syntax = "event"},
    {.name = "latency|help",
     .run = latency_help,
     .arity = 2,
     .flags = ALWAYS,
     .group = GROUP_SERVER,
     .since = "2.8.13",
     .complexity = "O(1)",
     .summary = "Explains LATENCY.",
     .syntax = ""},
    {.name = "latency|histogram",
     .run = latency_histogram,
     .arity = -2,
     .flags = OPERATOR,
     .group = GROUP_SERVER,
     .since = "7.0.0",
     .complexity = "O(n) in the commands a worker",
     .summary = "Returns how the times of commands' calls are distributed.",
     .syntax = "[command [command ...]]"},
    {.name = "latency|history",
     .run = latency_history,
     .arity = 3,
     .flags = OPERATOR,
     .group = GROUP_SERVER,
     .since = "2.8.13",
     .complexity = "O(1)",
     .summary = "Returns when events of a kind were, and how long they took.",
     .syntax = "event"},
    {.name = "latency|latest",
     .run = latency_latest,
     .arity = 2,
     .flags = OPERATOR,
     .group = GROUP_SERVER,
     .since = "2.8.13",
     .complexity = "O(1)",
     .summary = "Returns the latest event of each kind.",
     .syntax = ""},
    {.name = "latency|reset",
     .run = latency_forget,
     .arity = -2,
     .flags = OPERATOR,
     .group = GROUP_SERVER,
     .since = "2.8.13",
     .complexity = "O(1)",
     .summary = "Forgets events, of some kinds or of all.",
     .syntax = "[event [event ...]]"},
};

static const struct command rows[] = {
    {.name = "latency",
     .arity = -2,
     .group = GROUP_SERVER,
     .since = "2.8.13",
     .complexity = "by subcommand",
     .summary = "Looks at how long commands take.",
     .syntax = "",
     .subcommands = latency_rows,
     .subcommand_count = sizeof(latency_rows) / sizeof(latency_rows[0])},
};

const struct command_group_rows commands_latency = {rows, sizeof(rows) / sizeof(rows[0])};
