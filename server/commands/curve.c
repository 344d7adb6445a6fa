/* CACHE CURVE [RESET | STOP]: shards/curve.h, asked for and read. */
#include "server/commands/curve.h"

#include "server/call.h"
#include "server/server.h"

static void reply_ratio(struct reply *reply, const char *name, double ratio) {
    reply_bulk_text(reply, name);
    reply_double(reply, ratio * 100);
}

static void reply_point(struct reply *reply, const struct curve_point *point) {
    reply_map(reply, 4);
    reply_bulk_text(reply, "times");
    reply_double(reply, point->times);
    reply_field(reply, "maxmemory", (uint64_t)point->limit_bytes);
    reply_ratio(reply, "hit_percent", point->hit_ratio);
    reply_ratio(reply, "full_percent", point->fill);
}

static void reply_curve(struct call *call, const struct curve_report *report, uint32_t points) {
    struct reply *reply = call->reply;
    int64_t covered_ms = call->now_ms - report->since_ms;
    reply_map(reply, 10);
    reply_bulk_text(reply, "policy");
    reply_bulk_text(reply, eviction_policy_name(report->policy));
    reply_bulk_text(reply, "seconds");
    reply_double(reply, covered_ms > 0 ? (double)covered_ms / 1000 : 0);
    reply_field(reply, "lookups", report->lookups);
    reply_ratio(reply, "hit_percent", report->hit_ratio);
    reply_ratio(reply, "estimated_percent", report->estimate);
    reply_field(reply, "keys_per_followed", report->keys_a_key);
    reply_field(reply, "lookups_followed", report->lookups_noted);
    reply_field(reply, "bytes", report->bytes);
    reply_field(reply, "warming", report->warming);
    reply_bulk_text(reply, "curve");
    reply_array(reply, points);
    for (uint32_t i = 0; i < points; i++) {
        reply_point(reply, &report->points[i]);
    }
}

static void ask(struct call *call, struct curve *curve) {
    const struct eviction_rules *rules = &call->server->shards.eviction;
    if (atomic_load_explicit(&rules->limit_bytes, memory_order_relaxed) == 0) {
        reply_error(call->reply,
                    "ERR CACHE CURVE tells of multiples of maxmemory, which isn't set: "
                    "CONFIG SET maxmemory");
        return;
    }
    bool has_begun;
    if (curve_start(curve, call->now_ms, &has_begun) != STATUS_OK) {
        call_failed(call, STATUS_NO_MEMORY);
        return;
    }
    struct curve_report report = {0};
    bool is_on = curve_read(curve, call->now_ms, &report);
    reply_curve(call, &report, is_on && !has_begun ? CURVE_POINTS : 0);
}

void cache_curve(struct call *call) {
    struct curve *curve = &call->server->curve;
    if (call->arg_count == 2) {
        ask(call, curve);
    } else if (call->arg_count == 3 && call_is(call, 2, "RESET")) {
        curve_recount(curve, call->now_ms);
        reply_simple(call->reply, "OK");
    } else if (call->arg_count == 3 && call_is(call, 2, "STOP")) {
        curve_stop(curve);
        reply_simple(call->reply, "OK");
    } else {
        call_syntax_error(call);
    }
}
