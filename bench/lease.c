/* Leases over the network: what they cost those who hit, and what they save when a key goes missing.
 *
 *     hits    GET, then GETLEASE, of keys that are there: the server's processor time a request
 *     herd    a missing key that all clients wait for: how many are told to fill it, and when each has the value
 *             that the one brought, from the moment at which he sends it
 *     death   the same, but who is told to fill it goes away: how long after the end of his lease another is told
 *     many    missing keys one after the other, each wanted by a few clients at once: fills a second
 *
 * One thread asks for all clients and hears them in turn, so the last of a thousand has waited for 999 reads of
 * ours, too: what is measured is an upper bound of what the server takes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench/ask.h"
#include "bench/bench.h"
#include "bench/fill.h"
#include "bench/histogram.h"
#include "bench/keys.h"
#include "bench/options.h"
#include "bench/report.h"
#include "server/clock.h"
#include "shards/base/random.h"

enum {
    REQUEST_MAX = 160, /* but for the value */
    WORD_MAX = 16,
    EVENTS_MAX = 256,
    HIT_CONNECTIONS = 8,
    LOOK_PAUSE_US = 200,
    WAIT_MS = 60000,
    CLIENTS_MAX = 20000,
    VALUE_BYTES_MAX = 16 * 1024, /* a client's answer fits its buffer */
};

struct client {
    struct ask ask; /* first */
    uint64_t key;
    bool is_filling; /* its last command was SETLEASE */
};

struct herds {
    struct target target;
    long long clients, keys, rounds, seconds, value_bytes, depth, lease_ms, crowd;
    bool prints_json;
    struct ask watcher;
    struct client *all;
    int epoll_fd;
    uint64_t next_key; /* nobody has asked for it yet */
    char *value;
    char *request;
};

struct answer {
    long long token; /* -1: none */
    bool has_value;
};

static bool take_answer(struct ask *ask, struct answer *answer) {
    long long count, size, word;
    if (!ask_take(ask, &count, NULL, 0) || !ask_take(ask, &size, NULL, 0) ||
        !ask_take(ask, &answer->token, NULL, 0) || !ask_take(ask, &word, NULL, 0))
        return false;
    answer->has_value = size >= 0;
    return true;
}

static double processor_us(struct herds *herds) {
    return 1e6 * (ask_info(&herds->watcher, "cpu", "used_cpu_user") +
                  ask_info(&herds->watcher, "cpu", "used_cpu_sys"));
}

/* ---- Requests -------------------------------------------------------------------------------- */

static bool send_wait(struct client *client, long long lease_ms) {
    char name[KEYS_NAME_BYTES], text[REQUEST_MAX];
    keys_write_name(name, client->key);
    client->is_filling = false;
    int size = snprintf(text, sizeof(text), "GETLEASE %.*s %lld WAIT %d\r\n", KEYS_NAME_BYTES, name,
                        lease_ms, WAIT_MS);
    return ask_send(&client->ask, text, (size_t)size);
}

static bool send_fill(struct herds *herds, struct client *client, long long token) {
    char name[KEYS_NAME_BYTES];
    keys_write_name(name, client->key);
    client->is_filling = true;
    int size = sprintf(herds->request, "SETLEASE %.*s %lld %s\r\n", KEYS_NAME_BYTES, name, token,
                       herds->value);
    return ask_send(&client->ask, herds->request, (size_t)size);
}

/* ---- Hits ------------------------------------------------------------------------------------ */

static int write_hit(char *out, uint64_t key, bool is_lease) {
    char name[KEYS_NAME_BYTES];
    keys_write_name(name, key);
    return sprintf(out, "*%d\r\n%s\r\n$%d\r\n%.*s\r\n%s", is_lease ? 3 : 2,
                   is_lease ? "$8\r\nGETLEASE" : "$3\r\nGET", KEYS_NAME_BYTES, KEYS_NAME_BYTES,
                   name, is_lease ? "$4\r\n1000\r\n" : "");
}

/* All connections send `depth` requests, then each is heard. */
static bool ask_hits(struct herds *herds, struct keys *keys, bool is_lease, char *batch) {
    for (int i = 0; i < HIT_CONNECTIONS; i++) {
        int size = 0;
        for (long long j = 0; j < herds->depth; j++) {
            size += write_hit(batch + size, keys_next(keys), is_lease);
        }
        if (!ask_send(&herds->all[i].ask, batch, (size_t)size)) return false;
    }
    for (int i = 0; i < HIT_CONNECTIONS; i++) {
        for (long long j = 0; j < herds->depth; j++) {
            long long size;
            struct answer answer;
            if (!(is_lease ? take_answer(&herds->all[i].ask, &answer)
                           : ask_take(&herds->all[i].ask, &size, NULL, 0)))
                return false;
        }
    }
    return true;
}

static bool measure_hits_of(struct herds *herds, struct report *report, bool is_lease,
                            char *batch) {
    struct keys keys;
    keys_init(&keys, (uint64_t)herds->keys, 0, 1);
    double before_us = processor_us(herds);
    int64_t begun_ns = clock_monotonic_ns(), now_ns = begun_ns;
    uint64_t requests = 0;
    for (; now_ns < begun_ns + herds->seconds * 1000000000; now_ns = clock_monotonic_ns()) {
        if (!ask_hits(herds, &keys, is_lease, batch)) return false;
        requests += HIT_CONNECTIONS * (uint64_t)herds->depth;
    }
    double processor = processor_us(herds) - before_us;
    const struct report_field fields[] = {
        {.name = "hits", .text = is_lease ? "GETLEASE" : "GET"},
        {.name = "depth", .number = (double)herds->depth},
        {.name = "requests", .number = (double)requests},
        {.name = "processor_us_a_request", .number = processor / (double)requests, .decimals = 3},
        {.name = "requests_s", .number = (double)requests * 1e9 / (double)(now_ns - begun_ns)},
    };
    report_row(report, fields, sizeof(fields) / sizeof(fields[0]));
    return true;
}

static bool set_keys(struct herds *herds) {
    const struct fill_span never = {0};
    struct fill fill;
    bool is_done = fill_init(&fill, &herds->watcher, (size_t)herds->value_bytes) &&
                   fill_keys(&fill, 0, (uint64_t)herds->keys, &never);
    fill_release(&fill);
    return is_done;
}

static bool measure_hits(struct herds *herds) {
    if (!set_keys(herds)) return false;
    herds->next_key = (uint64_t)herds->keys;
    struct report report;
    report_init(&report, "lease", herds->prints_json, 0);
    char *batch = malloc((size_t)herds->depth * REQUEST_MAX);
    bool is_done = batch != NULL;
    for (long long i = 0; i < herds->rounds && is_done; i++) {
        is_done = measure_hits_of(herds, &report, false, batch) &&
                  measure_hits_of(herds, &report, true, batch);
    }
    free(batch);
    return is_done;
}

/* ---- A herd ---------------------------------------------------------------------------------- */

static bool await_waiting(struct herds *herds, long long count) {
    while (!herds->watcher.has_failed &&
           ask_info(&herds->watcher, "clients", "blocked_clients") != (double)count) {
        usleep(LOOK_PAUSE_US);
    }
    return !herds->watcher.has_failed;
}

/* The next client who is answered, and what; NULL when something failed. */
static struct client *hear(struct herds *herds, struct answer *answer) {
    struct epoll_event event;
    if (epoll_wait(herds->epoll_fd, &event, 1, WAIT_MS) != 1) return NULL;
    struct client *client = event.data.ptr;
    return take_answer(&client->ask, answer) ? client : NULL;
}

/* All ask for a new key; returns the one who is to fill it, once the others wait. */
static struct client *gather(struct herds *herds, struct answer *answer) {
    herds->next_key++;
    for (long long i = 0; i < herds->clients; i++) {
        herds->all[i].key = herds->next_key;
        if (!send_wait(&herds->all[i], WAIT_MS)) return NULL;
    }
    struct client *holder = hear(herds, answer);
    return await_waiting(herds, herds->clients - 1) ? holder : NULL;
}

/* The holder fills the key; the others are heard, and their waits noted. Tokens are counted. */
static bool release(struct herds *herds, struct client *holder, long long token,
                    struct histogram *waits, uint64_t *tokens) {
    int64_t begun_ns = clock_monotonic_ns();
    long long is_stored;
    if (!send_fill(herds, holder, token)) return false;
    if (!ask_take(&holder->ask, &is_stored, NULL, 0) || is_stored != 1) return false;
    for (long long i = 1; i < herds->clients; i++) {
        struct answer answer;
        if (hear(herds, &answer) == NULL) return false;
        *tokens += answer.token >= 0;
        histogram_add(waits, (uint64_t)(clock_monotonic_ns() - begun_ns), 1);
    }
    return true;
}

static double us(uint64_t ns) {
    return (double)ns / 1000;
}

static bool measure_herd(struct herds *herds) {
    static struct histogram waits, lasts;
    uint64_t tokens = 0;
    for (long long i = 0; i < herds->rounds; i++) {
        struct answer answer;
        struct client *holder = gather(herds, &answer);
        static struct histogram round;
        memset(&round, 0, sizeof(round));
        if (holder == NULL || answer.token < 0) return false;
        tokens++;
        if (!release(herds, holder, answer.token, &round, &tokens)) return false;
        histogram_merge(&waits, &round);
        histogram_add(&lasts, round.max, 1);
    }
    const struct report_field fields[] = {
        {.name = "herd", .text = "fill"},
        {.name = "clients", .number = (double)herds->clients},
        {.name = "rounds", .number = (double)herds->rounds},
        {.name = "fills", .number = (double)tokens},
        {.name = "wait_p50_us", .number = us(histogram_percentile(&waits, 50))},
        {.name = "wait_p99_us", .number = us(histogram_percentile(&waits, 99))},
        {.name = "last_p50_us", .number = us(histogram_percentile(&lasts, 50))},
        {.name = "last_max_us", .number = us(lasts.max)},
    };
    struct report report;
    report_init(&report, "lease", herds->prints_json, 1);
    report_row(&report, fields, sizeof(fields) / sizeof(fields[0]));
    return true;
}

/* ---- The holder dies ------------------------------------------------------------------------- */

/* Whoever is told first goes away without a word. The lateness counts from before he asked, so it is no less than
 * what it was. */
static bool let_die(struct herds *herds, struct histogram *lateness, uint64_t *tokens) {
    static struct client dying;
    struct answer answer;
    if (!ask_open(&dying.ask, &herds->target)) return false;
    dying.key = ++herds->next_key;
    int64_t asked_ns = clock_monotonic_ns();
    if (!send_wait(&dying, herds->lease_ms) || !take_answer(&dying.ask, &answer)) return false;
    ask_close(&dying.ask);
    *tokens += answer.token >= 0;
    for (long long i = 0; i < herds->clients; i++) {
        herds->all[i].key = herds->next_key;
        if (!send_wait(&herds->all[i], WAIT_MS)) return false;
    }
    struct client *next = hear(herds, &answer);
    if (next == NULL || answer.token < 0) return false;
    int64_t end_ns = asked_ns + herds->lease_ms * 1000000;
    int64_t now_ns = clock_monotonic_ns();
    if (now_ns < end_ns) {
        fputs("sherd-bench: a lease was given before its end\n", stderr);
        return false;
    }
    histogram_add(lateness, (uint64_t)(now_ns - end_ns), 1);
    static struct histogram ignored;
    *tokens += 1;
    return await_waiting(herds, herds->clients - 1) &&
           release(herds, next, answer.token, &ignored, tokens);
}

static bool measure_death(struct herds *herds) {
    static struct histogram lateness;
    uint64_t tokens = 0;
    for (long long i = 0; i < herds->rounds; i++) {
        if (!let_die(herds, &lateness, &tokens)) return false;
    }
    const struct report_field fields[] = {
        {.name = "herd", .text = "death"},
        {.name = "clients", .number = (double)herds->clients},
        {.name = "lease_ms", .number = (double)herds->lease_ms},
        {.name = "rounds", .number = (double)herds->rounds},
        {.name = "leases", .number = (double)tokens},
        {.name = "late_p50_us", .number = us(histogram_percentile(&lateness, 50))},
        {.name = "late_max_us", .number = us(lateness.max)},
    };
    struct report report;
    report_init(&report, "lease", herds->prints_json, 1);
    report_row(&report, fields, sizeof(fields) / sizeof(fields[0]));
    return true;
}

/* ---- Many keys ------------------------------------------------------------------------------- */

struct tally {
    uint64_t fills, answers, refused;
};

static bool go_on(struct herds *herds, struct client *client, struct tally *tally) {
    if (client->is_filling) {
        long long is_stored;
        if (!ask_take(&client->ask, &is_stored, NULL, 0)) return false;
        tally->fills += is_stored == 1;
        tally->refused += is_stored != 1;
    } else {
        struct answer answer;
        if (!take_answer(&client->ask, &answer)) return false;
        tally->answers++;
        if (answer.token >= 0) return send_fill(herds, client, answer.token);
    }
    client->key++;
    return send_wait(client, WAIT_MS);
}

/* Clients come in crowds of `crowd`, and each crowd has keys of its own. */
static bool measure_many(struct herds *herds) {
    static const uint64_t KEYS_A_CROWD = UINT64_C(1) << 24;
    for (long long i = 0; i < herds->clients; i++) {
        uint64_t crowd = 1 + (uint64_t)(i / herds->crowd);
        herds->all[i].key = herds->next_key + crowd * KEYS_A_CROWD;
        if (!send_wait(&herds->all[i], WAIT_MS)) return false;
    }
    struct tally tally = {0};
    double before_us = processor_us(herds);
    int64_t begun_ns = clock_monotonic_ns(), now_ns = begun_ns;
    struct epoll_event events[EVENTS_MAX];
    for (; now_ns < begun_ns + herds->seconds * 1000000000; now_ns = clock_monotonic_ns()) {
        int count = epoll_wait(herds->epoll_fd, events, EVENTS_MAX, WAIT_MS);
        for (int i = 0; i < count; i++) {
            if (!go_on(herds, events[i].data.ptr, &tally)) return false;
        }
    }
    double processor = processor_us(herds) - before_us;
    double requests = (double)(tally.answers + tally.fills + tally.refused);
    const struct report_field fields[] = {
        {.name = "herd", .text = "many"},
        {.name = "clients", .number = (double)herds->clients},
        {.name = "crowd", .number = (double)herds->crowd},
        {.name = "fills_s", .number = (double)tally.fills * 1e9 / (double)(now_ns - begun_ns)},
        {.name = "answers_a_fill",
         .number = (double)tally.answers / (double)tally.fills,
         .decimals = 2},
        {.name = "refused", .number = (double)tally.refused},
        {.name = "processor_us_a_request", .number = processor / requests, .decimals = 2},
    };
    struct report report;
    report_init(&report, "lease", herds->prints_json, 1);
    report_row(&report, fields, sizeof(fields) / sizeof(fields[0]));
    return true;
}

/* ---- The subcommand -------------------------------------------------------------------------- */

static bool open_client(struct herds *herds, struct client *client) {
    if (!ask_open(&client->ask, &herds->target)) return false;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    return epoll_ctl(herds->epoll_fd, EPOLL_CTL_ADD, client->ask.fd, &event) == 0;
}

static bool open_all(struct herds *herds) {
    if (!ask_open(&herds->watcher, &herds->target)) return false;
    for (long long i = 0; i < herds->clients; i++) {
        if (!open_client(herds, &herds->all[i])) return false;
    }
    long long ignored;
    return ask_command(&herds->watcher, "FLUSHALL", &ignored, NULL, 0);
}

static const struct measure {
    const char *name;
    bool (*run)(struct herds *herds);
} measures[] = {
    {"hits", measure_hits},
    {"herd", measure_herd},
    {"death", measure_death},
    {"many", measure_many}, /* the last: it leaves requests behind */
};

static bool run_all(struct herds *herds, const char *only) {
    for (size_t i = 0; i < sizeof(measures) / sizeof(measures[0]); i++) {
        if (only != NULL && strcmp(only, measures[i].name) != 0) continue;
        if (!measures[i].run(herds)) {
            fprintf(stderr, "sherd-bench: the server's answers to %s are not those of leases\n",
                    measures[i].name);
            return false;
        }
    }
    return true;
}

static bool is_sound(const struct herds *herds) {
    if (herds->clients >= HIT_CONNECTIONS && herds->clients <= CLIENTS_MAX &&
        herds->value_bytes <= VALUE_BYTES_MAX)
        return true;
    fprintf(stderr, "sherd-bench: %d to %d clients, values of at most %d bytes\n", HIT_CONNECTIONS,
            CLIENTS_MAX, VALUE_BYTES_MAX);
    return false;
}

int lease_run(int argc, char **argv) {
    static struct herds herds;
    herds = (struct herds){.target = target_default(),
                           .clients = 1000,
                           .keys = 10000,
                           .rounds = 5,
                           .seconds = 2,
                           .value_bytes = 64,
                           .depth = 16,
                           .lease_ms = 100,
                           .crowd = 10};
    const char *only = NULL;
    const struct option_row rows[] = {
        {"--host", OPTION_TEXT, &herds.target.host},
        {"--port", OPTION_COUNT, &herds.target.port},
        {"--unix", OPTION_TEXT, &herds.target.unix_path},
        {"--only", OPTION_TEXT, &only},
        {"--clients", OPTION_COUNT, &herds.clients},
        {"--crowd", OPTION_COUNT, &herds.crowd},
        {"--rounds", OPTION_COUNT, &herds.rounds},
        {"--seconds", OPTION_COUNT, &herds.seconds},
        {"--keys", OPTION_COUNT, &herds.keys},
        {"--value-bytes", OPTION_COUNT, &herds.value_bytes},
        {"--depth", OPTION_COUNT, &herds.depth},
        {"--lease-ms", OPTION_COUNT, &herds.lease_ms},
        {"--json", OPTION_SWITCH, &herds.prints_json},
    };
    if (!options_read(argc, argv, rows, sizeof(rows) / sizeof(rows[0]))) return EXIT_FAILURE;
    if (!is_sound(&herds)) return EXIT_FAILURE;
    herds.all = calloc((size_t)herds.clients, sizeof(*herds.all));
    herds.value = malloc((size_t)herds.value_bytes + 1);
    herds.request = malloc((size_t)herds.value_bytes + REQUEST_MAX);
    herds.epoll_fd = epoll_create1(0);
    if (herds.all == NULL || herds.value == NULL || herds.request == NULL || herds.epoll_fd < 0) {
        fputs("sherd-bench: no memory, or no file descriptor\n", stderr);
        return EXIT_FAILURE;
    }
    memset(herds.value, 'v', (size_t)herds.value_bytes);
    herds.value[herds.value_bytes] = 0;
    bool is_done = open_all(&herds) && run_all(&herds, only);
    return is_done ? EXIT_SUCCESS : EXIT_FAILURE;
}
