/* Any bytes, fed whole and in pieces: the parser must say the same, and read nothing past what has arrived.
 *
 * The first byte chooses the limits, the next seven the sizes of the pieces, over and over; the rest is the stream.
 * Each piece moves the input into fresh memory of just its size, so that the address sanitizer sees a byte read too
 * far, and an argument kept as a pointer. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/resp_request.h"
#include "shards/base/check.h"

enum { HEADER_BYTES = 8, CUTS = HEADER_BYTES - 1 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a stream was made of: every outcome, and every argument, as text. */
struct transcript {
    char *text;
    size_t size, capacity;
};

static void transcript_add(struct transcript *transcript, const void *data, size_t size) {
    if (transcript->capacity - transcript->size < size) {
        transcript->capacity = 2 * (transcript->capacity + size);
        transcript->text = realloc(transcript->text, transcript->capacity);
        check(transcript->text != NULL);
    }
    if (size > 0) memcpy(transcript->text + transcript->size, data, size);
    transcript->size += size;
}

static void transcript_add_request(struct transcript *transcript,
                                   const struct resp_arguments *arguments,
                                   const struct resp_request *request) {
    check(request->first + request->count == arguments->count);
    transcript_add(transcript, &request->count, sizeof request->count);
    transcript_add(transcript, &request->size, sizeof request->size);
    for (size_t i = request->first; i < arguments->count; i++) {
        struct bytes argument = arguments->data[i];
        transcript_add(transcript, &argument.size, sizeof argument.size);
        transcript_add(transcript, argument.data, argument.size);
    }
}

/* A stream on its way: `done` bytes were requests, `have` have arrived. */
struct stream {
    const char *data;
    size_t size, done, have;
    struct resp_parser parser;
    struct resp_limits limits;
    struct transcript transcript;
};

/* Parse one request from what has arrived, in memory of its own. */
static enum resp_outcome stream_parse(struct stream *stream) {
    size_t size = stream->have - stream->done;
    char *input = malloc(size);
    check(size == 0 || input != NULL);
    if (size > 0) memcpy(input, stream->data + stream->done, size);
    struct resp_arguments arguments;
    resp_arguments_init(&arguments);
    struct resp_request request;
    enum resp_outcome outcome =
        resp_parse(&stream->parser, input, size, &stream->limits, &arguments, &request);
    if (outcome == RESP_COMPLETE) {
        check(request.size > 0 && request.size <= size);
        transcript_add_request(&stream->transcript, &arguments, &request);
        stream->done += request.size;
    } else {
        check(arguments.count == 0);
        if (outcome == RESP_INVALID)
            transcript_add(&stream->transcript, request.error, strlen(request.error));
    }
    resp_arguments_release(&arguments);
    free(input);
    return outcome;
}

/* `cuts`: sizes of the pieces; NULL: all at once. */
static struct transcript stream_run(const char *data, size_t size, struct resp_limits limits,
                                    const uint8_t *cuts) {
    struct stream stream = {.data = data, .size = size, .limits = limits};
    enum resp_outcome outcome = RESP_INCOMPLETE;
    for (size_t piece = 0; outcome == RESP_INCOMPLETE && stream.have < size; piece++) {
        size_t left = size - stream.have;
        size_t next = cuts != NULL ? (size_t)cuts[piece % CUTS] + 1 : left;
        stream.have += next < left ? next : left;
        do {
            outcome = stream_parse(&stream);
        } while (outcome == RESP_COMPLETE);
    }
    resp_parser_release(&stream.parser);
    return stream.transcript;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < HEADER_BYTES) return 0;
    static const uint64_t limits[] = {512 * 1024 * 1024, 4, 1000, INT64_MAX};
    struct resp_limits chosen = {.bulk_bytes_max = limits[data[0] % 4],
                                 .is_trusted = (data[0] & 4) != 0};
    const char *text = (const char *)data + HEADER_BYTES;
    struct transcript whole = stream_run(text, size - HEADER_BYTES, chosen, NULL);
    struct transcript pieces = stream_run(text, size - HEADER_BYTES, chosen, data + 1);
    check(bytes_equal(bytes_of(whole.text, whole.size), bytes_of(pieces.text, pieces.size)));
    free(pieces.text);
    free(whole.text);
    return 0;
}
