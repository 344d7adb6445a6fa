/* A Space-Saving sketch (Metwally, Agrawal, El Abbadi 2005), sampled, ageing, and merged on demand.
 *
 * Space-Saving counts the frequent ones of a stream in a fixed number of slots. A key that has a slot is
 * counted there. A key that has none takes over the slot with the smallest count, and goes on from that count:
 * it may have been here before, but not more often. So no slot's count is too small, and a key with more than
 * 1/HOTKEYS_MAX of all requests always has a slot. Beside the count a slot keeps what its key alone has done
 * since it moved in, as reads and writes. That is what is shown and ranked; the rest of the count is what may
 * be missing.
 *
 *      chains  hash -> slot, then slot.next           to find a key
 *      heap    (count, slot), smallest count first    to find the slot to give away; slot.place leads back
 *      slots   hash reads writes bytes database name_size next place | x 255
 *      names   128 bytes each, apart: most notes touch only as much as the name is long
 *
 * The authors keep a list of lists of equal counts, which finds the smallest in O(1). A heap of 255 is eight
 * levels deep and 4 KiB, has no pointers, takes any weight, and stays a heap when all counts are halved. An
 * empty slot has the count 0: filling it is the same step as taking one over.
 *
 * Ageing: all numbers halve every HOTKEYS_HALVING_MS, so a steady key shows one to two minutes' worth, and one
 * that was hot an hour ago is gone. The time is an argument, and may jump.
 *
 * Merging (Agarwal, Cormode, Huang, Phillips, Wei, Yi: Mergeable Summaries, 2012): a key's numbers add up; a
 * sketch that doesn't know it may have seen it as often as its smallest count says, and given its slot away.
 *
 * Invariants: 1. A slot's count is at least its reads + writes. 2. The counts' sum is at least the number of
 * requests. 3. A slot with a count is in the chain of its hash, once; one without is in none. 4. A parent's count
 * in the heap is at most its children's.
 *
 * Threads: a mutex, a leaf: it is taken under no other lock, and none is taken under it. The sketch's worker
 * only tries, so somebody who is put to sleep while collecting costs it nothing: it notes another request. */
#include "hotkeys.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "shards/base/check.h"
#include "shards/base/memory.h"

enum {
    CHAINS = 256,
    NO_SLOT = UINT16_MAX,
    HALVINGS_MAX = 64, /* then nothing is left of any number */
};
static_assert((HOTKEYS_MAX & (HOTKEYS_MAX + 1)) == 0, "the heap is a full tree");

struct slot {
    uint64_t hash;
    uint64_t reads, writes, bytes;
    uint32_t database;
    uint32_t name_size; /* whole */
    uint16_t next;      /* of its chain */
    uint16_t place;     /* in the heap */
};

struct heap_node {
    uint64_t count; /* of the slot; 0: it is empty */
    uint16_t slot;
};

struct hotkeys {
    pthread_mutex_t lock; /* over everything below */
    int64_t halved_ms;
    uint64_t requests;
    struct heap_node heap[HOTKEYS_MAX];
    uint16_t chains[CHAINS];
    struct slot slots[HOTKEYS_MAX];
    char names[HOTKEYS_MAX][HOTKEYS_NAME_MAX];
};

static size_t kept_size(size_t name_size) {
    return name_size < HOTKEYS_NAME_MAX ? name_size : HOTKEYS_NAME_MAX;
}

static struct bytes kept_name(const struct hotkeys *hotkeys, uint32_t slot) {
    return bytes_of(hotkeys->names[slot], kept_size(hotkeys->slots[slot].name_size));
}

/* ---- Chains ---------------------------------------------------------------------------------- */

static uint16_t *chain_of(struct hotkeys *hotkeys, uint64_t hash) {
    return &hotkeys->chains[hash % CHAINS];
}

static uint16_t find(struct hotkeys *hotkeys, const struct sampled *sampled) {
    struct bytes name = sampled->key.name;
    uint16_t i = *chain_of(hotkeys, sampled->key.hash);
    for (; i != NO_SLOT; i = hotkeys->slots[i].next) {
        const struct slot *slot = &hotkeys->slots[i];
        if (slot->hash == sampled->key.hash && slot->database == sampled->database &&
            slot->name_size == (uint32_t)name.size &&
            bytes_equal(kept_name(hotkeys, i), bytes_of(name.data, kept_size(name.size)))) {
            return i;
        }
    }
    return NO_SLOT;
}

static void unlink_slot(struct hotkeys *hotkeys, uint16_t index) {
    uint16_t *link = chain_of(hotkeys, hotkeys->slots[index].hash);
    while (*link != index) {
        link = &hotkeys->slots[*link].next;
    }
    *link = hotkeys->slots[index].next;
}

/* ---- The heap -------------------------------------------------------------------------------- */

static uint64_t smallest_count(const struct hotkeys *hotkeys) {
    return hotkeys->heap[0].count;
}

static uint64_t count_of(const struct hotkeys *hotkeys, uint32_t slot) {
    return hotkeys->heap[hotkeys->slots[slot].place].count;
}

static void put_node(struct hotkeys *hotkeys, uint32_t place, struct heap_node node) {
    hotkeys->heap[place] = node;
    hotkeys->slots[node.slot].place = (uint16_t)place;
}

/* Count for the slot at `place`, and let smaller ones rise past it. */
static void count_up(struct hotkeys *hotkeys, uint32_t place) {
    const struct heap_node *heap = hotkeys->heap;
    struct heap_node node = heap[place];
    node.count += SAMPLED_WEIGHT;
    for (uint32_t child; (child = 2 * place + 1) < HOTKEYS_MAX; place = child) {
        child += heap[child + 1].count < heap[child].count; /* a full tree: there are two or none */
        if (heap[child].count >= node.count) break;
        put_node(hotkeys, place, heap[child]);
    }
    put_node(hotkeys, place, node);
}

/* ---- Ageing ---------------------------------------------------------------------------------- */

/* The count is rounded up, what its key has done is rounded down: so both stay bounds, and the order of counts
 * holds. */
static void halve(struct hotkeys *hotkeys) {
    hotkeys->requests /= 2;
    for (uint32_t i = 0; i < HOTKEYS_MAX; i++) {
        struct slot *slot = &hotkeys->slots[i];
        uint64_t *count = &hotkeys->heap[i].count;
        *count = *count / 2 + *count % 2;
        slot->reads /= 2;
        slot->writes /= 2;
        slot->bytes /= 2;
    }
}

static void age(struct hotkeys *hotkeys, int64_t now_ms) {
    int64_t elapsed_ms = now_ms - hotkeys->halved_ms;
    if (elapsed_ms >= 0 && elapsed_ms < HOTKEYS_HALVING_MS) return;
    if (elapsed_ms < 0) { /* the clock was set back */
        hotkeys->halved_ms = now_ms;
        return;
    }
    int64_t halvings = elapsed_ms / HOTKEYS_HALVING_MS;
    hotkeys->halved_ms += halvings * HOTKEYS_HALVING_MS;
    for (int64_t i = 0; i < halvings && i < HALVINGS_MAX; i++) {
        halve(hotkeys);
    }
}

/* ---- The worker ------------------------------------------------------------------------------ */

bool hotkeys_try_begin(struct hotkeys *hotkeys, int64_t now_ms) {
    if (pthread_mutex_trylock(&hotkeys->lock) != 0) return false;
    age(hotkeys, now_ms);
    return true;
}

void hotkeys_end(struct hotkeys *hotkeys) {
    pthread_mutex_unlock(&hotkeys->lock);
}

/* Give the slot with the smallest count to a key that has none. The count stays. */
static uint16_t take_over(struct hotkeys *hotkeys, const struct sampled *sampled) {
    struct bytes name = sampled->key.name;
    uint16_t index = hotkeys->heap[0].slot;
    struct slot *slot = &hotkeys->slots[index];
    if (smallest_count(hotkeys) != 0) unlink_slot(hotkeys, index);
    uint16_t *chain = chain_of(hotkeys, sampled->key.hash);
    *slot = (struct slot){
        .place = slot->place,
        .hash = sampled->key.hash,
        .database = sampled->database,
        .name_size = (uint32_t)name.size,
        .next = *chain,
    };
    *chain = index;
    if (name.size != 0) memcpy(hotkeys->names[index], name.data, kept_size(name.size));
    return index;
}

void hotkeys_note(struct hotkeys *hotkeys, const struct sampled *sampled) {
    uint16_t index = find(hotkeys, sampled);
    if (index == NO_SLOT) index = take_over(hotkeys, sampled);
    struct slot *slot = &hotkeys->slots[index];
    uint64_t *uses = sampled->is_write ? &slot->writes : &slot->reads;
    *uses += SAMPLED_WEIGHT;
    slot->bytes += sampled->bytes * SAMPLED_WEIGHT;
    hotkeys->requests += SAMPLED_WEIGHT;
    count_up(hotkeys, slot->place);
}

/* ---- Others ---------------------------------------------------------------------------------- */

static void clear(struct hotkeys *hotkeys, int64_t now_ms) {
    hotkeys->halved_ms = now_ms;
    hotkeys->requests = 0;
    for (uint32_t i = 0; i < CHAINS; i++) {
        hotkeys->chains[i] = NO_SLOT;
    }
    for (uint16_t i = 0; i < HOTKEYS_MAX; i++) {
        put_node(hotkeys, i, (struct heap_node){.count = 0, .slot = i});
    }
}

struct hotkeys *hotkeys_create(int64_t now_ms) {
    struct hotkeys *hotkeys = memory_allocate_zeroed(sizeof(*hotkeys));
    if (hotkeys == NULL) return NULL;
    pthread_mutex_init(&hotkeys->lock, NULL);
    clear(hotkeys, now_ms);
    return hotkeys;
}

void hotkeys_destroy(struct hotkeys *hotkeys) {
    if (hotkeys == NULL) return;
    pthread_mutex_destroy(&hotkeys->lock);
    memory_free(hotkeys);
}

void hotkeys_reset(struct hotkeys *hotkeys, int64_t now_ms) {
    pthread_mutex_lock(&hotkeys->lock);
    clear(hotkeys, now_ms);
    pthread_mutex_unlock(&hotkeys->lock);
}

/* `unseen` is relative to the sketch's smallest count, which is what would be unseen of a key that isn't here:
 * ranking adds the smallest counts of all sketches to every key. */
static void copy_slot(const struct hotkeys *hotkeys, uint32_t index, struct hotkey *key) {
    const struct slot *slot = &hotkeys->slots[index];
    uint64_t unseen = count_of(hotkeys, index) - slot->reads - slot->writes;
    key->reads = slot->reads;
    key->writes = slot->writes;
    key->bytes = slot->bytes;
    key->unseen = (int64_t)(unseen - smallest_count(hotkeys));
    key->hash = slot->hash;
    key->database = slot->database;
    key->name_size = slot->name_size;
    memcpy(key->name, hotkeys->names[index], kept_size(slot->name_size));
}

void hotkeys_collect(struct hotkeys *hotkeys, int64_t now_ms, struct hotkeys_report *report) {
    pthread_mutex_lock(&hotkeys->lock);
    age(hotkeys, now_ms);
    report->requests += hotkeys->requests;
    report->unseen += smallest_count(hotkeys);
    for (uint32_t i = 0; i < HOTKEYS_MAX; i++) {
        const struct slot *slot = &hotkeys->slots[i];
        if (count_of(hotkeys, i) == 0 || slot->reads + slot->writes == 0) continue; /* faded */
        copy_slot(hotkeys, i, &report->keys[report->count++]);
    }
    pthread_mutex_unlock(&hotkeys->lock);
}

/* ---- Ranking --------------------------------------------------------------------------------- */

static int compare_numbers(uint64_t a, uint64_t b) {
    return (a > b) - (a < b);
}

/* Zero for one key only; otherwise any order that is always the same. */
static int compare_identity(const void *a, const void *b) {
    const struct hotkey *left = a, *right = b;
    int order = compare_numbers(left->hash, right->hash);
    if (order == 0) order = compare_numbers(left->database, right->database);
    if (order == 0) order = compare_numbers(left->name_size, right->name_size);
    return order != 0 ? order : bytes_compare(hotkey_name(left), hotkey_name(right));
}

static int compare_heat(const void *a, const void *b) {
    const struct hotkey *left = a, *right = b;
    int order = compare_numbers(right->reads + right->writes, left->reads + left->writes);
    if (order == 0) order = compare_numbers(right->bytes, left->bytes);
    return order != 0 ? order : compare_identity(a, b);
}

static void add_up(struct hotkey *sum, const struct hotkey *key) {
    sum->reads += key->reads;
    sum->writes += key->writes;
    sum->bytes += key->bytes;
    sum->unseen += key->unseen;
}

void hotkeys_rank(struct hotkeys_report *report) {
    if (report->count == 0) return;
    struct hotkey *keys = report->keys;
    qsort(keys, report->count, sizeof(*keys), compare_identity);
    uint32_t last = 0;
    for (uint32_t i = 1; i < report->count; i++) {
        if (compare_identity(&keys[last], &keys[i]) == 0) {
            add_up(&keys[last], &keys[i]);
        } else if (++last != i) {
            keys[last] = keys[i];
        }
    }
    report->count = last + 1;
    for (uint32_t i = 0; i < report->count; i++) {
        keys[i].unseen += (int64_t)report->unseen;
        if (keys[i].unseen < 0) keys[i].unseen = 0;
    }
    qsort(keys, report->count, sizeof(*keys), compare_heat);
}

/* ---- Tests ----------------------------------------------------------------------------------- */

static void validate_slot(const struct hotkeys *hotkeys, uint16_t index) {
    const struct slot *slot = &hotkeys->slots[index];
    uint64_t count = count_of(hotkeys, index);
    check(slot->place < HOTKEYS_MAX && hotkeys->heap[slot->place].slot == index);
    check(slot->place == 0 || hotkeys->heap[(slot->place - 1) / 2].count <= count);
    check(count == 0 || count >= slot->reads + slot->writes);
    uint32_t found = 0, steps = 0;
    uint16_t i = hotkeys->chains[slot->hash % CHAINS];
    for (; i != NO_SLOT; i = hotkeys->slots[i].next) {
        found += i == index;
        check(++steps <= HOTKEYS_MAX);
    }
    check(found == (count != 0));
}

void hotkeys_validate(const struct hotkeys *hotkeys) {
    uint64_t sum = 0;
    for (uint16_t i = 0; i < HOTKEYS_MAX; i++) {
        validate_slot(hotkeys, i);
        sum += hotkeys->heap[i].count;
    }
    check(sum >= hotkeys->requests);
}
