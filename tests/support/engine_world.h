/* A world to hold an engine to net/engine.h in: one engine, and some pairs of a connection and its peer.
 *
 * No threads: a step lets every peer do what its socket allows just now, then runs a turn. So a test is: set
 * up, step until a claim holds (within STEPS_MAX), check. What travels is a pattern in which every byte depends
 * on its offset. It is checked on arrival at both ends, and what a turn delivered is checked again after the
 * turn, as it must stay valid until the next. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>

#include "net/engine.h"
#include "net/tls.h"

enum {
    PAIRS_MAX = 128,
    LISTENS_MAX = 128,
    SLICES_KEPT_MAX = 4096,
    STEPS_MAX = 200 * 1000,
    STEP_MS = 1,
    PIECE_BYTES = 64 * 1024, /* a peer reads and writes at most so much at once */
};

struct world;

/* A connection, and the other end of its socket. */
struct pair {
    struct connection connection; /* first: events give it back */
    struct world *world;
    bool is_open;
    /* What the connection does in its events. */
    bool is_echoing, pauses_when_received, closes_when_received, closes_when_ended;
    struct pair *closes_when_sent; /* another, or NULL */
    uint64_t closed_turn;          /* which turn that happened to it in; 0: it didn't */
    uint64_t received;
    unsigned receive_count, ended_count, released_count, sent_count;
    int end_error;
    /* What the peer does, and has seen. */
    int peer; /* -1: closed */
    bool is_reading;
    bool has_seen_end;
    size_t read_max;
    uint64_t to_write, written, read;
};

struct kept {
    const char *data;
    size_t size;
    uint64_t offset;
};

struct world {
    enum engine_kind kind;
    struct engine *engine;
    struct buffer_pool pool;
    struct tls_context *tls; /* what its connections speak; NULL: plain */
    char text[ENGINE_TEXT_MAX];
    struct pair pairs[PAIRS_MAX];
    int pair_count;
    int accepted[LISTENS_MAX];
    int accepted_count;
    int accept_failures, accept_error;
    unsigned woken;
    struct kept kept[SLICES_KEPT_MAX]; /* what this turn delivered */
    int kept_count;
    struct rlimit files; /* as they were before the test */
};

/* What a world does in its engine's events; for tests that open an engine without one, too. */
extern const struct engine_events world_events;

/* `world->kind` says which engine. `options` but for events and context. */
void world_open(struct world *world, struct engine_options options);
void world_open_usual(struct world *world);
/* Whatever the test was about: each connection is released once, and nothing is left. */
void world_close(struct world *world);
bool world_is_uring(const struct world *world);

/* What pairs are for is echoing `size` bytes, unless the test says otherwise. */
struct pair *world_add_pair(struct world *world, int fd, int peer, uint64_t size);
struct pair *world_add_local_pair(struct world *world, uint64_t size);
struct pair *world_add_tcp_pair(struct world *world, uint64_t size);
int world_listen_anywhere(struct sockaddr_in *address);
/* A connection in the listener's queue: loopback needs nobody to accept it. */
int world_connect_to(const struct sockaddr_in *address);
void pair_peer_write(struct pair *pair);
void pair_close_peer(struct pair *pair);
/* What the peer of a pair writes at `offset`. */
void pattern_fill(char *data, size_t size, uint64_t offset);

/* One turn; then what it delivered must still be there. */
void world_turn(struct world *world, int timeout_ms);
void world_step(struct world *world);
void world_step_until(struct world *world, bool (*holds)(const struct world *));
bool world_all_are_released(const struct world *world);
bool world_all_is_echoed(const struct world *world);
bool world_all_is_received(const struct world *world);
bool world_all_have_ended(const struct world *world);
bool world_all_output_is_gone(const struct world *world);
bool world_all_peers_see_the_end(const struct world *world);
