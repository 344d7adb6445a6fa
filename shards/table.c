/* Linear hashing over buckets of one cache line, in one array that grows in place.
 *
 * With n buckets, m the least power of two that is not below n, a hash belongs to bucket `hash mod m`, or, where that
 * one does not exist yet, to `hash mod m/2`. To grow, bucket n - m/2 (n: the number of the new one) is
 * split: its keys are looked at once, and those whose next hash bit is set move to bucket n. To shrink,
 * the last bucket is joined with the one it came from. So there is never a second table to look into, and
 * the longest work of an insert is one chain: 16 keys on average, overlapped by prefetching.
 *
 *     n = 6, m = 8:     0   1   2'  3'  4   5         2 and 3 are not split yet: they hold what will be 6's and 7's, too
 *                       └───┼───────────┘   │
 *                           └───────────────┘
 *
 * A bucket that is full goes on in overflow buckets, taken from the slabs. Its tag, eight bits of the hash that no
 * bucket number uses, tells a stranger from a match without touching the entry in 254 cases of 255.
 *
 * Load. A bucket is split when there are more than LOAD_GROW keys a bucket: then buckets hold 8 keys on average just
 * after a round of splitting, and in its middle 11 (unsplit) beside 5.5. Measured over 1 to 2.2 million keys of 16
 * bytes with values of 64 in 32 shards, at all phases of growth (all bytes over key and value, slabs
 * included; buckets looked into to find a key):
 *
 *     load             6           7           8           9          10          11
 *     bytes      19.2-19.5   17.9-18.3   17.1-17.5   16.6-17.0   16.1-16.6   15.9-16.4
 *     buckets    1.00-1.02   1.01-1.04   1.02-1.06   1.03-1.09   1.06-1.12   1.08-1.16
 *
 * 8 keeps well within 20 bytes and nearly always at one cache miss; beyond it a byte costs two misses in a hundred or
 * more.
 *
 * Speed. One thread on two virtual AMD EPYC processors that other builds kept busy (load 4 to 7), gcc 12
 * -O2, keys and values as above, 32 shards. A million keys, drawn at random, lock included, hashing and
 * routing taken off; all 14 runs of this code, which differ by the machine's other work:
 *
 *     ns                                 median    from-to
 *     find, one after the other             834    425-1232
 *     find, 16 prefetched together          137     41-289
 *     find, absent                          350    134-505
 *
 * An insert took 400 ns of processor time on the way to one million (one run), 440 to 510 to three (three
 * runs), 670 to ten (one run), page faults included. The longest: 0.39 and 1.05 ms in two runs of five
 * million, those during which the thread was switched out left out (next to the 1.05, which saw no page
 * fault, 0.30); with those, 3 of ten million passed 1 ms. Since then `sherd-bench store --grow` sets each
 * hold beside a thread that only spins: what passes 1 ms is as frequent there, and what is ours up to half
 * of that is the first touch of a page (base/region.c).
 *
 * Scanning. Read the low bits of a hash backwards, as the digits of a binary fraction in [0, 1). A bucket
 * whose number counts k bits of the hash is then an interval of length 2^-k, and the buckets of any table
 * tile [0, 1), whatever its size. A cursor is a point; visiting returns the end of the interval around it.
 * Growing and shrinking only cut intervals in two and glue them, so all keys left of the cursor have been
 * visited, always: no key that stays is missed. Glueing may put the cursor inside an interval, which is
 * then visited from its start: a key may be seen twice. Both are Redis's promise.
 *
 * Watching, for a snapshot of one instant. A bucket whose bit in `seen` is clear is as it was when the watch
 * began; whoever is about to change one (insert, remove, replace, split, join) has it taken first. So nothing
 * is marked in entries, and an entry added later is never in an unseen bucket. A bucket made by a split gets
 * keys that were taken with its parent, so buckets numbered beyond the first count need no bit; one that is
 * given up was taken before it was joined, and is not asked for any more. A change takes three chains at the
 * most: its own, and two that are joined.
 *
 * Invariants (table_validate):
 *   1. Every entry is in the chain that its hash says, with its tag; no key twice.
 *   2. In a chain every bucket but the last is full, only the first may be empty, and filled slots come first.
 *   3. key_count and overflow_count are what is there.
 *   4. A split or join is done whole or, when memory is refused, not at all: then chains are longer, nothing is lost.
 *      (A split never needs memory but the new bucket's page: two chains of the same keys need no more overflow buckets
 *      than one did.)
 *
 * Threads: table_prefetch_* read without the lock. They may see a bucket half written, and then prefetch what nobody
 * needs. What they read stays mapped: the region is neither moved nor released while the table is in use
 * (see shard.c).
 *
 * Sources: Witold Litwin, "Linear hashing: a new tool for file and table addressing" (1980); tags compared at once:
 * Google's Swiss tables (Matt Kulukundis, 2017); one cache line a bucket: Valkey 8.1's hashtable.c (Viktor
 * Söderqvist); the cursor: Pieter Noordhuis in Redis's dict.c. */
#include "table.h"

#include <assert.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"

enum {
    BUCKET_SLOTS = 12,
    BUCKET_ALL = (1 << BUCKET_SLOTS) - 1,
    LOAD_GROW = 8,   /* keys a bucket above which one is split */
    LOAD_SHRINK = 5, /* below which two are joined: joined ones hold 10 and seldom overflow */
    PAGE_BYTES = 4096,
    REGION_DIVISOR = 8,  /* of the slabs' reservation: enough buckets for entries of 64 bytes */
    RANDOM_SLOTS = 24,   /* chains up to this length are drawn from evenly */
    RANDOM_TRIES = 1000, /* then the first entry after a random bucket will do */
};

struct table_bucket {
    uint8_t tags[BUCKET_SLOTS]; /* 0: the slot is empty */
    uint32_t overflow;          /* the next bucket of the chain, 0 for none */
    uint32_t references[BUCKET_SLOTS];
};
static_assert(sizeof(struct table_bucket) == 64, "a bucket is a cache line");
static_assert(sizeof(struct table_bucket) == SLABS_FIXED_BYTES, "an overflow bucket never moves");

/* ---- Buckets --------------------------------------------------------------------------------- */

static uint8_t tag_of(uint64_t hash) {
    uint8_t tag = (uint8_t)(hash >> 56);
    return tag != 0 ? tag : 1;
}

/* All ones, as many as the numbers below `count` need: m - 1 in the essay (1 for a single bucket, which
 * does no harm). */
static uint32_t mask_of(uint32_t count) {
    return UINT32_MAX >> __builtin_clz((count - 1) | 1);
}

static uint32_t bucket_index(uint64_t hash, uint32_t count) {
    uint32_t mask = mask_of(count);
    uint32_t index = (uint32_t)hash & mask;
    return index < count ? index : index & mask >> 1;
}

/* The bucket that `index` was, or will be, split from: without its highest bit. */
static uint32_t parent_index(uint32_t index) {
    return index & ~(UINT32_C(1) << (31 - __builtin_clz(index)));
}

static struct table_bucket *bucket_at(const struct table *table, uint32_t index) {
    return (struct table_bucket *)(void *)table->buckets.base + index;
}

static struct table_bucket *bucket_next(const struct table *table,
                                        const struct table_bucket *bucket) {
    return bucket->overflow != 0 ? slabs_at(table->slabs, bucket->overflow) : NULL;
}

/* A bit for each slot whose tag is `tag`. */
#ifdef __SSE2__
static unsigned bucket_matches(const struct table_bucket *bucket, uint8_t tag) {
    /* Sixteen bytes: the tags and, masked away, `overflow`. */
    __m128i tags = _mm_loadu_si128((const __m128i *)(const void *)bucket->tags);
    __m128i equal = _mm_cmpeq_epi8(tags, _mm_set1_epi8((char)tag));
    return (unsigned)_mm_movemask_epi8(equal) & BUCKET_ALL;
}
#else
/* Eight bytes in one word: a bit for each that is `tag`. Exact: no carry passes from one byte to the next. */
static unsigned word_matches(const uint8_t *bytes, uint8_t tag) {
    static const uint64_t SEVEN_BITS = UINT64_C(0x7f7f7f7f7f7f7f7f);
    uint64_t word = 0;
    for (unsigned i = 0; i < 8; i++) { /* compilers make one load of it */
        word |= (uint64_t)bytes[i] << 8 * i;
    }
    word ^= UINT64_C(0x0101010101010101) * tag;
    uint64_t zeros = ~(((word & SEVEN_BITS) + SEVEN_BITS) | word | SEVEN_BITS);
    return (unsigned)((zeros >> 7) * UINT64_C(0x0102040810204080) >> 56);
}

static unsigned bucket_matches(const struct table_bucket *bucket, uint8_t tag) {
    /* The second word starts four bytes before the end of the first, so that it ends with the tags. */
    return word_matches(bucket->tags, tag) | word_matches(bucket->tags + 4, tag) << 4;
}
#endif

static unsigned bucket_fill(const struct table_bucket *bucket) {
    unsigned empty = bucket_matches(bucket, 0);
    return empty == 0 ? BUCKET_SLOTS : (unsigned)__builtin_ctz(empty);
}

static struct entry *slot_entry(const struct table *table, const struct table_bucket *bucket,
                                unsigned slot) {
    return slabs_at(table->slabs, bucket->references[slot]);
}

static void slot_set(struct table_bucket *bucket, unsigned slot, uint8_t tag, uint32_t reference) {
    bucket->tags[slot] = tag;
    bucket->references[slot] = reference;
}

/* ---- Chains ---------------------------------------------------------------------------------- */

/* Where an entry's reference is. */
struct place {
    struct table_bucket *bucket;
    unsigned slot;
};

/* Entries of a chain but its last bucket's, and that bucket, in `tail`. */
static uint32_t chain_length(const struct table *table, struct table_bucket *bucket,
                             struct table_bucket **tail) {
    uint32_t full = 0;
    for (struct table_bucket *next; (next = bucket_next(table, bucket)) != NULL; bucket = next) {
        full += BUCKET_SLOTS;
    }
    *tail = bucket;
    return full + bucket_fill(bucket);
}

static struct place chain_place(const struct table *table, uint32_t reference, uint64_t hash) {
    uint8_t tag = tag_of(hash);
    uint32_t count = atomic_load_explicit(&table->bucket_count, memory_order_relaxed);
    check(count > 0);
    struct table_bucket *bucket = bucket_at(table, bucket_index(hash, count));
    for (;; bucket = bucket_next(table, bucket)) {
        check(bucket != NULL); /* it is in its chain, says the caller */
        for (unsigned m = bucket_matches(bucket, tag); m != 0; m &= m - 1) {
            unsigned slot = (unsigned)__builtin_ctz(m);
            if (bucket->references[slot] == reference) return (struct place){bucket, slot};
        }
    }
}

/* An empty overflow bucket, in no chain; 0 when refused. */
static uint32_t overflow_create(struct table *table) {
    uint32_t reference = slabs_allocate_fixed(table->slabs);
    if (reference == 0) return 0;
    *(struct table_bucket *)slabs_at(table->slabs, reference) = (struct table_bucket){0};
    table->overflow_count++;
    return reference;
}

static void overflow_destroy(struct table *table, uint32_t reference) {
    slabs_free(table->slabs, reference);
    table->overflow_count--;
}

/* Take the chain's last entry out of `head`'s chain, dropping its bucket if that was an overflow bucket's last. */
static uint32_t chain_pop(struct table *table, struct table_bucket *head, uint8_t *tag) {
    struct table_bucket *before = NULL;
    struct table_bucket *tail = head;
    for (struct table_bucket *next; (next = bucket_next(table, tail)) != NULL; tail = next) {
        before = tail;
    }
    unsigned fill = bucket_fill(tail);
    if (fill == 0) return 0;
    uint32_t reference = tail->references[fill - 1];
    *tag = tail->tags[fill - 1];
    slot_set(tail, fill - 1, 0, 0);
    if (fill == 1 && before != NULL) {
        overflow_destroy(table, before->overflow);
        before->overflow = 0;
    }
    return reference;
}

/* A chain being written at its end, and the emptied overflow buckets it may go on in. */
struct chain_writer {
    struct table_bucket *tail;
    unsigned fill;
};

/* Overflow buckets in hand, in no chain, linked through `overflow`. */
struct spares {
    uint32_t head;
};

static void spares_push(struct table *table, struct spares *spares, uint32_t reference) {
    struct table_bucket *bucket = slabs_at(table->slabs, reference);
    *bucket = (struct table_bucket){.overflow = spares->head};
    spares->head = reference;
}

static uint32_t spares_pop(struct table *table, struct spares *spares) {
    uint32_t reference = spares->head;
    struct table_bucket *bucket = slabs_at(table->slabs, reference);
    spares->head = bucket->overflow;
    bucket->overflow = 0;
    return reference;
}

static void spares_destroy(struct table *table, struct spares *spares) {
    while (spares->head != 0) {
        overflow_destroy(table, spares_pop(table, spares));
    }
}

/* Append to a chain, which goes on in a spare when its tail is full; the caller made sure that there is one. */
static void chain_append(struct table *table, struct chain_writer *writer, struct spares *spares,
                         uint8_t tag, uint32_t reference) {
    if (writer->fill == BUCKET_SLOTS) {
        check(spares->head != 0);
        writer->tail->overflow = spares_pop(table, spares);
        writer->tail = bucket_next(table, writer->tail);
        writer->fill = 0;
    }
    slot_set(writer->tail, writer->fill++, tag, reference);
}

/* ---- Watching -------------------------------------------------------------------------------- */

static bool watch_mark(struct table_watch *watch, uint32_t bucket) {
    if (bucket >= watch->bucket_count) return false;
    uint64_t *word = &watch->seen[bucket / TABLE_WATCH_BITS];
    uint64_t bit = UINT64_C(1) << bucket % TABLE_WATCH_BITS;
    if (*word & bit) return false;
    *word |= bit;
    return true;
}

/* The bucket is about to change. */
static void hand_over(const struct table *table, uint32_t bucket) {
    struct table_watch *watch = table->watch;
    if (__builtin_expect(watch == NULL, 1)) return;
    if (watch_mark(watch, bucket)) watch->take(watch, table, bucket);
}

/* ---- Growing and shrinking ------------------------------------------------------------------- */

static uint32_t count_of(const struct table *table) {
    return atomic_load_explicit(&table->bucket_count, memory_order_relaxed);
}

static int64_t pages_of(uint32_t count) {
    return (int64_t)(((size_t)count * sizeof(struct table_bucket) + PAGE_BYTES - 1) / PAGE_BYTES);
}

static void set_count(struct table *table, uint32_t count) {
    memory_account((pages_of(count) - pages_of(count_of(table))) * PAGE_BYTES);
    /* Release: pairs with the acquire in table_prefetch_*; the region was reserved before. */
    atomic_store_explicit(&table->bucket_count, count, memory_order_release);
}

/* Make bucket `count_of(table)` usable, whose memory is zero: it was never used, or was cleared when it
 * was given up. */
static bool bucket_commit(struct table *table) {
    size_t bytes = ((size_t)count_of(table) + 1) * sizeof(struct table_bucket);
    return bytes <= table->buckets.reserved_bytes &&
           region_commit(&table->buckets, bytes) == STATUS_OK;
}

/* The last bucket, empty by now, ceases to be; a page of buckets that became unused goes back to the system. */
static void bucket_give_up(struct table *table) {
    uint32_t count = count_of(table) - 1;
    set_count(table, count);
    size_t end = (size_t)count * sizeof(struct table_bucket);
    if (end % PAGE_BYTES == 0) region_discard(&table->buckets, end, PAGE_BYTES);
}

static void chain_prefetch(const struct table *table, const struct table_bucket *bucket) {
    for (; bucket != NULL; bucket = bucket_next(table, bucket)) {
        unsigned fill = bucket_fill(bucket);
        for (unsigned slot = 0; slot < fill; slot++) {
            __builtin_prefetch(slot_entry(table, bucket, slot));
        }
    }
}

/* Distribute the chain of the next bucket's parent over both. Reads one bucket ahead of what it writes: after j
 * overflow buckets were read, at most 12 (j + 1) entries were written, which never need more than j
 * overflow buckets. */
static void split_one(struct table *table) {
    uint32_t count = count_of(table);
    if (!bucket_commit(table)) return;
    hand_over(table, parent_index(count));
    struct table_bucket *low = bucket_at(table, parent_index(count));
    struct table_bucket *high = bucket_at(table, count);
    uint32_t bit = UINT32_C(1) << (31 - __builtin_clz(count));
    struct chain_writer writers[2] = {{.tail = low}, {.tail = high}};
    struct spares spares = {0};
    struct table_bucket from = *low;
    chain_prefetch(table, low);
    *low = (struct table_bucket){0};
    for (;;) {
        for (unsigned slot = 0; slot < BUCKET_SLOTS && from.tags[slot] != 0; slot++) {
            struct bytes key = entry_key(slot_entry(table, &from, slot));
            bool is_high = (hash_seeded(key, table->seed) & bit) != 0;
            chain_append(table, &writers[is_high], &spares, from.tags[slot], from.references[slot]);
        }
        uint32_t next = from.overflow;
        if (next == 0) break;
        from = *(struct table_bucket *)slabs_at(table->slabs, next);
        spares_push(table, &spares, next);
    }
    spares_destroy(table, &spares);
    set_count(table, count + 1);
}

/* Append the last bucket's chain to its parent's: with one overflow bucket in hand, and each one read becoming free,
 * what is written never runs out of room. */
static void join_last(struct table *table) {
    uint32_t last = count_of(table) - 1;
    hand_over(table, last);
    hand_over(table, parent_index(last));
    struct table_bucket *high = bucket_at(table, last);
    struct chain_writer writer;
    struct table_bucket *high_tail;
    chain_length(table, bucket_at(table, parent_index(last)), &writer.tail);
    writer.fill = bucket_fill(writer.tail);
    struct spares spares = {0};
    if (chain_length(table, high, &high_tail) > BUCKET_SLOTS - writer.fill) {
        uint32_t reference = overflow_create(table);
        if (reference == 0) return;
        spares_push(table, &spares, reference);
    }
    struct table_bucket from = *high;
    *high = (struct table_bucket){0};
    for (;;) {
        for (unsigned slot = 0; slot < BUCKET_SLOTS && from.tags[slot] != 0; slot++) {
            chain_append(table, &writer, &spares, from.tags[slot], from.references[slot]);
        }
        uint32_t next = from.overflow;
        if (next == 0) break;
        from = *(struct table_bucket *)slabs_at(table->slabs, next);
        spares_push(table, &spares, next);
    }
    spares_destroy(table, &spares);
    bucket_give_up(table);
}

static bool has_too_few_buckets(const struct table *table) {
    uint64_t keys = atomic_load_explicit(&table->key_count, memory_order_relaxed);
    return keys > (uint64_t)count_of(table) * LOAD_GROW;
}

static bool has_too_many_buckets(const struct table *table) {
    uint64_t keys = atomic_load_explicit(&table->key_count, memory_order_relaxed);
    return count_of(table) > 1 && keys < (uint64_t)(count_of(table) - 1) * LOAD_SHRINK;
}

static void key_count_add(struct table *table, int64_t change) {
    uint64_t keys = atomic_load_explicit(&table->key_count, memory_order_relaxed);
    atomic_store_explicit(&table->key_count, keys + (uint64_t)change, memory_order_relaxed);
}

/* ---- Lifetime -------------------------------------------------------------------------------- */

void table_init(struct table *table, struct slabs *slabs, uint64_t seed) {
    *table = (struct table){.slabs = slabs, .seed = seed};
}

void table_release(struct table *table) {
    memory_account(-pages_of(count_of(table)) * PAGE_BYTES);
    region_release(&table->buckets);
    table_init(table, table->slabs, table->seed);
}

/* The first bucket, in a region that is reserved on the way. */
static enum status table_open(struct table *table) {
    if (table->buckets.base == NULL) {
        enum status status =
            region_init(&table->buckets, table->slabs->region.reserved_bytes / REGION_DIVISOR);
        if (status != STATUS_OK) return status;
    }
    if (!bucket_commit(table)) return STATUS_NO_MEMORY;
    set_count(table, 1);
    return STATUS_OK;
}

/* ---- Finding, adding, removing --------------------------------------------------------------- */

struct entry *table_find(const struct table *table, struct bytes key, uint64_t hash) {
    uint32_t count = count_of(table);
    if (__builtin_expect(count == 0, 0)) return NULL;
    uint8_t tag = tag_of(hash);
    const struct table_bucket *bucket = bucket_at(table, bucket_index(hash, count));
    for (;;) {
        for (unsigned m = bucket_matches(bucket, tag); m != 0; m &= m - 1) {
            struct entry *entry = slot_entry(table, bucket, (unsigned)__builtin_ctz(m));
            if (__builtin_expect(entry_has_key(entry, key), 1)) return entry;
        }
        if (__builtin_expect(bucket->overflow == 0, 1)) return NULL;
        bucket = slabs_at(table->slabs, bucket->overflow);
    }
}

enum status table_insert(struct table *table, uint32_t reference, uint64_t hash) {
    if (__builtin_expect(count_of(table) == 0, 0)) {
        enum status status = table_open(table);
        if (status != STATUS_OK) return status;
    }
    table_before_change(table, hash);
    struct table_bucket *tail = bucket_at(table, bucket_index(hash, count_of(table)));
    while (tail->overflow != 0) {
        tail = slabs_at(table->slabs, tail->overflow);
    }
    unsigned fill = bucket_fill(tail);
    if (fill == BUCKET_SLOTS) {
        uint32_t overflow = overflow_create(table);
        if (overflow == 0) return STATUS_NO_MEMORY;
        tail->overflow = overflow;
        tail = slabs_at(table->slabs, overflow);
        fill = 0;
    }
    slot_set(tail, fill, tag_of(hash), reference);
    key_count_add(table, 1);
    if (has_too_few_buckets(table)) split_one(table);
    return STATUS_OK;
}

void table_remove(struct table *table, uint32_t reference, uint64_t hash) {
    table_before_change(table, hash);
    struct place hole = chain_place(table, reference, hash);
    uint8_t tag;
    struct table_bucket *head = bucket_at(table, bucket_index(hash, count_of(table)));
    uint32_t last = chain_pop(table, head, &tag);
    if (last != reference) slot_set(hole.bucket, hole.slot, tag, last);
    key_count_add(table, -1);
    if (has_too_many_buckets(table)) join_last(table);
}

void table_replace(struct table *table, uint32_t from, uint32_t to, uint64_t hash) {
    table_before_change(table, hash);
    struct place place = chain_place(table, from, hash);
    place.bucket->references[place.slot] = to;
}

uint32_t table_take_any(struct table *table) {
    while (count_of(table) > 0) {
        uint8_t tag;
        hand_over(table, count_of(table) - 1);
        uint32_t reference = chain_pop(table, bucket_at(table, count_of(table) - 1), &tag);
        if (reference != 0) {
            key_count_add(table, -1);
            return reference;
        }
        if (count_of(table) == 1) break;
        bucket_give_up(table);
        chain_prefetch(table,
                       bucket_at(table, count_of(table) - 1)); /* halves the time of a clearing */
    }
    return 0;
}

/* ---- Scanning and drawing -------------------------------------------------------------------- */

static uint32_t reverse_bits(uint32_t v) {
    v = (v >> 1 & 0x55555555u) | (v & 0x55555555u) << 1;
    v = (v >> 2 & 0x33333333u) | (v & 0x33333333u) << 2;
    v = (v >> 4 & 0x0f0f0f0fu) | (v & 0x0f0f0f0fu) << 4;
    return __builtin_bswap32(v);
}

static void chain_visit(const struct table *table, const struct table_bucket *bucket,
                        table_visitor visit, void *context) {
    for (; bucket != NULL; bucket = bucket_next(table, bucket)) {
        unsigned fill = bucket_fill(bucket);
        for (unsigned slot = 0; slot < fill; slot++) {
            visit(context, slot_entry(table, bucket, slot));
        }
    }
}

uint64_t table_scan(const struct table *table, uint64_t cursor, table_visitor visit,
                    void *context) {
    uint32_t count = count_of(table);
    if (count == 0) return 0;
    uint32_t index = bucket_index(cursor, count);
    chain_visit(table, bucket_at(table, index), visit, context);
    /* The bucket counts all bits of the mask, or, where its sibling does not exist yet, one less. */
    uint32_t mask = mask_of(count);
    if ((index | (mask ^ mask >> 1)) >= count) mask >>= 1;
    /* The end of its interval: add one at the mask's highest bit, carrying downwards. */
    return reverse_bits(reverse_bits((uint32_t)cursor | ~mask) + 1);
}

void table_visit(const struct table *table, uint32_t bucket, table_visitor visit, void *context) {
    chain_visit(table, bucket_at(table, bucket), visit, context);
}

static struct entry *random_by_walk(const struct table *table, struct random *random,
                                    uint32_t count) {
    uint32_t index = (uint32_t)random_below(random, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct table_bucket *bucket = bucket_at(table, index);
        if (bucket_fill(bucket) > 0) return slot_entry(table, bucket, 0);
        index = index + 1 < count ? index + 1 : 0;
    }
    return NULL;
}

struct entry *table_random(const struct table *table, struct random *random) {
    if (atomic_load_explicit(&table->key_count, memory_order_relaxed) == 0) return NULL;
    uint32_t count = count_of(table);
    for (int i = 0; i < RANDOM_TRIES; i++) {
        struct table_bucket *bucket = bucket_at(table, (uint32_t)random_below(random, count));
        struct table_bucket *tail;
        uint32_t length = chain_length(table, bucket, &tail);
        uint64_t pick = random_below(random, length > RANDOM_SLOTS ? length : RANDOM_SLOTS);
        if (pick >= length) continue;
        for (; pick >= BUCKET_SLOTS; pick -= BUCKET_SLOTS) {
            bucket = bucket_next(table, bucket);
        }
        return slot_entry(table, bucket, (unsigned)pick);
    }
    return random_by_walk(table, random, count);
}

/* ---- Sweeping -------------------------------------------------------------------------------- */

uint32_t table_sweep(const struct table *table, uint32_t index, table_visitor visit,
                     void *context) {
    uint32_t count = count_of(table);
    if (count == 0) return 0;
    if (index >= count) index = 0;
    uint32_t next = index + 1 < count ? index + 1 : 0;
    chain_prefetch(table, bucket_at(table, next));
    chain_visit(table, bucket_at(table, index), visit, context);
    return next;
}

bool table_holds(const struct table *table, uint32_t reference, uint64_t hash) {
    uint32_t count = count_of(table);
    if (count == 0) return false;
    uint8_t tag = tag_of(hash);
    const struct table_bucket *bucket = bucket_at(table, bucket_index(hash, count));
    for (; bucket != NULL; bucket = bucket_next(table, bucket)) {
        for (unsigned m = bucket_matches(bucket, tag); m != 0; m &= m - 1) {
            if (bucket->references[__builtin_ctz(m)] == reference) return true;
        }
    }
    return false;
}

/* ---- Being watched --------------------------------------------------------------------------- */

void table_watch_start(struct table *table, struct table_watch *watch) {
    check(table->watch == NULL);
    watch->bucket_count = count_of(table);
    table->watch = watch;
}

bool table_watch_mark(const struct table *table, uint32_t bucket) {
    return bucket < count_of(table) && watch_mark(table->watch, bucket);
}

void table_watch_hand_over(const struct table *table, uint64_t hash) {
    uint32_t count = count_of(table);
    if (count != 0) hand_over(table, bucket_index(hash, count));
}

/* ---- Prefetching ----------------------------------------------------------------------------- */

/* Acquire: pairs with the release in `set_count`; a count that is not 0 says that the region is there. */
static const struct table_bucket *bucket_hint(const struct table *table, uint64_t hash) {
    uint32_t count = atomic_load_explicit(&table->bucket_count, memory_order_acquire);
    return count != 0 ? bucket_at(table, bucket_index(hash, count)) : NULL;
}

/* Not seen by the thread sanitizer: the race is meant. A writer may be changing the bucket, the copy may be torn, and
 * nothing but a prefetch comes of it. */
__attribute__((no_sanitize("thread"))) static struct table_bucket
bucket_peek(const struct table_bucket *bucket) {
    return *bucket;
}

void table_prefetch_bucket(const struct table *table, uint64_t hash) {
    const struct table_bucket *bucket = bucket_hint(table, hash);
    if (bucket != NULL) __builtin_prefetch(bucket);
}

void table_prefetch_entry(const struct table *table, uint64_t hash) {
    const struct table_bucket *bucket = bucket_hint(table, hash);
    if (bucket == NULL) return;
    struct table_bucket seen = bucket_peek(bucket);
    for (unsigned m = bucket_matches(&seen, tag_of(hash)); m != 0; m &= m - 1) {
        /* An entry of 88 bytes lies on two lines, or on three where it begins late in one. */
        const char *entry = (const char *)slot_entry(table, &seen, (unsigned)__builtin_ctz(m));
        __builtin_prefetch(entry);
        __builtin_prefetch(entry + 64);
        __builtin_prefetch(entry + 87);
    }
}

/* ---- Accounting and validation --------------------------------------------------------------- */

size_t table_footprint(const struct table *table) {
    return (size_t)(pages_of(count_of(table)) * PAGE_BYTES);
}

static void slot_validate(const struct table *table, const struct table_bucket *bucket,
                          unsigned slot, uint32_t index) {
    struct bytes key = entry_key(slot_entry(table, bucket, slot));
    uint64_t hash = hash_seeded(key, table->seed);
    check(bucket->tags[slot] == tag_of(hash));
    check(bucket_index(hash, count_of(table)) == index);
    check(table_find(table, key, hash) ==
          slot_entry(table, bucket, slot)); /* so no key is there twice */
}

void table_validate(const struct table *table) {
    uint64_t keys = 0;
    uint64_t overflows = 0;
    for (uint32_t index = 0; index < count_of(table); index++) {
        const struct table_bucket *bucket = bucket_at(table, index);
        for (const struct table_bucket *next; bucket != NULL; bucket = next) {
            next = bucket_next(table, bucket);
            unsigned fill = bucket_fill(bucket);
            check(next == NULL || fill == BUCKET_SLOTS);
            for (unsigned slot = 0; slot < BUCKET_SLOTS; slot++) {
                check((bucket->tags[slot] != 0) == (slot < fill));
                if (slot < fill) slot_validate(table, bucket, slot, index);
            }
            keys += fill;
            if (next != NULL) check(bucket_fill(next) > 0);
            overflows += next != NULL;
            check(overflows <= table->overflow_count);
        }
    }
    check(keys == atomic_load_explicit(&table->key_count, memory_order_relaxed));
    check(overflows == table->overflow_count);
}
