/* A configuration for a test, and a file of its own to load and rewrite. Whatever fails, fails the running test. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "server/config.h"

enum { CONFIGURED_ARGUMENTS_MAX = 16 };

struct configured {
    struct config *config;
    char error[CONFIG_ERROR_MAX];
    char folder[64];
    char path[96]; /* of a file in the folder */
    int applied;   /* how often the hook was called */
    bool is_refusing;
    int64_t noted;   /* by another hook: maxclients, */
    int noted_count; /* and how often it was called */
};

/* The same as a cmocka test's setup and teardown, which fails when a temporary file was left in the folder. */
int configured_set_up(void **state);
int configured_tear_down(void **state);

/* The option's value, as text. */
void configured_expect(struct config *config, const char *name, const char *expected);
/* CONFIG SET of names and values, ended by NULL. */
enum status configured_set(struct configured *fixture, const char *const *arguments);
#define SET(fixture, ...) configured_set(fixture, (const char *const[]){__VA_ARGS__, NULL})

void configured_write_file(const char *path, const char *text);
void configured_expect_file(const char *path, const char *expected);
