/* A row's `syntax` text as a tree of arguments: what COMMAND DOCS shows, and redis-cli makes its hints from.
 *
 *      key value [NX | XX] [EX seconds | KEEPTTL] [field [field ...]]
 *
 * Words in capitals are tokens, others stand for values; a token takes the value behind it. [ ] may be left out, < >
 * groups, | divides alternatives, "x [x ...]" and "x [...]" may come several times. What kind of value it is the word
 * says by itself ("seconds" is an integer), but for fractions: "increment:double". A group may begin with a name
 * ("[condition: NX | XX]"); others are called after their parts ("key_value"). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "shards/base/bytes.h"

enum syntax_kind {
    SYNTAX_STRING,
    SYNTAX_INTEGER,
    SYNTAX_DOUBLE,
    SYNTAX_KEY,
    SYNTAX_PATTERN,
    SYNTAX_UNIX_TIME,
    SYNTAX_TOKEN, /* a token without a value */
    SYNTAX_ONE_OF,
    SYNTAX_BLOCK, /* several in a row */
    SYNTAX_KINDS,
};

enum { SYNTAX_NODES_MAX = 64, SYNTAX_NONE = 0, SYNTAX_NAME_MAX = 64 };

struct syntax_node {
    enum syntax_kind kind;
    struct bytes name;  /* the value's word; of a token, the token; of a group, its name or none */
    struct bytes token; /* empty: none */
    bool is_optional, is_multiple;
    uint8_t first, next; /* the first inside; the one behind; SYNTAX_NONE ends */
};

struct syntax {
    struct syntax_node nodes[SYNTAX_NODES_MAX]; /* 0 is the whole, a block */
    uint32_t count;
};

/* Parse; the tree borrows `text`. False when the text is no syntax, or has too many parts. Pure. */
bool syntax_parse(struct syntax *syntax, const char *text);
/* What COMMAND DOCS calls it, in small letters, written to `out`; cut at SYNTAX_NAME_MAX bytes. */
struct bytes syntax_name(const struct syntax *syntax, const struct syntax_node *node,
                         char out[SYNTAX_NAME_MAX]);
/* "integer", "pure-token", ...: as COMMAND DOCS says it. */
const char *syntax_kind_name(enum syntax_kind kind);
