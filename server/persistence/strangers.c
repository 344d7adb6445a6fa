#include "strangers.h"

#include <stdio.h>
#include <string.h>

static void count_type(struct strangers *strangers, const char *type) {
    for (uint32_t i = 0; i < strangers->type_count; i++) {
        if (strcmp(strangers->types[i].name, type) != 0) continue;
        strangers->types[i].count++;
        return;
    }
    if (strangers->type_count == STRANGER_TYPES) return;
    strangers->types[strangers->type_count].name = type;
    strangers->types[strangers->type_count++].count = 1;
}

char *strangers_note(struct strangers *strangers, const char *type, bool has_key) {
    strangers->count++;
    count_type(strangers, type);
    if (!has_key || strangers->name_count == STRANGER_NAMES) return NULL;
    return strangers->names[strangers->name_count++];
}

void strangers_describe(const struct strangers *strangers, char *out, size_t size) {
    FILE *text = fmemopen(out, size, "w");
    out[0] = 0;
    if (text == NULL) return;
    for (uint32_t i = 0; i < strangers->type_count; i++) {
        fprintf(text, "%s%s: %llu", i == 0 ? "" : ", ", strangers->types[i].name,
                (unsigned long long)strangers->types[i].count);
    }
    for (uint32_t i = 0; i < strangers->name_count; i++) {
        fprintf(text, "%s'%s'", i == 0 ? "; keys such as " : ", ", strangers->names[i]);
    }
    fclose(text);
    out[size - 1] = 0;
}
