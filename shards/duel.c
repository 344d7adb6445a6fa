/* Misses of both sides are added up; at EVIDENCE_MAX they are halved, so that the last few thousand decide. Keys are
 * dealt to shards by a hash, so both sides see the same traffic but for chance: 16384 misses are even to about one in a
 * hundred, but which keys a shard got stays as it is, and makes it miss some parts in a hundred more or less forever.
 *
 * So frequency is where we begin, and recency has to be better by one part in ADVANTAGE to win the others over; but it
 * keeps them only as long as it is better at all. When both sides had to be better by as much, recency stayed where it
 * had got by chance while the cache was filling: Zipf 0.99 hit 78.5 % instead of 79.3 to the end of the trace. */
#include "duel.h"

enum { EVIDENCE_MIN = 2048, EVIDENCE_MAX = 16384, ADVANTAGE = 32 };

/* What came since `*seen`. */
static uint64_t take_new(uint64_t *seen, uint64_t now) {
    uint64_t more = now >= *seen ? now - *seen : now; /* the counters were reset */
    *seen = now;
    return more;
}

bool duel_judge(struct duel *duel, uint64_t recency_misses, uint64_t frequency_misses) {
    duel->recency += take_new(&duel->seen_recency, recency_misses);
    duel->frequency += take_new(&duel->seen_frequency, frequency_misses);
    if (duel->recency + duel->frequency < EVIDENCE_MIN) return duel->prefers_recent;
    uint64_t advantage = duel->prefers_recent ? 0 : duel->recency / ADVANTAGE;
    duel->prefers_recent = duel->recency + advantage < duel->frequency;
    while (duel->recency + duel->frequency > EVIDENCE_MAX) {
        duel->recency /= 2;
        duel->frequency /= 2;
    }
    return duel->prefers_recent;
}
