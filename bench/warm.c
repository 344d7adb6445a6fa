/* A warm restart: a server is started, filled, told to save, ended, and started again on the file. What both
 * ways take is read from the server itself: the process's time (INFO cpu) over SAVE, and from its start until
 * it has loaded; what it does besides is start, some milliseconds.
 *
 *     plain      values that LZF doesn't make shorter, and no compression
 *     deadlines  the same, each key with a deadline in some hours
 *     lzf        values that are one letter over and over, compressed
 *
 * What to read from it:
 *   load_ms          from the process's start until it answers as loaded
 *   load_cpu_ns      processor time a key, all threads': what a core that does nothing else needs for it
 *   keys_a_core_s    its inverse
 *   cores            processor time over the time that passed
 *   told             how often a client that asked meanwhile was told how far it is
 *
 * The keys lie in the file as the server walks over them. One file is as good as another, so a round only
 * loads; the row is the round with the least processor time. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/ask.h"
#include "bench/bench.h"
#include "bench/fill.h"
#include "bench/options.h"
#include "bench/report.h"
#include "server/clock.h"

enum {
    PATH_BYTES = 4096, /* realpath's */
    VALUE_BYTES_MAX = 64 * 1024,
    START_MS = 10000, /* until we give up waiting for it to listen */
    LOOK_US = 1000,
};

struct warm_case {
    const char *name;
    bool has_deadlines, compresses;
};

static const struct warm_case cases[] = {
    {"plain", false, false},
    {"deadlines", true, false},
    {"lzf", false, true},
};

struct warm {
    const char *server, *parent, *only;
    long long keys, value_bytes, rounds;
    bool prints_json;
    char path[PATH_BYTES];   /* of the server, when we had to find it */
    char folder[PATH_BYTES]; /* file, socket and log */
    char socket[2 * PATH_BYTES];
    pid_t pid; /* of the server; 0: none */
    int64_t started_ns;
    struct ask ask;
};

/* ---- The server ------------------------------------------------------------------------------ */

static bool complain(const struct warm *warm, const char *what) {
    fprintf(stderr, "sherd-bench: %s; its log is %s/log\n", what, warm->folder);
    return false;
}

/* In the child. */
static _Noreturn void become_server(const struct warm *warm, const struct warm_case *which) {
    int log = open("log", O_WRONLY | O_CREAT | O_APPEND, 0644);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    execlp(warm->server, warm->server, "--port", "0", "--unixsocket", warm->socket, "--dir",
           warm->folder, "--save", "", "--rdbcompression", which->compresses ? "yes" : "no",
           (char *)NULL);
    fprintf(stderr, "%s can't be run: %s\n", warm->server, strerror(errno));
    _exit(127);
}

static bool await_socket(const struct warm *warm) {
    for (int waited_ms = 0; waited_ms < START_MS; waited_ms++) {
        if (access(warm->socket, F_OK) == 0) return true;
        if (waitpid(warm->pid, NULL, WNOHANG) == warm->pid) break;
        usleep(LOOK_US);
    }
    return complain(warm, "the server doesn't start");
}

static bool start(struct warm *warm, const struct warm_case *which) {
    struct target target = target_default();
    unlink(warm->socket);
    warm->started_ns = clock_monotonic_ns();
    warm->pid = fork();
    if (warm->pid < 0) return complain(warm, "the system refuses a process");
    if (warm->pid == 0) become_server(warm, which);
    if (!await_socket(warm)) return false;
    usleep(LOOK_US); /* from its name to listening */
    target.unix_path = warm->socket;
    return ask_open(&warm->ask, &target);
}

static void stop(struct warm *warm) {
    if (warm->pid <= 0) return;
    ask_close(&warm->ask);
    kill(warm->pid, SIGTERM); /* without save points it saves nothing */
    waitpid(warm->pid, NULL, 0);
    warm->pid = 0;
}

static double processor_s(struct warm *warm) {
    return ask_info(&warm->ask, "cpu", "used_cpu_user") +
           ask_info(&warm->ask, "cpu", "used_cpu_sys");
}

/* ---- Saving and loading ---------------------------------------------------------------------- */

struct restart {
    double save_s, save_processor_s, load_s, load_processor_s;
    double told;
    long long file_bytes;
};

static bool save(struct warm *warm, struct restart *restart) {
    long long ignored;
    double before_s = processor_s(warm);
    int64_t begun_ns = clock_monotonic_ns();
    if (!ask_command(&warm->ask, "SAVE", &ignored, NULL, 0)) return false;
    restart->save_s = (double)(clock_monotonic_ns() - begun_ns) / 1e9;
    restart->save_processor_s = processor_s(warm) - before_s;
    return true;
}

static bool make_file(struct warm *warm, const struct warm_case *which, struct restart *restart) {
    static const int64_t HOUR_MS = 3600 * 1000;
    struct fill fill;
    struct fill_span due = {0};
    if (which->has_deadlines) due.first_ms = clock_unix_ms() + HOUR_MS;
    if (which->has_deadlines) due.last_ms = due.first_ms + 24 * HOUR_MS;
    bool is_made = fill_init(&fill, &warm->ask, (size_t)warm->value_bytes);
    for (size_t i = 0; is_made && !which->compresses && i < fill.value_bytes; i++) {
        fill.value[i] = (char)random_next(&fill.random);
    }
    unlink("dump.rdb"); /* of the case before */
    is_made = is_made && start(warm, which) && fill_keys(&fill, 0, (uint64_t)warm->keys, &due) &&
              save(warm, restart);
    fill_release(&fill);
    stop(warm);
    struct stat about;
    if (is_made && stat("dump.rdb", &about) != 0) return complain(warm, "there is no dump.rdb");
    restart->file_bytes = is_made ? about.st_size : 0;
    return is_made;
}

/* Keeps what took the least processor time. */
static bool load(struct warm *warm, const struct warm_case *which, struct restart *restart) {
    long long keys;
    double told = -1, loading = 1;
    if (!start(warm, which)) return false;
    while (loading > 0) {
        loading = ask_info(&warm->ask, "persistence", "loading");
        told++;
        if (loading > 0) usleep(LOOK_US);
    }
    double took_s = (double)(clock_monotonic_ns() - warm->started_ns) / 1e9;
    double processor = processor_s(warm);
    if (!ask_command(&warm->ask, "DBSIZE", &keys, NULL, 0)) return false;
    stop(warm);
    if (keys != warm->keys) return complain(warm, "not all keys are there again");
    if (restart->load_processor_s != 0 && restart->load_processor_s <= processor) return true;
    restart->load_s = took_s;
    restart->load_processor_s = processor;
    restart->told = told;
    return true;
}

static bool measure(struct warm *warm, const struct warm_case *which, struct report *report) {
    struct restart restart = {0};
    double keys = (double)warm->keys;
    report_progress(report, which->name);
    if (!make_file(warm, which, &restart)) return false;
    for (long long round = 0; round < warm->rounds; round++) {
        if (!load(warm, which, &restart)) return false;
    }
    const struct report_field fields[] = {
        {.name = "measured", .text = which->name},
        {.name = "keys", .number = keys},
        {.name = "bytes_a_key", .number = (double)restart.file_bytes / keys, .decimals = 1},
        {.name = "save_ms", .number = restart.save_s * 1e3},
        {.name = "save_cpu_ns", .number = restart.save_processor_s * 1e9 / keys},
        {.name = "load_ms", .number = restart.load_s * 1e3},
        {.name = "load_cpu_ns", .number = restart.load_processor_s * 1e9 / keys},
        {.name = "keys_a_core_s", .number = keys / restart.load_processor_s},
        {.name = "cores", .number = restart.load_processor_s / restart.load_s, .decimals = 2},
        {.name = "told", .number = restart.told},
    };
    report_row(report, fields, sizeof(fields) / sizeof(fields[0]));
    return true;
}

/* ---- The subcommand -------------------------------------------------------------------------- */

static bool is_wanted(const struct warm *warm, const struct warm_case *which) {
    return warm->only == NULL || strcmp(warm->only, which->name) == 0;
}

static bool measure_all(struct warm *warm) {
    enum { CASES = sizeof(cases) / sizeof(cases[0]) };
    struct report report;
    report_init(&report, "warm", warm->prints_json, warm->only == NULL ? CASES : 1);
    for (size_t i = 0; i < CASES; i++) {
        if (is_wanted(warm, &cases[i]) && !measure(warm, &cases[i], &report)) return false;
    }
    return true;
}

/* "…/sherd-bench" is beside "…/sherd". What has a slash in it is a path from where we are, which we leave. */
static void find_server(struct warm *warm) {
    if (warm->server == NULL) {
        ssize_t size = readlink("/proc/self/exe", warm->path, sizeof(warm->path) - 1);
        char *end = size > 0 ? strrchr(warm->path, '-') : NULL;
        if (end != NULL) *end = 0;
        warm->server = end != NULL ? warm->path : "sherd";
    } else if (strchr(warm->server, '/') != NULL && realpath(warm->server, warm->path) != NULL) {
        warm->server = warm->path;
    }
}

static bool make_folder(struct warm *warm) {
    snprintf(warm->folder, sizeof(warm->folder), "%s/sherd-warm-XXXXXX", warm->parent);
    if (mkdtemp(warm->folder) != NULL && chdir(warm->folder) == 0) {
        snprintf(warm->socket, sizeof(warm->socket), "%s/socket", warm->folder);
        return true;
    }
    fprintf(stderr, "sherd-bench: no folder can be made in %s: %s\n", warm->parent,
            strerror(errno));
    return false;
}

static void remove_folder(const struct warm *warm) {
    unlink("dump.rdb");
    unlink("log");
    unlink("socket");
    rmdir(warm->folder);
}

int warm_run(int argc, char **argv) {
    static struct warm warm;
    warm = (struct warm){.parent = "/dev/shm", .keys = 1000000, .value_bytes = 64, .rounds = 3};
    const struct option_row rows[] = {
        {"--server", OPTION_TEXT, &warm.server},
        {"--keys", OPTION_COUNT, &warm.keys},
        {"--value-bytes", OPTION_COUNT, &warm.value_bytes},
        {"--only", OPTION_TEXT, &warm.only},
        {"--rounds", OPTION_COUNT, &warm.rounds},
        {"--folder", OPTION_TEXT, &warm.parent},
        {"--json", OPTION_SWITCH, &warm.prints_json},
    };
    if (!options_read(argc, argv, rows, sizeof(rows) / sizeof(rows[0]))) return EXIT_FAILURE;
    if (warm.value_bytes > VALUE_BYTES_MAX) {
        fprintf(stderr, "sherd-bench: values of at most %d bytes\n", VALUE_BYTES_MAX);
        return EXIT_FAILURE;
    }
    find_server(&warm);
    if (!make_folder(&warm)) return EXIT_FAILURE;
    bool is_done = measure_all(&warm);
    stop(&warm);
    if (is_done) remove_folder(&warm); /* or else the log is of use */
    return is_done ? EXIT_SUCCESS : EXIT_FAILURE;
}
