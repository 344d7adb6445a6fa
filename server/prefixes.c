/* Cut each name to its prefix, sort, add up neighbours. Of some thousand samples that takes a millisecond or
 * two, and needs no memory beside them. */
#include "prefixes.h"

#include <stdlib.h>
#include <string.h>

static uint8_t prefix_size(const struct sample *sample, const struct prefixes_cut *cut) {
    size_t size = 0;
    const char *name = sample->name;
    for (uint32_t depth = 0; depth < cut->depth; depth++) {
        const char *found =
            memmem(name + size, sample->name_size - size, cut->delimiter.data, cut->delimiter.size);
        if (found == NULL) break;
        size = (size_t)(found - name) + cut->delimiter.size;
    }
    return (uint8_t)size;
}

static struct bytes name_of(const struct sample *sample) {
    return bytes_of(sample->name, sample->name_size);
}

static int compare_names(const void *a, const void *b) {
    return bytes_compare(name_of(a), name_of(b));
}

static int compare_heat(const void *a, const void *b) {
    const struct prefix *left = a, *right = b;
    int order = (right->requests > left->requests) - (right->requests < left->requests);
    return order != 0 ? order : bytes_compare(left->name, right->name);
}

static void add(struct prefix *prefix, const struct sample *sample) {
    double weight = sample->stands_for;
    *(sample->is_write ? &prefix->writes : &prefix->reads) += weight;
    prefix->requests += weight;
    prefix->hits += weight * sample->hits;
    prefix->misses += weight * sample->misses;
    prefix->bytes += weight * (double)sample->bytes;
    prefix->samples++;
}

uint32_t prefixes_group(struct sample *samples, uint32_t count, const struct prefixes_cut *cut,
                        struct prefix *prefixes) {
    for (uint32_t i = 0; i < count; i++) {
        samples[i].name_size = prefix_size(&samples[i], cut);
    }
    if (count != 0) qsort(samples, count, sizeof(*samples), compare_names);
    uint32_t groups = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct bytes name = name_of(&samples[i]);
        if (groups == 0 || !bytes_equal(prefixes[groups - 1].name, name))
            prefixes[groups++] = (struct prefix){.name = name};
        add(&prefixes[groups - 1], &samples[i]);
    }
    if (groups != 0) qsort(prefixes, groups, sizeof(*prefixes), compare_heat);
    return groups;
}
