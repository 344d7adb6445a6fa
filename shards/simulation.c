/* Miniature simulation.
 *
 *      requests ──▶ hash < threshold? ──▶ member of the population ──┬─▶ miniature ┐
 *                   (one key in 2^rate_bits)                         ├─▶ …         ├─▶ who of them had it
 *                                                                    └─▶ miniature ┘
 *
 * Why not one stack of keys by recency, from which all sizes could be read at once: only LRU has one. Miniatures
 * run by eviction.c's own rules, whichever policy is in force.
 *
 * One key in a power of two is followed, so that a miniature's ghost is as large a part of its keys as a shard's
 * is.
 *
 * What a request tells. A lookup is a hit in those miniatures that have the key. Where one hasn't, the client of
 * such a cache would have filled it in: if the real cache has it, it is taken in at once; if not, by the SET that
 * follows. Such a SET would not have come where the key was there: it is no use of it.
 *
 * Sources: SHARDS (Waldspurger, Park, Garthwaite, Ahmad 2015: spatial sampling by hash, a bounded sample); miniature
 * simulation for policies that aren't LRU (Waldspurger, Saemundsson, Ahmad, Park 2017). */
#include "simulation.h"

#include <string.h>

#include "base/memory.h"
#include "eviction_score.h"

/* ---- Lifetime -------------------------------------------------------------------------------- */

enum status simulation_init(struct simulation *simulation, const struct simulation_options *options,
                            int64_t now_ms) {
    *simulation = (struct simulation){.count = options->count, .rate_bits = options->rate_bits};
    struct miniature *miniatures = memory_allocate(options->count * sizeof(*miniatures));
    if (miniatures == NULL) return STATUS_NO_MEMORY;
    enum status status = population_init(&simulation->population, options->place_bits, now_ms);
    if (status != STATUS_OK) {
        memory_free(miniatures);
        return status;
    }
    simulation->miniatures = miniatures;
    for (uint32_t i = 0; i < options->count; i++) {
        miniature_init(&miniatures[i], &simulation->population, i, options->sides[i],
                       options->rules);
    }
    return STATUS_OK;
}

void simulation_release(struct simulation *simulation) {
    for (uint32_t i = 0; i < simulation->count; i++) {
        miniature_release(&simulation->miniatures[i]);
    }
    memory_free(simulation->miniatures);
    population_release(&simulation->population);
    *simulation = (struct simulation){0};
}

uint64_t simulation_footprint(const struct simulation *simulation) {
    uint64_t bytes = memory_usable(simulation->population.members) +
                     memory_usable(simulation->population.chains) +
                     memory_usable(simulation->miniatures);
    for (uint32_t i = 0; i < simulation->count; i++) {
        bytes += ghost_bytes(&simulation->miniatures[i].ghost);
    }
    return bytes;
}

uint32_t simulation_rate_bits(uint64_t keys, uint32_t least_bits, uint32_t keys_max) {
    uint32_t bits = least_bits;
    while (bits < SIMULATION_RATE_BITS_MAX && keys >> bits > keys_max) {
        bits++;
    }
    return bits;
}

/* ---- The population -------------------------------------------------------------------------- */

/* For that reason it is in no cache any more. */
static void remove_member(struct simulation *simulation, struct member *member,
                          enum miss_reason reason) {
    for (uint32_t i = 0; i < simulation->count; i++) {
        struct miniature *miniature = &simulation->miniatures[i];
        if (miniature_has(miniature, member)) miniature_dismiss(miniature, member, reason);
    }
    population_remove(&simulation->population, member);
}

/* Go through those places of a word, removing who isn't followed any more, or is past its deadline. */
static void weed(struct simulation *simulation, uint32_t word, uint64_t places, int64_t now_ms) {
    struct population *population = &simulation->population;
    uint64_t below = simulation_followed_below(simulation);
    for (; places != 0; places &= places - 1) {
        uint32_t place = word * POPULATION_WORD + (uint32_t)__builtin_ctzll(places);
        struct member *member = population_at(population, place);
        if (member->hash >= below) {
            remove_member(simulation, member, MISS_UNKNOWN);
        } else if (member->deadline != 0 && population_deadline_ms(population, member) <= now_ms) {
            remove_member(simulation, member, MISS_EXPIRED);
        }
    }
}

void simulation_thin_out(struct simulation *simulation, int64_t now_ms) {
    simulation->rate_bits++;
    for (uint32_t word = 0; word < simulation->population.word_count; word++) {
        weed(simulation, word, simulation->population.taken.words[word], now_ms);
    }
}

static void weed_a_word(struct simulation *simulation, int64_t now_ms) {
    const struct population *population = &simulation->population;
    if (population->deadlines == 0) return;
    uint32_t word = simulation->next_word;
    simulation->next_word = (word + 1) % population->word_count;
    weed(simulation, word, population->timed.words[word], now_ms);
}

/* ---- Playing --------------------------------------------------------------------------------- */

/* The first bits stay: by them a key is followed. */
static uint64_t hash_of(const struct note *note) {
    return note->hash ^ (note->database * UINT64_C(0x9e3779b97f4a7c15) >> SIMULATION_RATE_BITS_MAX);
}

static uint64_t *awaited(struct simulation *simulation, uint64_t hash) {
    return &simulation->awaited[population_spread(hash) >> 32 & (SIMULATION_AWAITED - 1)];
}

/* Miniatures that counted as many uses so far count as many now: that is reckoned once. */
static void count_use(struct simulation *simulation, struct member *member, int64_t now_ms) {
    int known = -1;
    uint8_t before = 0;
    for (uint32_t present = member->present; present != 0; present &= present - 1) {
        int i = __builtin_ctz(present);
        uint8_t *uses = &member->uses[i];
        if (known >= 0 && *uses == before) {
            *uses = member->uses[known];
            continue;
        }
        before = *uses;
        miniature_use(&simulation->miniatures[i], member, now_ms);
        known = i;
    }
}

static uint32_t stamp_of(const struct simulation *simulation, int64_t now_ms) {
    return eviction_stamp(now_ms) & ~simulation->miniatures[0].counts;
}

/* Once the uses are counted: a count may fall with the time since the last one. */
static void use(struct simulation *simulation, struct member *member, int64_t now_ms) {
    if (simulation->miniatures[0].counts != 0) count_use(simulation, member, now_ms);
    member->stamp = stamp_of(simulation, now_ms);
}

static void resize(struct simulation *simulation, struct member *member, uint32_t bytes) {
    if (member->bytes == bytes) return;
    for (uint32_t present = member->present; present != 0; present &= present - 1) {
        miniature_resize(&simulation->miniatures[__builtin_ctz(present)], member, bytes);
    }
    member->bytes = bytes;
}

/* Into all that haven't got it. Returns whether that was the first time that one of them had to make room. */
static bool admit(struct simulation *simulation, struct member *member, int64_t now_ms) {
    uint32_t missing = ~(uint32_t)member->present & ((UINT32_C(1) << simulation->count) - 1);
    for (uint32_t left = missing; left != 0; left &= left - 1) {
        miniature_expect(&simulation->miniatures[__builtin_ctz(left)], member);
    }
    bool has_filled = false;
    for (uint32_t left = missing; left != 0; left &= left - 1) {
        struct miniature *miniature = &simulation->miniatures[__builtin_ctz(left)];
        bool was_full = miniature->is_full;
        miniature_admit(miniature, member, now_ms);
        has_filled |= miniature->is_full != was_full;
    }
    return has_filled;
}

/* It is there afterwards. Where it isn't in a miniature, that missed, and the client would have filled it: now,
 * or, where the cache missed, too, by the write that comes next. Such a write doesn't count as a use where there
 * was no miss. */
static bool play_presence(struct simulation *simulation, struct member *member, uint64_t hash,
                          const struct note *note, int64_t now_ms) {
    struct population *population = &simulation->population;
    uint64_t *place = awaited(simulation, hash);
    bool is_fill = !note->is_lookup && *place == hash;
    if (is_fill) *place = 0;
    if (member == NULL) {
        member = population_add(population, hash);
        if (member == NULL) return false;
    }
    if (is_fill) {
        member->stamp = stamp_of(simulation, now_ms);
    } else {
        use(simulation, member, now_ms);
    }
    resize(simulation, member, note->bytes);
    if (population_deadline_ms(population, member) != note->deadline_ms)
        population_set_deadline(population, member, note->deadline_ms);
    bool has_filled = admit(simulation, member, now_ms);
    if (member->present == 0) population_remove(population, member);
    return has_filled;
}

static struct member *find(struct simulation *simulation, uint64_t hash, int64_t now_ms) {
    struct population *population = &simulation->population;
    struct member *member = population_find(population, hash);
    bool is_over = member != NULL && member->deadline != 0 &&
                   population_deadline_ms(population, member) <= now_ms;
    if (!is_over) return member;
    remove_member(simulation, member, MISS_EXPIRED);
    return NULL;
}

struct simulation_outcome simulation_play(struct simulation *simulation, const struct note *note,
                                          int64_t now_ms) {
    struct simulation_outcome outcome = {0};
    weed_a_word(simulation, now_ms);
    uint64_t hash = hash_of(note);
    if (hash >= simulation_followed_below(simulation)) return outcome;
    struct member *member = find(simulation, hash, now_ms);
    outcome.is_lookup = note->is_lookup;
    if (member != NULL) outcome.had = member->present;
    if (note->leaves_no_trace) return outcome;
    if (note->is_there) {
        outcome.has_filled = play_presence(simulation, member, hash, note, now_ms);
    } else if (note->is_deletion) {
        if (member != NULL) remove_member(simulation, member, MISS_DELETED);
    } else if (note->is_lookup) {
        *awaited(simulation, hash) = hash;
        if (member != NULL) use(simulation, member, now_ms);
    }
    return outcome;
}

void simulation_validate(const struct simulation *simulation) {
    population_validate(&simulation->population);
    for (uint32_t i = 0; i < simulation->count; i++) {
        miniature_validate(&simulation->miniatures[i]);
    }
}
