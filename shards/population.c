/* An array, a map of which of its places are taken, and chains of those whose hashes name the same place.
 *
 * A member lies in the first free place from where its hash says, around the end if need be. So whoever goes through the
 * places meets members in an order that has nothing to do with their age, as in the shards' tables, and two in a
 * cache line; and a miniature that keeps a map of its own skips those it hasn't got 64 at a time. With lists from 1024
 * buckets, in which a miniature's hand looked at each member to see whether it had it, a victim cost 2,570
 * instructions instead of 1,890, and members took twice the memory. Chains rather than probing: nobody ever moves. */
#include "population.h"

#include <assert.h>
#include <stddef.h>

#include "base/check.h"
#include "base/memory.h"
#include "entry.h"

static_assert(sizeof(struct member) == 32, "two members a cache line");

enum status population_init(struct population *population, uint32_t place_bits, int64_t now_ms) {
    uint32_t places = UINT32_C(1) << place_bits;
    check(places >= POPULATION_WORD && places <= POPULATION_PLACES_MAX);
    *population = (struct population){.place_bits = place_bits,
                                      .word_count = places / POPULATION_WORD,
                                      .count_max = places / 4 * 3,
                                      .begun_ms = now_ms};
    population->members = memory_allocate(sizeof(struct member) * places);
    population->chains = memory_allocate_zeroed(sizeof(uint16_t) * places);
    if (population->members == NULL || population->chains == NULL) {
        population_release(population);
        return STATUS_NO_MEMORY;
    }
    return STATUS_OK;
}

void population_release(struct population *population) {
    memory_free(population->members);
    memory_free(population->chains);
    *population = (struct population){0};
}

/* Where the member of that hash is linked: in its chain's start, in another, or in the end of its chain. */
static uint16_t *link_of(const struct population *population, uint64_t hash) {
    uint16_t *link = &population->chains[population_home(population, hash)];
    while (*link != 0 && population->members[*link - 1].hash != hash) {
        link = &population->members[*link - 1].next;
    }
    return link;
}

struct member *population_find(const struct population *population, uint64_t hash) {
    uint16_t link = *link_of(population, hash);
    return link != 0 ? &population->members[link - 1] : NULL;
}

/* There is one. */
static uint32_t free_place(const struct population *population, uint64_t hash) {
    uint32_t home = population_home(population, hash), word = home / POPULATION_WORD;
    uint64_t is_free = ~population->taken.words[word] & UINT64_MAX << home % POPULATION_WORD;
    while (is_free == 0) {
        word = (word + 1) % population->word_count;
        is_free = ~population->taken.words[word];
    }
    return word * POPULATION_WORD + (uint32_t)__builtin_ctzll(is_free);
}

struct member *population_add(struct population *population, uint64_t hash) {
    if (population->count == population->count_max) return NULL;
    uint32_t place = free_place(population, hash);
    struct member *member = &population->members[place];
    uint16_t *first = &population->chains[population_home(population, hash)];
    *member = (struct member){.hash = hash, .next = *first};
    *first = (uint16_t)(place + 1);
    population_map_put(&population->taken, place);
    population->count++;
    return member;
}

static void clear_deadline(struct population *population, struct member *member) {
    if (member->deadline == 0) return;
    member->deadline = 0;
    population->deadlines--;
    population_map_take(&population->timed, population_place(population, member));
}

void population_remove(struct population *population, struct member *member) {
    check(member->present == 0);
    clear_deadline(population, member);
    *link_of(population, member->hash) = member->next;
    population_map_take(&population->taken, population_place(population, member));
    population->count--;
}

void population_set_deadline(struct population *population, struct member *member,
                             int64_t deadline_ms) {
    clear_deadline(population, member);
    if (deadline_ms == ENTRY_NO_EXPIRY) return;
    int64_t units = (deadline_ms - population->begun_ms) / POPULATION_DEADLINE_MS;
    member->deadline = units < 1 ? 1 : units > UINT32_MAX ? UINT32_MAX : (uint32_t)units;
    population->deadlines++;
    population_map_put(&population->timed, population_place(population, member));
}

void population_validate(const struct population *population) {
    uint32_t count = 0, deadlines = 0;
    for (uint32_t place = 0; place < population->word_count * POPULATION_WORD; place++) {
        if (!population_map_has(&population->taken, place)) continue;
        const struct member *member = &population->members[place];
        check(population_find(population, member->hash) == member && member->present != 0);
        count++;
        check(population_map_has(&population->timed, place) == (member->deadline != 0));
        deadlines += member->deadline != 0;
    }
    check(count == population->count && deadlines == population->deadlines);
}
