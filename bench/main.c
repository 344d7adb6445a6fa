/* sherd-bench: the instruments, one subcommand each. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/manual.h"

static const struct bench benches[] = {
    {"load", "drive a server over the network and report throughput and latency",
     "  --host H --port P      where the server listens (127.0.0.1 6379)\n"
     "  --unix PATH            ... or its Unix socket\n"
     "  --protocol P           what it speaks: resp or memcached's text (resp)\n"
     "  --threads N            load threads, one engine each (1)\n"
     "  --connections N        over all threads (50)\n"
     "  --depth N              requests in flight a connection: the pipeline (1)\n"
     "  --keys N               size of the key space (1000000)\n"
     "  --zipf S               draw keys by Zipf's law with exponent S > 0; otherwise uniformly\n"
     "  --value-bytes N        size of the values that SET writes (64)\n"
     "  --get-percent N        share of GET, the rest is SET (90)\n"
     "  --seconds S            how long to measure (5)\n"
     "  --rate R               open loop: R requests a second in all, latency from the intended "
     "send time\n"
     "  --fill                 first SET every key once\n"
     "  --json                 one JSON object instead of text\n",
     load_run},
    {"floor", "serve canned replies over the same engine: what the network alone costs",
     "  --port P               where to listen on 127.0.0.1 (6400)\n"
     "  --unix PATH            ... and on a Unix socket\n"
     "  --io auto|uring|epoll  the engine (auto)\n"
     "  --value-bytes N        size of the canned GET reply (64)\n"
     "  --seconds S            stop after so long (600)\n",
     floor_run},
    {"store", "the shards in process, without a network: operations a second, memory, lock waits",
     "  --threads N,...        each so many threads (1,2)\n"
     "  --shards N,...         a power of two each; 1 is the single map under one lock (32,1)\n"
     "  --get-percent N,...    share of GET, the rest is SET (90)\n"
     "  --zipf S,...           0 draws keys uniformly, otherwise Zipf's exponent (0,0.99)\n"
     "  --keys N               keys that the store holds (1000000)\n"
     "  --value-bytes N        size of their values; a key is 16 bytes (64)\n"
     "  --batch N              keys whose memory is asked for together, as a worker's turn does "
     "(16)\n"
     "  --seconds S            a measurement (1)\n"
     "  --hot                  more rows: all threads use one key\n"
     "  --grow                 instead: insert from nothing to --keys, and time each hold of a "
     "lock\n"
     "  --json                 one JSON object a row\n",
     store_run},
    {"locks", "our readers-writer lock against pthread_rwlock_t and pthread_mutex_t",
     "  --threads N,...        each so many threads (1,2,8)\n"
     "  --writes N,...         percent of the takes that are for writing (0,5,50,100)\n"
     "  --hold N,...           cycles between take and drop (0)\n"
     "  --away N,...           cycles between drop and the next take (0)\n"
     "  --seconds S            a measurement (0.5)\n"
     "  --json                 one JSON object a row\n",
     locks_run},
    {"queues", "our lock-free queue against a ring under a mutex",
     "  --producers N,...      each so many, and one consumer (1,2,4,8)\n"
     "  --items N              how many are handed over (4000000)\n"
     "  --capacity N           of the queue (1024)\n"
     "  --json                 one JSON object a row\n",
     queues_run},
    {"pool", "the adaptive pool of background jobs against a fixed one",
     "  --threads N            the maximum of both (4)\n"
     "  --bursts N             how often jobs come (5)\n"
     "  --jobs N               how many come together (500)\n"
     "  --job-us N             how long one takes (200)\n"
     "  --idle-ms N            from the end of a burst to the next (100)\n"
     "  --queue N              jobs that may wait (64)\n"
     "  --linger-ms N          how long a thread waits for more work before it ends (50)\n"
     "  --json                 one JSON object a row\n",
     pool_run},
    {"trace", "replay a trace as a cache would see it, GET and SET after a miss: hit ratios",
     "  --port P, --unix PATH  against the server that listens there, which is emptied first; "
     "without "
     "them in\n"
     "                         process\n"
     "  --host H               where --port is (127.0.0.1)\n"
     "  --protocol P           what the server speaks: resp or memcached's text (resp)\n"
     "  --connections N        to it (4)\n"
     "  --depth N              requests in flight a connection, on average (16)\n"
     "  --rate R               at most R requests a second: policies that count seconds need time\n"
     "  --file PATH            a key a line, or \"get|set|del key size\"; without it, made-up "
     "traces\n"
     "  --only NAME            of those: zipf-0.7, zipf-0.99, zipf-1.2, scans, shifting, loop,\n"
     "                         ttl\n"
     "  --keys N               key space of the made-up ones (1000000)\n"
     "  --loop-keys N          that of loop (--keys)\n"
     "  --requests N           their length (5000000)\n"
     "  --seed N               of what they draw (1)\n"
     "  --warm-up N            GETs before hits count (0)\n"
     "  --limit-bytes N        in process: a memory limit; 0: none (0)\n"
     "  --policy NAME          ... who goes there (allkeys-adaptive)\n"
     "  --shards N             ... a power of two (16)\n"
     "  --value-bytes N        size of values that the trace gives no size for (64)\n"
     "  --mixed-sizes          ... from 64 B to 8 KiB instead, by the key\n"
     "  --json                 one JSON object a row\n",
     trace_run},
    {"shift",
     "write values whose sizes shift, many times what the server may keep: what memory it takes",
     "  --port P, --unix PATH  where the server listens (6379)\n"
     "  --host H               where --port is (127.0.0.1)\n"
     "  --pid P                its process, whose resident set is looked at every quarter of a "
     "MiB\n"
     "  --limit-bytes N        what it may keep, by its own options (67108864)\n"
     "  --sizes N,...          of the values, one after another (8192,64,8192,2048,64,3000,64)\n"
     "  --times N              so many times the limit is written of each (4)\n"
     "  --json                 one JSON object a row\n",
     shift_run},
    {"hits",
     "the shards in process at a memory limit: what each eviction policy keeps, against exact LRU",
     "  --limit-bytes N        memory limit (8388608)\n"
     "  --value-bytes N        size of the values; a key is 16 bytes (64)\n"
     "  --shards N             a power of two (32)\n"
     "  --turns N              requests, in keys that fit (60)\n"
     "  --json                 one JSON object a row\n",
     hits_run},
    {"expire",
     "a server's deadlines: bytes a key, how soon memory is back, what others feel meanwhile",
     "  --host H, --port P     where the server listens, which is emptied (127.0.0.1 6379)\n"
     "  --unix PATH            ... or its Unix socket\n"
     "  --only WHAT            together: all keys due at one moment; spread: over --spread "
     "seconds;\n"
     "                         cost: bytes a key with a deadline and without\n"
     "  --keys N               of the first two (1000000)\n"
     "  --cost-keys N          of the last (10000000)\n"
     "  --value-bytes N        size of the values; a key is 16 bytes (64)\n"
     "  --seconds S            from the start of filling to the first deadline (10)\n"
     "  --spread S             from the first deadline to the last (10)\n"
     "  --json                 one JSON object a row\n",
     expire_run},
    {"warm", "warm restarts: what saving and loading a file takes of time and processors, a key",
     "  --server PATH          who is started: sherd, or Redis or a kin (the sherd beside us)\n"
     "  --keys N               that it is filled with (1000000)\n"
     "  --value-bytes N        size of their values; a key is 16 bytes (64)\n"
     "  --only WHAT            plain, deadlines (each key has one), lzf (values that are "
     "compressed)\n"
     "  --rounds N             each so often (3)\n"
     "  --folder PATH          where a folder for the file is made (/dev/shm)\n"
     "  --json                 one JSON object a row\n",
     warm_run},
    {"curve", "CACHE CURVE's estimates at one memory limit, against what caches of those sizes hit",
     "  --limit-bytes N        memory limit (33554432)\n"
     "  --value-bytes N        size of the values; a key is 16 bytes (64)\n"
     "  --mixed-sizes          ... from 64 B to 8 KiB instead, by the key\n"
     "  --shards N             a power of two (32)\n"
     "  --turns N              requests, in keys that fit (40)\n"
     "  --policy NAME          only that one\n"
     "  --seed N               of keys and hashes (1)\n"
     "  --json                 one JSON object a row\n",
     curve_run},
    {"lease", "leases over the network: what a hit costs, and what becomes of a key that all miss",
     "  --host H, --port P     where the server listens, which is emptied (127.0.0.1 6379)\n"
     "  --unix PATH            ... or its Unix socket\n"
     "  --only WHAT            hits: GETLEASE against GET; herd: all wait for one key; death: "
     "whoever "
     "is to\n"
     "                         fill it goes away; many: crowds on many keys\n"
     "  --clients N            who wait (1000)\n"
     "  --crowd N              of many: clients that want the same key (10)\n"
     "  --rounds N             of each but many (5)\n"
     "  --seconds S            a round of hits, and many (2)\n"
     "  --lease-ms N           of whoever goes away (100)\n"
     "  --keys N               that hits draws from (10000)\n"
     "  --value-bytes N        size of the values; a key is 16 bytes (64)\n"
     "  --depth N              requests in flight a connection of hits (16)\n"
     "  --json                 one JSON object a row\n",
     lease_run},
    {"steady",
     "requests at a fixed rate while a server evicts, expires, saves, frees, lets guests in: what "
     "they feel",
     "  --host H, --port P     where the server listens, which is emptied, and whose limit and "
     "save\n"
     "                         points are changed (127.0.0.1 6379)\n"
     "  --unix PATH            ... or its Unix socket\n"
     "  --only NAME            nothing, limit (new keys at the memory limit), lower (the limit is "
     "halved),\n"
     "                         del, unlink, replace (a huge value goes), expire (keys due "
     "together), save,\n"
     "                         save-writes (BGSAVE; the requests are SET), busy (the server's "
     "processors\n"
     "                         are never idle, but nobody is kept off them: what save and others "
     "can't be\n"
     "                         better than), storm (of connections)\n"
     "  --turns N              of each disturbance (10)\n"
     "  --slice-ms N           what a median is taken over (250)\n"
     "  --rate R               requests a second (20000)\n"
     "  --connections N        of the requests (8)\n"
     "  --keys N               of expire and save (1000000)\n"
     "  --value-bytes N        size of the values; a key is 16 bytes (64)\n"
     "  --limit-bytes N        of limit and lower (134217728)\n"
     "  --policy NAME          the same (allkeys-adaptive)\n"
     "  --huge-bytes N         of del, unlink and replace (500000000)\n"
     "  --connects R           of storm: guests a second, ten times as many to disturb (200)\n"
     "  --json                 one JSON object a row\n",
     steady_run},
};
enum { BENCH_COUNT = sizeof(benches) / sizeof(benches[0]) };

static void print_bench(FILE *out, const struct bench *bench) {
    fprintf(out, "%s: %s\n%s\n", bench->name, bench->summary, bench->options);
}

static void print_help(FILE *out) {
    fputs("usage: sherd-bench SUBCOMMAND [options]\n\n", out);
    for (size_t i = 0; i < BENCH_COUNT; i++) {
        print_bench(out, &benches[i]);
    }
}

static bool asks_for_help(const char *word) {
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static int run(const struct bench *bench, int argc, char **argv) {
    if (argc > 0 && asks_for_help(argv[0])) {
        print_bench(stdout, bench);
        return EXIT_SUCCESS;
    }
    return bench->run(argc, argv);
}

/* For the build: not a subcommand, for it measures nothing. */
static int print_document(const char *name) {
    if (name != NULL && strcmp(name, "man") == 0) {
        bench_manual_print(stdout, benches, BENCH_COUNT);
    } else if (name != NULL && strcmp(name, "completion") == 0) {
        bench_completion_print(stdout, benches, BENCH_COUNT);
    } else {
        fputs("sherd-bench: --print takes man or completion\n", stderr);
        return EXIT_FAILURE;
    }
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        print_help(stderr);
        return EXIT_FAILURE;
    }
    if (asks_for_help(argv[1])) {
        print_help(stdout);
        return EXIT_SUCCESS;
    }
    if (strcmp(argv[1], "--print") == 0) return print_document(argc > 2 ? argv[2] : NULL);
    for (size_t i = 0; i < BENCH_COUNT; i++) {
        if (strcmp(argv[1], benches[i].name) == 0) return run(&benches[i], argc - 2, argv + 2);
    }
    fprintf(stderr, "sherd-bench: no subcommand '%s'; see sherd-bench --help\n", argv[1]);
    return EXIT_FAILURE;
}
