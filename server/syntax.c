/* Recursive descent over the manual's notation:
 *
 *      alternatives  ::=  sequence { "|" sequence }
 *      sequence      ::=  { item }
 *      item          ::=  TOKEN [ value | group ]  |  value  |  group
 *      group         ::=  "[" [ name ":" ] alternatives "]"  |  "<" [ name ":" ] alternatives ">"
 *      repetition    ::=  "[" what came before "..." "]"  |  "[...]"        (an item that marks the items before it)
 *      value         ::=  word [ ":double" ]                                (the word alone tells the other kinds)
 */
#include "syntax.h"

#include <string.h>

struct parser {
    struct syntax *syntax;
    const char *next;
    bool has_failed;
};

/* ---- Words ----------------------------------------------------------------------------------- */

/* A bracket, a bar, a word, or empty at the end. */
static struct bytes peek(struct parser *parser) {
    while (*parser->next == ' ') {
        parser->next++;
    }
    static const char marks[] = "[]<>|";
    size_t size = *parser->next != 0 && strchr(marks, *parser->next) != NULL
                      ? 1
                      : strcspn(parser->next, " []<>|");
    return bytes_of(parser->next, size);
}

static struct bytes take(struct parser *parser) {
    struct bytes word = peek(parser);
    parser->next += word.size;
    return word;
}

static bool is_mark(struct bytes word, char mark) {
    return word.size == 1 && word.data[0] == mark;
}

/* No small letters: stands for itself. */
static bool is_token(struct bytes word) {
    for (size_t i = 0; i < word.size; i++) {
        if (word.data[i] >= 'a' && word.data[i] <= 'z') return false;
    }
    return word.size != 0;
}

static bool ends_sequence(struct bytes word) {
    return word.size == 0 || is_mark(word, '|') || is_mark(word, ']') || is_mark(word, '>');
}

static enum syntax_kind kind_of(struct bytes word) {
    static const struct {
        const char *word;
        enum syntax_kind kind;
    } known[] = {
        {"key", SYNTAX_KEY},
        {"key1", SYNTAX_KEY},
        {"key2", SYNTAX_KEY},
        {"newkey", SYNTAX_KEY},
        {"source", SYNTAX_KEY},
        {"destination", SYNTAX_KEY},
        {"pattern", SYNTAX_PATTERN},
        {"seconds", SYNTAX_INTEGER},
        {"milliseconds", SYNTAX_INTEGER},
        {"count", SYNTAX_INTEGER},
        {"increment", SYNTAX_INTEGER},
        {"decrement", SYNTAX_INTEGER},
        {"offset", SYNTAX_INTEGER},
        {"start", SYNTAX_INTEGER},
        {"end", SYNTAX_INTEGER},
        {"index", SYNTAX_INTEGER},
        {"index1", SYNTAX_INTEGER},
        {"index2", SYNTAX_INTEGER},
        {"db", SYNTAX_INTEGER},
        {"destination-db", SYNTAX_INTEGER},
        {"cursor", SYNTAX_INTEGER},
        {"timeout", SYNTAX_INTEGER},
        {"version", SYNTAX_INTEGER},
        {"protover", SYNTAX_INTEGER},
        {"client-id", SYNTAX_INTEGER},
        {"maxage", SYNTAX_INTEGER},
        {"min-match-len", SYNTAX_INTEGER},
        {"bits", SYNTAX_INTEGER},
        {"unix-time-seconds", SYNTAX_UNIX_TIME},
        {"unix-time-milliseconds", SYNTAX_UNIX_TIME},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (bytes_equal(word, bytes_of_text(known[i].word))) return known[i].kind;
    }
    return SYNTAX_STRING;
}

/* ---- Nodes ----------------------------------------------------------------------------------- */

static struct syntax_node *node_at(struct parser *parser, uint8_t index) {
    return &parser->syntax->nodes[index];
}

static uint8_t add_node(struct parser *parser, struct syntax_node node) {
    if (parser->syntax->count == SYNTAX_NODES_MAX) {
        parser->has_failed = true;
        return SYNTAX_NODES_MAX - 1;
    }
    parser->syntax->nodes[parser->syntax->count] = node;
    return (uint8_t)parser->syntax->count++;
}

/* Nodes in a row, while they are gathered. */
struct chain {
    uint8_t first, last;
    uint32_t count;
};

static void chain_add(struct parser *parser, struct chain *chain, uint8_t node) {
    if (chain->count++ == 0) {
        chain->first = node;
    } else {
        node_at(parser, chain->last)->next = node;
    }
    chain->last = node;
}

/* One node of a chain: the only one, or a node of `kind` around all. */
static uint8_t wrap(struct parser *parser, const struct chain *chain, enum syntax_kind kind) {
    if (chain->count == 1) return chain->first;
    if (chain->count == 0) parser->has_failed = true;
    return add_node(parser, (struct syntax_node){.kind = kind, .first = chain->first});
}

/* The node by this name: a group itself, or a block around anything else. */
static uint8_t name_group(struct parser *parser, uint8_t index, struct bytes name) {
    if (node_at(parser, index)->first == SYNTAX_NONE)
        index = add_node(parser, (struct syntax_node){.kind = SYNTAX_BLOCK, .first = index});
    node_at(parser, index)->name = name;
    return index;
}

/* ---- The grammar ----------------------------------------------------------------------------- */

static uint8_t parse_alternatives(struct parser *parser, char closing);

static bool take_suffix(struct bytes *word, struct bytes suffix) {
    if (word->size <= suffix.size) return false;
    size_t rest = word->size - suffix.size;
    if (!bytes_equal(bytes_of(word->data + rest, suffix.size), suffix)) return false;
    word->size = rest;
    return true;
}

static uint8_t parse_value(struct parser *parser) {
    struct bytes word = take(parser);
    if (is_mark(word, '<')) return parse_alternatives(parser, '>');
    if (take_suffix(&word, BYTES(":double")))
        return add_node(parser, (struct syntax_node){.kind = SYNTAX_DOUBLE, .name = word});
    return add_node(parser, (struct syntax_node){.kind = kind_of(word), .name = word});
}

static uint8_t parse_item(struct parser *parser) {
    struct bytes word = peek(parser);
    if (is_mark(word, '[')) {
        take(parser);
        uint8_t node = parse_alternatives(parser, ']');
        node_at(parser, node)->is_optional = true;
        return node;
    }
    if (!is_token(word) || is_mark(word, '<')) return parse_value(parser);
    take(parser);
    struct bytes behind = peek(parser);
    if (ends_sequence(behind) || is_mark(behind, '[') ||
        (is_token(behind) && !is_mark(behind, '<'))) {
        return add_node(parser,
                        (struct syntax_node){.kind = SYNTAX_TOKEN, .name = word, .token = word});
    }
    uint8_t node = parse_value(parser);
    node_at(parser, node)->token = word;
    return node;
}

/* If "[ ... ]" here repeats what came before, pass over it and return how many words it repeats; otherwise 0. "[...]"
 * repeats one. */
static uint32_t skip_repetition(struct parser *parser) {
    const char *begin = parser->next;
    uint32_t words = 0;
    if (is_mark(take(parser), '[')) {
        struct bytes word = take(parser);
        for (; !ends_sequence(word) && !is_mark(word, '[') && !is_mark(word, '<');
             word = take(parser)) {
            if (!bytes_equal(word, BYTES("..."))) {
                words++;
            } else if (is_mark(take(parser), ']')) {
                return words != 0 ? words : 1;
            } else {
                break;
            }
        }
    }
    parser->next = begin;
    return 0;
}

/* The last `count` nodes of the chain may come several times: several of them as a block. */
static void repeat(struct parser *parser, struct chain *chain, uint32_t count) {
    if (count > chain->count) {
        parser->has_failed = true;
        return;
    }
    struct chain repeated = {.first = chain->first, .last = chain->last, .count = count};
    uint8_t before = SYNTAX_NONE;
    for (uint32_t i = 0; i < chain->count - count; i++) {
        before = repeated.first;
        repeated.first = node_at(parser, repeated.first)->next;
    }
    uint8_t node = wrap(parser, &repeated, SYNTAX_BLOCK);
    node_at(parser, node)->is_multiple = true;
    chain->count -= count - 1;
    chain->last = node;
    if (before == SYNTAX_NONE) {
        chain->first = node;
    } else {
        node_at(parser, before)->next = node;
    }
}

static struct chain parse_sequence(struct parser *parser) {
    struct chain chain = {0};
    while (!parser->has_failed && !ends_sequence(peek(parser))) {
        uint32_t repeated = chain.count != 0 ? skip_repetition(parser) : 0;
        if (repeated != 0) {
            repeat(parser, &chain, repeated);
        } else {
            chain_add(parser, &chain, parse_item(parser));
        }
    }
    return chain;
}

/* The name that a group begins with, or empty. */
static struct bytes take_group_name(struct parser *parser) {
    struct bytes word = peek(parser);
    if (!take_suffix(&word, BYTES(":"))) return BYTES("");
    take(parser);
    return word;
}

/* Up to and with the closing bracket. */
static uint8_t parse_alternatives(struct parser *parser, char closing) {
    struct bytes name = take_group_name(parser);
    struct chain alternatives = {0};
    struct bytes word;
    do {
        struct chain sequence = parse_sequence(parser);
        chain_add(parser, &alternatives, wrap(parser, &sequence, SYNTAX_BLOCK));
        word = take(parser);
    } while (!parser->has_failed && is_mark(word, '|'));
    if (!is_mark(word, closing)) parser->has_failed = true;
    uint8_t node = wrap(parser, &alternatives, SYNTAX_ONE_OF);
    return name.size == 0 ? node : name_group(parser, node, name);
}

bool syntax_parse(struct syntax *syntax, const char *text) {
    struct parser parser = {.syntax = syntax, .next = text};
    syntax->nodes[0] = (struct syntax_node){.kind = SYNTAX_BLOCK};
    syntax->count = 1;
    struct chain chain = parse_sequence(&parser);
    syntax->nodes[0].first = chain.first;
    return !parser.has_failed && peek(&parser).size == 0;
}

static void write_name(const struct syntax *syntax, const struct syntax_node *node,
                       char out[SYNTAX_NAME_MAX], size_t *size) {
    for (size_t i = 0; i < node->name.size && *size < SYNTAX_NAME_MAX; i++) {
        out[(*size)++] = byte_lower(node->name.data[i]);
    }
    if (node->name.size != 0) return;
    for (uint8_t at = node->first; at != SYNTAX_NONE; at = syntax->nodes[at].next) {
        if (at != node->first && *size < SYNTAX_NAME_MAX) out[(*size)++] = '_';
        write_name(syntax, &syntax->nodes[at], out, size);
    }
}

struct bytes syntax_name(const struct syntax *syntax, const struct syntax_node *node,
                         char out[SYNTAX_NAME_MAX]) {
    size_t size = 0;
    write_name(syntax, node, out, &size);
    return bytes_of(out, size);
}

const char *syntax_kind_name(enum syntax_kind kind) {
    static const char *const names[SYNTAX_KINDS] = {
        [SYNTAX_STRING] = "string",    [SYNTAX_INTEGER] = "integer",
        [SYNTAX_DOUBLE] = "double",    [SYNTAX_KEY] = "key",
        [SYNTAX_PATTERN] = "pattern",  [SYNTAX_UNIX_TIME] = "unix-time",
        [SYNTAX_TOKEN] = "pure-token", [SYNTAX_ONE_OF] = "oneof",
        [SYNTAX_BLOCK] = "block",
    };
    return names[kind];
}
