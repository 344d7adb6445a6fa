/* One word of a user's definition: "+get", "~cached:*", "on". Text to rule; back, it is written by whom it was
 * given to (selector.h, user.h), as rules replace one another.
 *
 *      of a user       on off nopass resetpass >text <text #hash !hash sanitize-payload skip-sanitize-payload
 *                      (selector) clearselectors reset
 *      of a selector   +command -command +command|subcommand +@category -@category +@all -@all allcommands
 *                      nocommands
 *                      ~pattern %R~pattern %W~pattern %RW~pattern allkeys resetkeys
 *                      &pattern allchannels resetchannels
 *
 * "+select|0", the command with this first argument, is of a past form that Redis still takes, with a warning.
 * Pure; any thread. */
#pragma once

#include "server/access/password.h"
#include "server/command_table.h"

enum acl_rule_kind {
    ACL_ON,
    ACL_OFF,
    ACL_NO_PASSWORD,
    ACL_RESET_PASSWORDS,
    ACL_ADD_PASSWORD,
    ACL_REMOVE_PASSWORD,
    ACL_SANITIZE,
    ACL_SKIP_SANITIZE,
    ACL_SELECTOR,
    ACL_CLEAR_SELECTORS,
    ACL_RESET,
    /* From here on: of a selector. */
    ACL_ALL_COMMANDS,
    ACL_NO_COMMANDS,
    ACL_COMMAND,
    ACL_FIRST_ARGUMENT,
    ACL_CATEGORY,
    ACL_ALL_KEYS,
    ACL_RESET_KEYS,
    ACL_KEYS,
    ACL_ALL_CHANNELS,
    ACL_RESET_CHANNELS,
    ACL_CHANNELS,
};

/* What may be done to a key. */
enum acl_access { ACL_READ = 1, ACL_WRITE = 2, ACL_READ_WRITE = ACL_READ | ACL_WRITE };

struct acl_rule {
    enum acl_rule_kind kind;
    bool allows;     /* ACL_COMMAND, ACL_CATEGORY: "+", not "-" */
    uint32_t number; /* of a command its id, of a category its number, of keys the access */
    struct bytes
        text; /* a pattern, a selector's rules, or a command's or category's name, as it was given */
    struct password password;
};

/* What is wrong with a rule, in Redis's words. */
extern const char acl_unknown_command[], acl_syntax[], acl_covered_key[], acl_covered_channel[],
    acl_unknown_password[], acl_bad_hash[], acl_nested_argument[], acl_unmatched[], acl_no_memory[];

/* `commands` are those with their own names, whatever they were renamed to. NULL, or what is wrong. The rule
 * borrows from the text. */
must_use const char *acl_rule_read(struct acl_rule *rule, struct bytes text,
                                   const struct command_table *commands);
/* Spaces and NUL are in no pattern and no name: so definitions can be split at spaces. */
bool acl_has_space(struct bytes text);
/* The next word of `text`, which begins behind it from then on; empty: there is none. Borrowed, as the next. */
struct bytes acl_take_word(struct bytes *text);
/* All its words, into room for one in two bytes, and one more; returns how many there are. */
size_t acl_split(struct bytes text, struct bytes *words);
/* A rule as it may be logged: of one with a password its first character only. */
struct bytes acl_rule_shown(struct bytes text);
