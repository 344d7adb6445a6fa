/* CACHE PREFIXES: samples of the last minute or two (server/samples.h), grouped when somebody asks
 * (server/prefixes.h). */
#include "server/commands/prefixes.h"

#include "server/call.h"
#include "server/commands/sampling.h"
#include "server/prefixes.h"
#include "server/server.h"

enum { SHOWN_DEFAULT = 10 };

/* [COUNT n] [DELIMITER d] [DEPTH n], in any order. On failure replies and returns false. */
struct options {
    int64_t shown, depth;
    struct bytes delimiter;
};

static bool read_delimiter(struct call *call, uint32_t index, struct bytes *delimiter) {
    *delimiter = call->args[index + 1];
    if (delimiter->size != 0) return true;
    reply_error(call->reply, "ERR DELIMITER must not be empty");
    return false;
}

static bool read_option(struct call *call, uint32_t index, struct options *options) {
    if (call_is(call, index, "COUNT"))
        return sampling_read_count(call, index, "COUNT", &options->shown);
    if (call_is(call, index, "DEPTH"))
        return sampling_read_count(call, index, "DEPTH", &options->depth);
    if (call_is(call, index, "DELIMITER")) return read_delimiter(call, index, &options->delimiter);
    call_syntax_error(call);
    return false;
}

static bool read_options(struct call *call, struct options *options) {
    *options = (struct options){.shown = SHOWN_DEFAULT, .depth = 1, .delimiter = BYTES(":")};
    for (uint32_t i = 2; i + 1 < call->arg_count; i += 2) {
        if (!read_option(call, i, options)) return false;
    }
    if (call->arg_count % 2 == 0) return true;
    call_syntax_error(call);
    return false;
}

/* ---- Collecting ------------------------------------------------------------------------------ */

static bool collect(struct call *call, struct samples_report *report) {
    const struct server *server = call->server;
    size_t room = 0;
    for (uint32_t i = 0; i < server->worker_count; i++) {
        room += samples_room(server->workers[i].sampler.samples);
    }
    *report = (struct samples_report){.since_ms = INT64_MAX};
    report->kept = call_scratch(call, room * sizeof(*report->kept));
    if (report->kept == NULL) return false;
    for (uint32_t i = 0; i < server->worker_count; i++) {
        samples_collect(server->workers[i].sampler.samples, call->now_ms, report);
    }
    return true;
}

/* ---- Replying -------------------------------------------------------------------------------- */

/* To the nearest whole. */
static void reply_estimate(struct reply *reply, const char *name, double count) {
    reply_field(reply, name, (uint64_t)(count + 0.5));
}

static void reply_prefix(struct reply *reply, const struct prefix *prefix, double requests) {
    reply_map(reply, 8);
    reply_bulk_text(reply, "prefix");
    reply_bulk(reply, prefix->name);
    reply_estimate(reply, "reads", prefix->reads);
    reply_estimate(reply, "writes", prefix->writes);
    reply_estimate(reply, "hits", prefix->hits);
    reply_estimate(reply, "misses", prefix->misses);
    reply_estimate(reply, "bytes", prefix->bytes);
    reply_bulk_text(reply, "share");
    reply_double(reply, prefix->requests / requests);
    reply_field(reply, "samples", prefix->samples);
}

void cache_prefixes(struct call *call) {
    struct options options;
    struct samples_report report;
    if (!read_options(call, &options) || !collect(call, &report)) return;
    if (report.count == 0 && sampling_is_off(call)) return;
    struct prefix *prefixes = call_scratch(call, report.count * sizeof(*prefixes));
    if (prefixes == NULL) return;
    uint32_t depth = options.depth < SAMPLES_NAME_MAX ? (uint32_t)options.depth : SAMPLES_NAME_MAX;
    struct prefixes_cut cut = {.delimiter = options.delimiter, .depth = depth};
    uint32_t count = prefixes_group(report.kept, report.count, &cut, prefixes);
    uint32_t shown = options.shown < count ? (uint32_t)options.shown : count;
    double requests = (double)report.noted * SAMPLED_WEIGHT;
    int64_t covered_ms = call->now_ms - report.since_ms;
    struct reply *reply = call->reply;
    reply_map(reply, 5);
    reply_estimate(reply, "seconds", covered_ms > 0 ? (double)covered_ms / 1000 : 0);
    reply_estimate(reply, "requests", requests);
    reply_field(reply, "requests_per_sample", SAMPLED_WEIGHT);
    reply_field(reply, "samples", report.count);
    reply_bulk_text(reply, "prefixes");
    reply_array(reply, shown);
    for (uint32_t i = 0; i < shown; i++) {
        reply_prefix(reply, &prefixes[i], requests);
    }
}
