/* Misses of both sides are added up; at EVIDENCE_MAX they are halved, so that the last few thousand decide. Keys are
 * dealt to shards by a hash, so both sides see the same traffic but for chance: 16384 misses are even to about one in a
 * hundred. A side has to be better by one part in ADVANTAGE to win the others over, so chance doesn't. */
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
    if (duel->recency + duel->recency / ADVANTAGE < duel->frequency) duel->prefers_recent = true;
    if (duel->frequency + duel->frequency / ADVANTAGE < duel->recency) duel->prefers_recent = false;
    while (duel->recency + duel->frequency > EVIDENCE_MAX) {
        duel->recency /= 2;
        duel->frequency /= 2;
    }
    return duel->prefers_recent;
}
