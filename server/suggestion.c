#include "server/suggestion.h"

#include "shards/base/check.h"

enum { NAME_MAX_BYTES = 63, DISTANCE_MAX = 3 };

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Levenshtein's distance: bytes to insert, delete or change to make one of the other. `distances[j]` is that
 * between what was read of `a` and the first j bytes of `b`. */
static size_t distance_between(struct bytes a, struct bytes b) {
    size_t distances[NAME_MAX_BYTES + 1];
    check(b.size <= NAME_MAX_BYTES);
    for (size_t j = 0; j <= b.size; j++) {
        distances[j] = j;
    }
    for (size_t i = 0; i < a.size; i++) {
        size_t diagonal = distances[0];
        distances[0] = i + 1;
        for (size_t j = 0; j < b.size; j++) {
            size_t changed = diagonal + (byte_lower(a.data[i]) != b.data[j]);
            diagonal = distances[j + 1];
            distances[j + 1] = least(changed, least(distances[j], distances[j + 1]) + 1);
        }
    }
    return distances[b.size];
}

/* Nothing is near a name that is longer than any. */
void suggestion_init(struct suggestion *suggestion, struct bytes name) {
    size_t nearest = name.size <= NAME_MAX_BYTES ? least(DISTANCE_MAX, name.size / 2) : 0;
    *suggestion = (struct suggestion){.name = name, .distance = nearest + 1};
}

void suggestion_offer(struct suggestion *suggestion, const char *known) {
    if (suggestion->name.size > NAME_MAX_BYTES) return;
    size_t distance = distance_between(suggestion->name, bytes_of_text(known));
    if (distance >= suggestion->distance) return;
    suggestion->nearest = known;
    suggestion->distance = distance;
}
