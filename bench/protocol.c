#include "bench/protocol.h"

#include <stdio.h>
#include <string.h>

#include "shards/base/check.h"

/* ---- RESP ------------------------------------------------------------------------------------ */

/* SETEX, whose value comes last: that of SET ... EX does not. */
static size_t resp_write_expiring_head(char out[REQUEST_HEAD_MAX], const struct request *request) {
    const int key_size = (int)request->key.size;
    char ttl[16];
    int ttl_size = sprintf(ttl, "%u", request->ttl_s);
    return (size_t)sprintf(out, "*4\r\n$5\r\nSETEX\r\n$%d\r\n%.*s\r\n$%d\r\n%s\r\n$%zu\r\n",
                           key_size, key_size, request->key.data, ttl_size, ttl,
                           request->value_bytes);
}

static size_t resp_write_head(char out[REQUEST_HEAD_MAX], const struct request *request) {
    const int key_size = (int)request->key.size;
    const char *key = request->key.data;
    switch (request->kind) {
    case REQUEST_GET:
        return (size_t)sprintf(out, "*2\r\n$3\r\nGET\r\n$%d\r\n%.*s\r\n", key_size, key_size, key);
    case REQUEST_SET:
        if (request->ttl_s != 0) return resp_write_expiring_head(out, request);
        return (size_t)sprintf(out, "*3\r\n$3\r\nSET\r\n$%d\r\n%.*s\r\n$%zu\r\n", key_size,
                               key_size, key, request->value_bytes);
    case REQUEST_DELETE:
        return (size_t)sprintf(out, "*2\r\n$3\r\nDEL\r\n$%d\r\n%.*s\r\n", key_size, key_size, key);
    case REQUEST_FLUSH:
        return (size_t)sprintf(out, "*1\r\n$8\r\nFLUSHALL\r\n");
    }
    check(false);
    return 0;
}

/* The number that begins at `at`; every header ends with a line end, so it does, too. */
static uint64_t read_number(const char *at) {
    uint64_t number = 0;
    for (; *at >= '0' && *at <= '9'; at++) {
        number = number * 10 + (uint64_t)(*at - '0');
    }
    return number;
}

static enum reply_kind resp_read_head(struct bytes head, uint64_t *body_bytes) {
    *body_bytes = 0;
    if (head.data[0] == '-') return REPLY_ERROR;
    if (head.data[0] != '$') return REPLY_DONE;
    if (head.data[1] == '-') return REPLY_ABSENT;
    *body_bytes = read_number(head.data + 1) + PROTOCOL_LINE_END.size;
    return REPLY_VALUE;
}

/* ---- memcached's text ------------------------------------------------------------------------ */

static size_t memcached_write_head(char out[REQUEST_HEAD_MAX], const struct request *request) {
    const int key_size = (int)request->key.size;
    const char *key = request->key.data;
    switch (request->kind) {
    case REQUEST_GET:
        return (size_t)sprintf(out, "get %.*s\r\n", key_size, key);
    case REQUEST_SET:
        return (size_t)sprintf(out, "set %.*s 0 %u %zu\r\n", key_size, key, request->ttl_s,
                               request->value_bytes);
    case REQUEST_DELETE:
        return (size_t)sprintf(out, "delete %.*s\r\n", key_size, key);
    case REQUEST_FLUSH:
        return (size_t)sprintf(out, "flush_all\r\n");
    }
    check(false);
    return 0;
}

static bool begins_with(struct bytes head, struct bytes word) {
    return head.size >= word.size && memcmp(head.data, word.data, word.size) == 0;
}

/* "VALUE key flags size", the value, "END"; or "END" alone; or a word for what was done. */
static enum reply_kind memcached_read_head(struct bytes head, uint64_t *body_bytes) {
    *body_bytes = 0;
    if (begins_with(head, BYTES("VALUE "))) {
        const char *size = memrchr(head.data, ' ', head.size);
        *body_bytes = read_number(size + 1) + PROTOCOL_LINE_END.size + BYTES("END\r\n").size;
        return REPLY_VALUE;
    }
    if (begins_with(head, BYTES("END"))) return REPLY_ABSENT;
    static const struct bytes done[] = {{"STORED", 6}, {"DELETED", 7}, {"NOT_FOUND", 9}, {"OK", 2}};
    for (size_t i = 0; i < sizeof(done) / sizeof(done[0]); i++) {
        if (begins_with(head, done[i])) return REPLY_DONE;
    }
    return REPLY_ERROR; /* ERROR, CLIENT_ERROR, SERVER_ERROR, or none that we asked for */
}

static const struct protocol protocols[] = {
    {"resp", resp_write_head, resp_read_head},
    {"memcached", memcached_write_head, memcached_read_head},
};

const struct protocol *protocol_named(const char *name) {
    for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
        if (strcmp(name, protocols[i].name) == 0) return &protocols[i];
    }
    fprintf(stderr, "sherd-bench: no protocol '%s'; there are resp and memcached\n", name);
    return NULL;
}

/* ---- Replies --------------------------------------------------------------------------------- */

static void take(struct bytes *bytes, size_t size) {
    *bytes = bytes_of(bytes->data + size, bytes->size - size);
}

/* Keep a piece of a header; one too long is cut, but its line end must stay. */
static void keep(struct reply_reader *reader, struct bytes piece) {
    size_t room = sizeof(reader->head) - reader->head_size;
    size_t size = piece.size < room ? piece.size : room;
    memcpy(reader->head + reader->head_size, piece.data, size);
    reader->head_size += (uint32_t)size;
    if (size < piece.size) reader->head[sizeof(reader->head) - 1] = piece.data[piece.size - 1];
}

/* Take a header line. It is read where it lies when all of it came at once, as nearly all do. */
static bool take_head(struct reply_reader *reader, struct bytes *bytes, struct bytes *head) {
    const char *end = memchr(bytes->data, '\n', bytes->size);
    struct bytes piece =
        bytes_of(bytes->data, end != NULL ? (size_t)(end - bytes->data) + 1 : bytes->size);
    take(bytes, piece.size);
    *head = piece;
    if (end != NULL && reader->head_size == 0) return true;
    keep(reader, piece);
    if (end == NULL) return false;
    *head = bytes_of(reader->head, reader->head_size);
    reader->head_size = 0;
    return true;
}

bool reply_next(struct reply_reader *reader, const struct protocol *protocol, struct bytes *bytes,
                enum reply_kind *kind) {
    if (bytes->size == 0) return false;
    if (reader->body_left == 0) {
        struct bytes head;
        if (!take_head(reader, bytes, &head)) return false;
        reader->kind = protocol->read_head(head, &reader->body_left);
    }
    size_t taken = reader->body_left < bytes->size ? reader->body_left : bytes->size;
    take(bytes, taken);
    reader->body_left -= taken;
    *kind = reader->kind;
    return reader->body_left == 0;
}
