#include "server/shard_report.h"

#include "server/command.h"
#include "server/server.h"
#include "server/timing.h"

struct shard_report shard_report(struct server *server, uint32_t index) {
    const struct shards *shards = &server->shards;
    struct shard *shard = &shards->shards[index];
    struct shard_report report = {.counters = counters_sum_shard(&shards->counters, index)};
    rwlock_read_lock(&shard->lock);
    report.bytes = shard_footprint(shard);
    for (uint32_t i = 0; i < shards->database_count; i++) {
        report.keys += database_key_count(shard_database(shard, i));
    }
    rwlock_read_unlock(&shard->lock);

    report.lock = rwlock_profile(&shard->lock);
    struct timing_hold hold = timing_longest_hold(server, index);
    uint64_t longest_us = report.lock.longest_hold_ns / 1000;
    bool is_command = hold.command != NULL && hold.held_us >= longest_us;
    report.longest_hold_us = is_command ? hold.held_us : longest_us;
    report.longest_hold_by = is_command ? hold.command->name : longest_us != 0 ? "upkeep" : "";
    return report;
}
