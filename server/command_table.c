/* Names to rows: open addressing over the first eight bytes of the name.
 *
 * A name becomes one 64-bit number: its first eight bytes, shorter ones padded, with the bit set that tells upper from
 * lower case. For letters that folds, exactly; other bytes it may confuse, so only a name of at most eight letters is
 * settled by comparing the numbers, and any other by its text. So most commands take one multiplication, one
 * probe and one comparison. The table is four times as large as its rows, so probes rarely collide. */
#include "command_table.h"

#include <string.h>

#include "shards/base/check.h"
#include "shards/base/memory.h"

enum { SLOTS = 1024 };

struct slot {
    uint64_t head;             /* first eight bytes of the name */
    const struct command *row; /* NULL: empty */
    const char *name;          /* the row's, or what it was renamed to (heap) */
    uint32_t id;
    uint16_t size;   /* of the name */
    bool is_settled; /* by its head: at most eight letters, nothing else */
};

struct command_table {
    struct slot slots[SLOTS];
    const struct command **rows; /* by id */
    uint32_t *first_sub;         /* by id of a top-level row: its first subcommand's */
    uint32_t count, count_all;
};

static const struct command_group_rows *const groups[] = {
    &commands_strings,     &commands_keys,       &commands_expire,  &commands_object,
    &commands_scan,        &commands_connection, &commands_client,  &commands_server,
    &commands_info,        &commands_config,     &commands_command, &commands_debug,
    &commands_persistence, &commands_leases,     &commands_cache,   &commands_hotkeys,
    &commands_acl,         &commands_slowlog,    &commands_latency, &commands_workers,
    &commands_monitor,
};
enum { GROUPS = sizeof(groups) / sizeof(groups[0]) };

/* The first eight bytes, padded and folded. Names of four bytes and more take two loads that overlap instead
 * of a loop. */
static inline uint64_t head_of(struct bytes name) {
    uint64_t word = 0;
    if (name.size >= sizeof(word)) {
        memcpy(&word, name.data, sizeof(word));
    } else if (name.size >= sizeof(uint32_t)) {
        uint32_t front, back;
        memcpy(&front, name.data, sizeof(front));
        memcpy(&back, name.data + name.size - sizeof(back), sizeof(back));
        word = front | (uint64_t)back << 8 * (name.size - sizeof(back));
    } else if (name.size != 0) {
        const unsigned char *bytes = (const unsigned char *)name.data;
        size_t middle = name.size / 2, last = name.size - 1;
        word = bytes[0] | (uint64_t)bytes[middle] << 8 * middle | (uint64_t)bytes[last] << 8 * last;
    }
    return word | UINT64_C(0x2020202020202020);
}

static inline uint32_t slot_of(uint64_t head, size_t size) {
    return (uint32_t)((head ^ size) * UINT64_C(0x9e3779b97f4a7c15) >> 54) & (SLOTS - 1);
}

static inline bool is_named(const struct slot *slot, uint64_t head, struct bytes name) {
    if (slot->head != head || slot->size != name.size) return false;
    return slot->is_settled || bytes_is(name, slot->name);
}

struct command_found command_table_find(const struct command_table *table, struct bytes name) {
    uint64_t head = head_of(name);
    uint32_t i = slot_of(head, name.size);
    for (; table->slots[i].row != NULL; i = (i + 1) & (SLOTS - 1)) {
        if (is_named(&table->slots[i], head, name)) {
            return (struct command_found){table->slots[i].row, table->slots[i].id};
        }
    }
    return (struct command_found){NULL, 0};
}

struct command_found command_table_find_sub(const struct command_table *table,
                                            struct command_found container, struct bytes name) {
    size_t prefix = strlen(container.row->name) + 1;
    for (size_t i = 0; i < container.row->subcommand_count; i++) {
        const struct command *row = &container.row->subcommands[i];
        if (bytes_is(name, row->name + prefix)) {
            return (struct command_found){row, table->first_sub[container.id] + (uint32_t)i};
        }
    }
    return (struct command_found){NULL, 0};
}

struct command_found command_table_find_full(const struct command_table *table, struct bytes name) {
    const char *bar = name.size != 0 ? memchr(name.data, '|', name.size) : NULL;
    if (bar == NULL) return command_table_find(table, name);
    size_t size = (size_t)(bar - name.data);
    struct command_found container = command_table_find(table, bytes_of(name.data, size));
    if (container.row == NULL) return container;
    return command_table_find_sub(table, container, bytes_of(bar + 1, name.size - size - 1));
}

static bool is_settled_by_head(struct bytes name) {
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] < 'a' || name.data[i] > 'z') return false;
    }
    return name.size <= sizeof(uint64_t);
}

/* Under a name that is free. */
static void add_slot(struct command_table *table, const char *text, const struct command *row,
                     uint32_t id) {
    struct bytes name = bytes_of_text(text);
    uint64_t head = head_of(name);
    uint32_t i = slot_of(head, name.size);
    while (table->slots[i].row != NULL) {
        i = (i + 1) & (SLOTS - 1);
    }
    table->slots[i] =
        (struct slot){head, row, text, id, (uint16_t)name.size, is_settled_by_head(name)};
}

static void add_row(struct command_table *table, const struct command *row, uint32_t id) {
    check(command_table_find(table, bytes_of_text(row->name)).row == NULL);
    add_slot(table, row->name, row, id);
    table->rows[id] = row;
}

static void count_rows(struct command_table *table) {
    for (size_t g = 0; g < GROUPS; g++) {
        table->count += (uint32_t)groups[g]->count;
        for (size_t i = 0; i < groups[g]->count; i++) {
            table->count_all += (uint32_t)groups[g]->rows[i].subcommand_count;
        }
    }
    table->count_all += table->count;
}

static void add_rows(struct command_table *table) {
    uint32_t id = 0, sub_id = table->count;
    for (size_t g = 0; g < GROUPS; g++) {
        for (size_t i = 0; i < groups[g]->count; i++, id++) {
            const struct command *row = &groups[g]->rows[i];
            add_row(table, row, id);
            table->first_sub[id] = sub_id;
            for (size_t s = 0; s < row->subcommand_count; s++) {
                table->rows[sub_id++] = &row->subcommands[s];
            }
        }
    }
}

struct command_table *command_table_create(void) {
    struct command_table *table = memory_allocate_zeroed(sizeof(*table));
    if (table == NULL) return NULL;
    count_rows(table);
    check(table->count_all < SLOTS / 2);
    table->rows = memory_allocate_zeroed(table->count_all * sizeof(*table->rows));
    table->first_sub = memory_allocate_zeroed(table->count * sizeof(*table->first_sub));
    if (table->rows == NULL || table->first_sub == NULL) {
        command_table_destroy(table);
        return NULL;
    }
    add_rows(table);
    return table;
}

/* Taking one out would part others from where they are looked for: all but it are put in anew. */
static void remove_slot(struct command_table *table, const struct command *row) {
    struct slot slots[SLOTS];
    memcpy(slots, table->slots, sizeof(slots));
    memset(table->slots, 0, sizeof(table->slots));
    for (size_t i = 0; i < SLOTS; i++) {
        if (slots[i].row == NULL) continue;
        if (slots[i].row != row) {
            add_slot(table, slots[i].name, slots[i].row, slots[i].id);
        } else if (slots[i].name != row->name) {
            memory_free((void *)(uintptr_t)slots[i].name);
        }
    }
}

enum status command_table_rename(struct command_table *table, struct bytes from, struct bytes to) {
    struct command_found found = command_table_find(table, from);
    if (found.row == NULL) return STATUS_REFUSED;
    if (to.size >= COMMAND_NAME_MAX) return STATUS_TOO_LONG;
    if (to.size != 0 && command_table_find(table, to).row != NULL) return STATUS_FULL;
    char *name = memory_allocate_zeroed(to.size + 1);
    if (name == NULL) return STATUS_NO_MEMORY;
    for (size_t i = 0; i < to.size; i++) {
        name[i] = byte_lower(to.data[i]);
    }
    remove_slot(table, found.row);
    if (to.size == 0 || strlen(name) != to.size) {
        memory_free(name);
    } else {
        add_slot(table, name, found.row, found.id);
    }
    return STATUS_OK;
}

void command_table_destroy(struct command_table *table) {
    for (size_t i = 0; i < SLOTS; i++) {
        const struct slot *slot = &table->slots[i];
        if (slot->row != NULL && slot->name != slot->row->name)
            memory_free((void *)(uintptr_t)slot->name);
    }
    memory_free(table->rows);
    memory_free(table->first_sub);
    memory_free(table);
}

uint32_t command_table_count(const struct command_table *table) {
    return table->count;
}
uint32_t command_table_count_all(const struct command_table *table) {
    return table->count_all;
}
const struct command *command_table_row(const struct command_table *table, uint32_t id) {
    return table->rows[id];
}
uint32_t command_table_first_sub(const struct command_table *table, uint32_t id) {
    return table->first_sub[id];
}
