/* sherd-bench: the instruments, one subcommand each. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"

static const struct bench benches[] = {
    {"load", "drive a RESP server over the network and report throughput and latency",
     "  --host H --port P      where the server listens (127.0.0.1 6379)\n"
     "  --unix PATH            ... or its Unix socket\n"
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
};
enum { BENCH_COUNT = sizeof(benches) / sizeof(benches[0]) };

static void print_help(FILE *out) {
    fputs("usage: sherd-bench SUBCOMMAND [options]\n\n", out);
    for (size_t i = 0; i < BENCH_COUNT; i++) {
        fprintf(out, "%s: %s\n%s\n", benches[i].name, benches[i].summary, benches[i].options);
    }
}

int main(int argc, char **argv) {
    if (argc < 2) {
        print_help(stderr);
        return EXIT_FAILURE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help(stdout);
        return EXIT_SUCCESS;
    }
    for (size_t i = 0; i < BENCH_COUNT; i++) {
        if (strcmp(argv[1], benches[i].name) == 0) return benches[i].run(argc - 2, argv + 2);
    }
    fprintf(stderr, "sherd-bench: no subcommand '%s'; see sherd-bench --help\n", argv[1]);
    return EXIT_FAILURE;
}
