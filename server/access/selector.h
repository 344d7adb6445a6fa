/* A set of permissions: which commands, on which keys and channels. A user has one, and may have further ones;
 * a command is permitted that one of them alone permits.
 *
 * Commands are bits by id, so that a check takes one look; beside them the rules that made them are kept in
 * order, for people and files. A rule for a command or category takes the place of earlier ones for the same or
 * a part of it ("+config" of "-config|set"). Written and read again, a selector is the same.
 *
 * One thread while it changes; then immutable, for any thread. */
#pragma once

#include "server/access/acl_rule.h"
#include "server/access/strings.h"
#include "server/text.h"

enum { SELECTOR_COMMANDS_MAX = 512, SELECTOR_WORDS = SELECTOR_COMMANDS_MAX / 64 };

struct selector {
    uint64_t commands[SELECTOR_WORDS]; /* by id; +@all sets those that nobody has, too */
    bool begins_with_all;              /* the rules follow +@all, not -@all */
    bool all_keys, all_channels;
    struct strings rules;           /* "+get", "-@dangerous" */
    struct strings first_arguments; /* by command id */
    struct strings keys;            /* patterns, by access */
    struct strings channels;        /* patterns */
};

/* What is asked: may this command, with these arguments, run? */
struct selector_question {
    const struct command *row;
    uint32_t id;
    const struct bytes *args;
    uint32_t arg_count;
    uint32_t first_access,
        other_access; /* what it does with its first key, and with any other; may be 0 */
};

enum selector_answer { SELECTOR_PERMITS, SELECTOR_DENIES_COMMAND, SELECTOR_DENIES_KEY };

/* Permits nothing, or all channels. */
void selector_init(struct selector *selector, bool all_channels);
void selector_release(struct selector *selector);
/* `to` is uninitialised. */
void selector_copy(struct selector *to, const struct selector *from);
/* NULL, or what is wrong with the rule; a refused allocation shows in selector_has_failed. */
must_use const char *selector_apply(struct selector *selector, const struct acl_rule *rule,
                                    const struct command_table *commands);
bool selector_has_failed(const struct selector *selector);
bool selector_equal(const struct selector *a, const struct selector *b);

/* Every command on every key? Channels are asked for by those commands that name them. */
bool selector_permits_all(const struct selector *selector);
/* `*denied` is the index of the key that is denied. O(keys x patterns). */
enum selector_answer selector_ask(const struct selector *selector,
                                  const struct selector_question *question, uint32_t *denied);

/* The parts of its text: "-@all +get", "~a* %R~b*", "&news". */
void selector_write_commands(const struct selector *selector, struct text *text);
void selector_write_keys(const struct selector *selector, struct text *text);
void selector_write_channels(const struct selector *selector, struct text *text);
/* All of it. */
void selector_write(const struct selector *selector, struct text *text);
