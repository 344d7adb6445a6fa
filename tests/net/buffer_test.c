/* The output buffer: against a flat string, at its limit, and when memory is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "net/buffer.h"
#include "shards/base/memory.h"
#include "shards/base/random.h"

enum { FREE_MAX = 4, SLICES = 8, SEEDS = 40, STEPS = 2000, REFERENCE_MAX = 40000 };

static void pattern_fill(struct random *random, char *out, size_t size) {
    for (size_t i = 0; i < size; i++)
        out[i] = (char)random_below(random, 256);
}

static void count_release(void *context, void *subject) {
    (void)context;
    (*(int *)subject)++;
}

static struct buffer_owner counted(int *releases) {
    return (struct buffer_owner){.release = count_release, .subject = releases};
}

/* Copies at most `max` of the waiting bytes, as one send with SLICES slices would take them. */
static size_t copy_gathered(const struct buffer *buffer, char *out, size_t max) {
    struct iovec slices[SLICES];
    int count = buffer_gather(buffer, slices, SLICES);
    size_t size = 0;
    for (int i = 0; i < count; i++) {
        assert_true(slices[i].iov_len > 0);
        size_t part = slices[i].iov_len < max - size ? slices[i].iov_len : max - size;
        memcpy(out + size, slices[i].iov_base, part);
        size += part;
    }
    return size;
}

/* ---- The model: all bytes ever appended, in one string --------------------------------------- */

struct reference {
    char *bytes;
    int releases;
};

struct model {
    struct buffer_pool pool;
    struct buffer buffer;
    struct random random;
    char *bytes;
    size_t appended, sent, capacity;
    struct reference *references;
    size_t reference_count;
    struct iovec in_flight[SLICES]; /* gathered, not yet consumed */
    int in_flight_count;
    size_t in_flight_bytes;
};

static void model_init(struct model *model, uint64_t seed) {
    *model = (struct model){.capacity = (size_t)STEPS * REFERENCE_MAX};
    buffer_pool_init(&model->pool, FREE_MAX);
    buffer_init(&model->buffer, &model->pool, 0);
    random_init(&model->random, seed);
    model->bytes = malloc(model->capacity);
    model->references = calloc(STEPS, sizeof *model->references);
    assert_true(model->bytes != NULL && model->references != NULL);
}

static size_t some_size(struct model *model, size_t max) {
    size_t magnitude = random_below(&model->random, 4) == 0 ? max : (max < 100 ? max : 100);
    return 1 + random_below(&model->random, magnitude);
}

/* The next `size` bytes of the model, freshly made up. */
static struct bytes model_append(struct model *model, size_t size) {
    char *next = model->bytes + model->appended;
    pattern_fill(&model->random, next, size);
    model->appended += size;
    return bytes_of(next, size);
}

static void append_copy(struct model *model) {
    buffer_append(&model->buffer, model_append(model, some_size(model, REFERENCE_MAX) - 1));
}

static void append_reserved(struct model *model) {
    size_t size = some_size(model, BUFFER_RESERVE_MAX);
    char *out = buffer_reserve(&model->buffer, size);
    size_t used = random_below(&model->random, size + 1);
    struct bytes bytes = model_append(model, used);
    memcpy(out, bytes.data, used);
    buffer_commit(&model->buffer, out + used);
}

static void append_reference(struct model *model) {
    size_t size = some_size(model, REFERENCE_MAX);
    struct reference *reference = &model->references[model->reference_count++];
    reference->bytes = malloc(size);
    assert_non_null(reference->bytes);
    memcpy(reference->bytes, model_append(model, size).data, size);
    buffer_append_reference(&model->buffer, bytes_of(reference->bytes, size),
                            counted(&reference->releases));
}

static void begin_send(struct model *model) {
    if (model->in_flight_count > 0) return;
    model->in_flight_count = buffer_gather(&model->buffer, model->in_flight, SLICES);
    model->in_flight_bytes = 0;
    for (int i = 0; i < model->in_flight_count; i++) {
        model->in_flight_bytes += model->in_flight[i].iov_len;
    }
}

/* The bytes in flight are where they were, however much was appended since; some of them were sent. */
static void end_send(struct model *model) {
    if (model->in_flight_count == 0) return;
    const char *expected = model->bytes + model->sent;
    for (int i = 0; i < model->in_flight_count; i++) {
        assert_memory_equal(model->in_flight[i].iov_base, expected, model->in_flight[i].iov_len);
        expected += model->in_flight[i].iov_len;
    }
    bool is_whole = random_below(&model->random, 2) == 0;
    size_t size = is_whole ? model->in_flight_bytes
                           : random_below(&model->random, model->in_flight_bytes + 1);
    buffer_consume(&model->buffer, size);
    model->sent += size;
    model->in_flight_count = 0;
}

static void model_step(struct model *model) {
    switch (random_below(&model->random, 7)) {
    case 0:
        append_copy(model);
        break;
    case 1:
    case 2:
        append_reserved(model);
        break;
    case 3:
        append_reference(model);
        break;
    case 4:
        begin_send(model);
        break;
    default:
        end_send(model);
        break;
    }
    buffer_validate(&model->buffer);
    assert_int_equal(buffer_waiting(&model->buffer), model->appended - model->sent);
    assert_false(model->buffer.has_failed);
}

static void drain(struct model *model) {
    end_send(model);
    while (!buffer_is_empty(&model->buffer)) {
        begin_send(model);
        end_send(model);
    }
}

static void model_release(struct model *model) {
    buffer_release(&model->buffer);
    for (size_t i = 0; i < model->reference_count; i++) {
        assert_int_equal(model->references[i].releases, 1);
        free(model->references[i].bytes);
    }
    buffer_pool_release(&model->pool);
    free(model->references);
    free(model->bytes);
}

static void buffer_sends_what_was_appended_in_order_and_releases_once(void **state) {
    (void)state;
    size_t used = memory_used();
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        print_message("seed %d\n", (int)seed); /* the last one printed is the one to replay */
        struct model model;
        model_init(&model, seed);
        for (int step = 0; step < STEPS; step++)
            model_step(&model);
        if (seed % 2 == 0) { /* otherwise what waits is dropped */
            drain(&model);
            assert_int_equal(model.sent, model.appended);
            assert_int_equal(buffer_footprint(&model.buffer), 0);
        }
        model_release(&model);
        assert_int_equal(memory_used(), used);
    }
}

/* ---- Single cases ---------------------------------------------------------------------------- */

struct fixture {
    struct buffer_pool pool;
    struct buffer buffer;
};

static void fixture_init(struct fixture *fixture, size_t bytes_max) {
    buffer_pool_init(&fixture->pool, FREE_MAX);
    buffer_init(&fixture->buffer, &fixture->pool, bytes_max);
}

static void fixture_release(struct fixture *fixture) {
    buffer_release(&fixture->buffer);
    buffer_pool_release(&fixture->pool);
}

static void a_hundred_references_with_headers_share_one_chunk(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, 0);
    int releases = 0;
    static const char value[100] = {0};
    const struct bytes header = BYTES("$100\r\n and some more, thirty..");
    for (int i = 0; i < 100; i++) {
        buffer_append(&fixture.buffer, header);
        buffer_append_reference(&fixture.buffer, bytes_of(value, sizeof value), counted(&releases));
    }
    assert_in_range(buffer_footprint(&fixture.buffer), BUFFER_CHUNK_BYTES, BUFFER_CHUNK_BYTES + 64);
    assert_int_equal(buffer_waiting(&fixture.buffer), 100 * (header.size + sizeof value));
    buffer_consume(&fixture.buffer, buffer_waiting(&fixture.buffer));
    assert_int_equal(releases, 100);
    fixture_release(&fixture);
}

static void a_reference_is_released_with_its_last_byte_and_not_before(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, 0);
    int releases = 0;
    buffer_append(&fixture.buffer, BYTES("ab"));
    buffer_append_reference(&fixture.buffer, BYTES("cde"), counted(&releases));
    buffer_append(&fixture.buffer, BYTES("f"));
    buffer_consume(&fixture.buffer, 4);
    assert_int_equal(releases, 0);
    char rest[8];
    assert_int_equal(copy_gathered(&fixture.buffer, rest, sizeof rest), 2);
    assert_memory_equal(rest, "ef", 2);
    buffer_consume(&fixture.buffer, 1);
    assert_int_equal(releases, 1);
    fixture_release(&fixture);
    assert_int_equal(releases, 1);
}

static void an_empty_reference_is_released_at_once(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, 0);
    int releases = 0;
    buffer_append_reference(&fixture.buffer, bytes_of(NULL, 0), counted(&releases));
    assert_int_equal(releases, 1);
    assert_true(buffer_is_empty(&fixture.buffer));
    fixture_release(&fixture);
}

static void an_idle_buffer_holds_nothing_and_its_chunk_is_used_again(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, 0);
    const char *first = buffer_reserve(&fixture.buffer, 1);
    buffer_append(&fixture.buffer, BYTES("+OK\r\n"));
    buffer_consume(&fixture.buffer, 5);
    assert_int_equal(buffer_footprint(&fixture.buffer), 0);
    assert_int_equal(fixture.pool.free_count, 1);
    assert_ptr_equal(buffer_reserve(&fixture.buffer, 1), first);
    assert_true(buffer_is_empty(&fixture.buffer)); /* reserved isn't appended */
    fixture_release(&fixture);
}

static void a_pool_keeps_no_more_chunks_than_it_may(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, 0);
    static const char much[BUFFER_CHUNK_BYTES * (FREE_MAX + 3)];
    buffer_append(&fixture.buffer, bytes_of(much, sizeof much));
    buffer_consume(&fixture.buffer, sizeof much);
    assert_int_equal(fixture.pool.free_count, FREE_MAX);
    fixture_release(&fixture);
}

/* Writers go on after a failure, of any size, and change nothing. */
static void write_after_failure(struct fixture *fixture) {
    static const char much[3 * BUFFER_CHUNK_BYTES];
    size_t waiting = buffer_waiting(&fixture->buffer);
    int releases = 0;
    for (int i = 0; i < 10; i++) {
        char *out = buffer_reserve(&fixture->buffer, BUFFER_RESERVE_MAX);
        memset(out, 'x', BUFFER_RESERVE_MAX);
        buffer_commit(&fixture->buffer, out + BUFFER_RESERVE_MAX - i);
        buffer_append(&fixture->buffer, BYTES("small"));
        buffer_append(&fixture->buffer, bytes_of(much, sizeof much));
        buffer_append_reference(&fixture->buffer, BYTES("value"), counted(&releases));
        buffer_validate(&fixture->buffer);
    }
    assert_int_equal(releases, 10);
    assert_true(fixture->buffer.has_failed);
    assert_int_equal(buffer_waiting(&fixture->buffer), waiting);
}

static void past_its_limit_a_buffer_keeps_what_waited_and_takes_nothing_more(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture, BUFFER_CHUNK_BYTES);
    int releases = 0;
    static const char value[4 * BUFFER_CHUNK_BYTES] = "value";
    buffer_append(&fixture.buffer, BYTES("before "));
    buffer_append_reference(&fixture.buffer, bytes_of(value, sizeof value), counted(&releases));
    assert_false(fixture.buffer.has_failed); /* its bytes are not the buffer's */
    buffer_append(&fixture.buffer, bytes_of(value, sizeof value));
    assert_true(fixture.buffer.has_failed);
    buffer_append_reference(&fixture.buffer, bytes_of(value, sizeof value), counted(&releases));
    assert_int_equal(releases, 1); /* the one that was refused */
    write_after_failure(&fixture);
    char sent[12];
    assert_int_equal(copy_gathered(&fixture.buffer, sent, sizeof sent), sizeof sent);
    assert_memory_equal(sent, "before value", sizeof sent);
    buffer_consume(&fixture.buffer, buffer_waiting(&fixture.buffer));
    assert_int_equal(releases, 2);
    assert_true(fixture.buffer.has_failed && buffer_is_empty(&fixture.buffer));
    write_after_failure(&fixture);
    fixture_release(&fixture);
}

static void text_passes_the_limit_by_less_than_a_chunk(void **state) {
    (void)state;
    struct fixture fixture;
    size_t bytes_max = 3 * BUFFER_CHUNK_BYTES;
    fixture_init(&fixture, bytes_max);
    while (!fixture.buffer.has_failed) {
        buffer_append(&fixture.buffer, BYTES("some text"));
        assert_true(buffer_waiting(&fixture.buffer) < bytes_max + BUFFER_CHUNK_BYTES);
    }
    assert_true(buffer_waiting(&fixture.buffer) > bytes_max - BUFFER_CHUNK_BYTES);
    assert_false(fixture.buffer.lacks_memory);
    fixture_release(&fixture);
}

/* Every way to begin a chunk meets a refusal, first when empty, then behind a full chunk. */
static void a_refused_allocation_fails_the_buffer_and_loses_nothing_before_it(void **state) {
    (void)state;
    for (int way = 0; way < 3; way++) {
        for (int allowed = 0; allowed < 3; allowed++) {
            struct fixture fixture;
            fixture_init(&fixture, 0);
            int releases = 0;
            int references = 0;
            memory_refuse_after(allowed);
            while (!fixture.buffer.has_failed) {
                if (way == 0) buffer_append(&fixture.buffer, BYTES("twelve bytes"));
                if (way == 1) {
                    char *out = buffer_reserve(&fixture.buffer, BUFFER_RESERVE_MAX);
                    memset(out, 'y', BUFFER_RESERVE_MAX);
                    buffer_commit(&fixture.buffer, out + BUFFER_RESERVE_MAX);
                }
                if (way == 2) {
                    buffer_append_reference(&fixture.buffer, BYTES("v"), counted(&releases));
                    references++;
                }
                buffer_validate(&fixture.buffer);
            }
            assert_true(fixture.buffer.lacks_memory);
            write_after_failure(&fixture);
            memory_refuse_after(-1);
            assert_true(buffer_waiting(&fixture.buffer) > 0 || allowed == 0);
            fixture_release(&fixture);
            assert_int_equal(releases, references);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buffer_sends_what_was_appended_in_order_and_releases_once),
        cmocka_unit_test(a_hundred_references_with_headers_share_one_chunk),
        cmocka_unit_test(a_reference_is_released_with_its_last_byte_and_not_before),
        cmocka_unit_test(an_empty_reference_is_released_at_once),
        cmocka_unit_test(an_idle_buffer_holds_nothing_and_its_chunk_is_used_again),
        cmocka_unit_test(a_pool_keeps_no_more_chunks_than_it_may),
        cmocka_unit_test(past_its_limit_a_buffer_keeps_what_waited_and_takes_nothing_more),
        cmocka_unit_test(text_passes_the_limit_by_less_than_a_chunk),
        cmocka_unit_test(a_refused_allocation_fails_the_buffer_and_loses_nothing_before_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
