/* redis-compat.md tells the truth about the command table: each of its rows against the command of that name, and back. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/command_table.h"
#include "server/server.h"

enum { ROWS_MAX = 1024, NAME_BYTES_MAX = 64, LINE_BYTES_MAX = 2048 };

/* A row of the page: | `CLIENT ID` | 5.0.0 | yes | differences | */
struct page_row {
    char name[NAME_BYTES_MAX]; /* as the command table writes it: "client|id" */
    char since[NAME_BYTES_MAX];
    char status[NAME_BYTES_MAX];
};

struct page {
    struct command_table *table;
    size_t count;
    bool names_version; /* the version that INFO claims */
    struct page_row rows[ROWS_MAX];
};

/* Copies the cell that begins at `start`, without the spaces around it; returns where the next one begins. */
static const char *take_cell(const char *start, char out[NAME_BYTES_MAX]) {
    const char *end = strstr(start, " |");
    assert_non_null(end);
    while (*start == ' ') {
        start++;
    }
    size_t size = (size_t)(end - start);
    assert_in_range(size, 1, NAME_BYTES_MAX - 1);
    memcpy(out, start, size);
    out[size] = 0;
    return end + strlen(" |");
}

/* "`CLIENT ID`" to "client|id". */
static void fold_name(char name[NAME_BYTES_MAX]) {
    size_t size = strlen(name);
    assert_true(size > 2 && name[0] == '`' && name[size - 1] == '`');
    for (size_t i = 0; i < size - 2; i++) {
        char c = name[i + 1];
        name[i] = c == ' ' ? '|' : byte_lower(c);
    }
    name[size - 2] = 0;
}

static void read_line(struct page *page, const char *line) {
    if (strstr(line, "`redis_version:" SERVER_REDIS_VERSION "`") != NULL)
        page->names_version = true;
    if (strncmp(line, "| `", 3) != 0) return;
    assert_true(page->count < ROWS_MAX);
    struct page_row *row = &page->rows[page->count++];
    const char *next = take_cell(line + 1, row->name);
    next = take_cell(next, row->since);
    take_cell(next, row->status);
    fold_name(row->name);
}

static int read_page(void **state) {
    struct page *page = calloc(1, sizeof(*page));
    assert_non_null(page);
    page->table = command_table_create();
    assert_non_null(page->table);
    FILE *file = fopen(SHERD_SOURCE_DIR "/redis-compat.md", "r");
    assert_non_null(file);
    char line[LINE_BYTES_MAX];
    while (fgets(line, sizeof line, file) != NULL) {
        read_line(page, line);
    }
    fclose(file);
    *state = page;
    return 0;
}

static int release_page(void **state) {
    struct page *page = *state;
    command_table_destroy(page->table);
    free(page);
    return 0;
}

static const struct command *find(const struct page *page, const char *name) {
    return command_table_find_full(page->table, bytes_of_text(name)).row;
}

static const struct page_row *find_on_page(const struct page *page, const char *name) {
    for (size_t i = 0; i < page->count; i++) {
        if (strcmp(page->rows[i].name, name) == 0) return &page->rows[i];
    }
    return NULL;
}

static void complain(size_t *mistakes, const char *name, const char *what) {
    print_error("redis-compat.md: %s: %s\n", name, what);
    ++*mistakes;
}

static void a_command_is_there_when_the_page_says_so_and_only_then(void **state) {
    const struct page *page = *state;
    size_t mistakes = 0;
    for (size_t i = 0; i < page->count; i++) {
        const struct page_row *row = &page->rows[i];
        bool is_there = find(page, row->name) != NULL;
        if (strcmp(row->status, "yes") == 0 || strcmp(row->status, "partly") == 0) {
            if (!is_there) complain(&mistakes, row->name, "it is not there");
        } else if (strcmp(row->status, "no") == 0) {
            if (is_there) complain(&mistakes, row->name, "it is there");
        } else {
            complain(&mistakes, row->name, "its status is none of yes, partly and no");
        }
    }
    assert_int_equal(mistakes, 0);
    assert_true(page->count > 400); /* we did read the tables */
}

static void every_command_of_ours_is_on_the_page(void **state) {
    const struct page *page = *state;
    size_t mistakes = 0;
    for (uint32_t id = 0; id < command_table_count_all(page->table); id++) {
        const char *name = command_table_row(page->table, id)->name;
        if (find_on_page(page, name) == NULL) complain(&mistakes, name, "it is missing");
    }
    assert_int_equal(mistakes, 0);
}

static void no_command_is_on_the_page_twice(void **state) {
    const struct page *page = *state;
    size_t mistakes = 0;
    for (size_t i = 0; i < page->count; i++) {
        const struct page_row *row = &page->rows[i];
        if (find_on_page(page, row->name) != row)
            complain(&mistakes, row->name, "it is there twice");
    }
    assert_int_equal(mistakes, 0);
}

static int version_number(const char *text) {
    int major = 0, minor = 0, patch = 0;
    sscanf(text, "%d.%d.%d", &major, &minor, &patch);
    return (major * 1000 + minor) * 1000 + patch;
}

/* "5.0.0", or "7.4.0, Valkey 9.0.0"; commands of our own came with a version of ours. */
static bool came_when_told(const struct page_row *row, const struct command *command) {
    if (strcmp(row->since, "sherd") == 0)
        return version_number(command->since) <= version_number(SHERD_VERSION);
    return strncmp(row->since, command->since, strlen(command->since)) == 0;
}

static void a_command_came_when_its_row_says(void **state) {
    const struct page *page = *state;
    size_t mistakes = 0;
    for (size_t i = 0; i < page->count; i++) {
        const struct page_row *row = &page->rows[i];
        const struct command *command = find(page, row->name);
        if (command != NULL && !came_when_told(row, command))
            complain(&mistakes, row->name, "its row has another version");
    }
    assert_int_equal(mistakes, 0);
}

static void the_page_names_the_version_that_info_claims(void **state) {
    const struct page *page = *state;
    assert_true(page->names_version);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_is_there_when_the_page_says_so_and_only_then),
        cmocka_unit_test(every_command_of_ours_is_on_the_page),
        cmocka_unit_test(no_command_is_on_the_page_twice),
        cmocka_unit_test(a_command_came_when_its_row_says),
        cmocka_unit_test(the_page_names_the_version_that_info_claims),
    };
    return cmocka_run_group_tests(tests, read_page, release_page);
}
