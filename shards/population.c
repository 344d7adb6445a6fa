/* Chains of indexes from a fixed array of buckets, the newest first: thirty-two members a bucket at most on
 * average. Few buckets, since a miniature's hand goes through them: with 4096, and some 4000 members, a victim for
 * each of seven miniatures cost 39,000 instructions, for most buckets were empty. */
#include "population.h"

#include <assert.h>
#include <stddef.h>

#include "base/check.h"
#include "base/memory.h"
#include "entry.h"

enum { DEADLINE_UNIT_MS = 16 };
static_assert(sizeof(struct member) == 32, "two members a cache line");
static_assert(POPULATION_BUCKETS == 1 << 10, "as many as population_bucket tells apart");

enum status population_init(struct population *population, int64_t now_ms) {
    *population = (struct population){.begun_ms = now_ms};
    population->members = memory_allocate(sizeof(struct member) * (POPULATION_MAX + 1));
    population->buckets = memory_allocate_zeroed(sizeof(uint32_t) * POPULATION_BUCKETS);
    if (population->members == NULL || population->buckets == NULL) {
        population_release(population);
        return STATUS_NO_MEMORY;
    }
    for (uint32_t i = 1; i <= POPULATION_MAX; i++) {
        population->members[i].next = i < POPULATION_MAX ? i + 1 : 0;
    }
    population->free = 1;
    return STATUS_OK;
}

void population_release(struct population *population) {
    memory_free(population->members);
    memory_free(population->buckets);
    *population = (struct population){0};
}

struct member *population_find(const struct population *population, uint64_t hash) {
    uint32_t index = population->buckets[population_bucket(hash)];
    while (index != 0 && population->members[index].hash != hash) {
        index = population->members[index].next;
    }
    return index != 0 ? &population->members[index] : NULL;
}

struct member *population_add(struct population *population, uint64_t hash) {
    if (population->free == 0) return NULL;
    uint32_t index = population->free;
    struct member *member = &population->members[index];
    population->free = member->next;
    uint32_t *first = &population->buckets[population_bucket(hash)];
    *member = (struct member){.hash = hash, .next = *first};
    *first = index;
    population->count++;
    return member;
}

void population_remove(struct population *population, struct member *member) {
    check(member->present == 0);
    uint32_t index = population_index(population, member);
    uint32_t *link = &population->buckets[population_bucket(member->hash)];
    while (*link != index) {
        link = &population->members[*link].next;
    }
    *link = member->next;
    population->deadlines -= member->deadline != 0;
    member->hash = 0;
    member->next = population->free;
    population->free = index;
    population->count--;
}

int64_t population_deadline_ms(const struct population *population, const struct member *member) {
    if (member->deadline == 0) return ENTRY_NO_EXPIRY;
    return population->begun_ms + (int64_t)member->deadline * DEADLINE_UNIT_MS;
}

void population_set_deadline(struct population *population, struct member *member,
                             int64_t deadline_ms) {
    population->deadlines -= member->deadline != 0;
    member->deadline = 0;
    if (deadline_ms == ENTRY_NO_EXPIRY) return;
    int64_t units = (deadline_ms - population->begun_ms) / DEADLINE_UNIT_MS;
    member->deadline = units < 1 ? 1 : units > UINT32_MAX ? UINT32_MAX : (uint32_t)units;
    population->deadlines++;
}

void population_validate(const struct population *population) {
    uint32_t count = 0, deadlines = 0;
    for (uint32_t bucket = 0; bucket < POPULATION_BUCKETS; bucket++) {
        for (uint32_t i = population->buckets[bucket]; i != 0; i = population->members[i].next) {
            const struct member *member = &population->members[i];
            check(population_bucket(member->hash) == bucket && member->present != 0);
            count++;
            deadlines += member->deadline != 0;
        }
    }
    check(count == population->count && deadlines == population->deadlines);
}
