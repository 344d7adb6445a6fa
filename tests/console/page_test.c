/* The console in a real browser: its script runs, and shows what happened.
 *
 * Chromium comes to us, not to sherd: each time the page asks for numbers we first send commands, then hand on what
 * sherd answers. So there lie exactly as many of them between any two answers, however slow this machine is; and the
 * browser's virtual time lets the page's seconds pass as fast as we answer. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/browser.h"
#include "tests/support/client.h"
#include "tests/support/folder.h"
#include "tests/support/web.h"

enum { CONNECTIONS_MAX = 16, REQUEST_MAX = 8192, WAIT_MS = 120000, HITS = 30, MISSES = 10 };

struct visit {
    struct test_server *server;
    redisContext *client;
    int http_port;
    int listener, port; /* where the browser comes to */
    int connections[CONNECTIONS_MAX];
    int connection_count;
    int answers; /* numbers that it was given */
    char folder[64];
    char page[128], said[128],
        net_log[128]; /* files: the page in the end, what the browser said and asked for */
};

/* ---- What it comes to ------------------------------------------------------------------------ */

static void listen_for_browser(struct visit *visit) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    visit->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(visit->listener >= 0);
    assert_int_equal(bind(visit->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(visit->listener, CONNECTIONS_MAX), 0);
    assert_int_equal(getsockname(visit->listener, (struct sockaddr *)&address, &size), 0);
    visit->port = ntohs(address.sin_port);
}

/* What lies between two answers. */
static void load(struct visit *visit) {
    for (int i = 0; i < HITS + MISSES; i++) {
        assert_int_equal(
            redisAppendCommand(visit->client, "GET %s", i < HITS ? "<b>hot</b>" : "none"),
            REDIS_OK);
    }
    for (int i = 0; i < HITS + MISSES; i++) {
        assert_true(hiredis_take(visit->client, i < HITS ? REDIS_REPLY_STRING : REDIS_REPLY_NIL));
    }
}

static void write_all(int fd, const char *data, size_t size) {
    while (size != 0) {
        ssize_t written = write(fd, data, size);
        if (written <= 0) return; /* the browser knows why */
        data += written;
        size -= (size_t)written;
    }
}

/* One request a connection: sherd is asked to close, and says so to the browser. */
static void answer(struct visit *visit, int fd) {
    char request[REQUEST_MAX], path[256];
    ssize_t size = recv(fd, request, sizeof request - 1, 0);
    if (size <= 0) return; /* it opens connections that it doesn't use */
    request[size] = '\0';
    assert_non_null(strstr(request, "\r\n\r\n"));
    assert_int_equal(sscanf(request, "GET %255s HTTP/1.1", path), 1);
    if (strcmp(path, "/console.json") == 0) {
        load(visit);
        visit->answers++;
    }
    struct web_answer found = web_get(visit->http_port, path);
    write_all(fd, found.head, strlen(found.head));
    write_all(fd, "\r\n", 2);
    write_all(fd, found.body, found.body_size);
    web_answer_release(&found);
}

static void serve_until_end(struct visit *visit, int process) {
    for (;;) {
        struct pollfd polled[CONNECTIONS_MAX + 2] = {{process, POLLIN, 0},
                                                     {visit->listener, POLLIN, 0}};
        int count = visit->connection_count;
        for (int i = 0; i < count; i++) {
            polled[i + 2] = (struct pollfd){visit->connections[i], POLLIN, 0};
        }
        assert_true(poll(polled, (nfds_t)count + 2, WAIT_MS) > 0);
        if (polled[0].revents != 0) return;
        for (int i = count - 1; i >= 0; i--) {
            if (polled[i + 2].revents == 0) continue;
            answer(visit, visit->connections[i]);
            close(visit->connections[i]);
            visit->connections[i] = visit->connections[--visit->connection_count];
        }
        if (polled[1].revents != 0 && visit->connection_count < CONNECTIONS_MAX) {
            visit->connections[visit->connection_count] =
                accept4(visit->listener, NULL, NULL, SOCK_CLOEXEC);
            assert_true(visit->connections[visit->connection_count++] >= 0);
        }
    }
}

/* ---- The browser ----------------------------------------------------------------------------- */

_Noreturn static void run_chromium(const struct visit *visit) {
    char url[64], net_log[160];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", visit->port);
    snprintf(net_log, sizeof net_log, "--log-net-log=%s", visit->net_log);
    int out = open(visit->page, O_WRONLY | O_CREAT, 0600),
        said = open(visit->said, O_WRONLY | O_CREAT, 0600);
    dup2(out, STDOUT_FILENO);
    dup2(said, STDERR_FILENO);
    browser_exec(visit->folder,
                 (const char *const[]){"--enable-logging=stderr", "--virtual-time-budget=6000",
                                       net_log, "--dump-dom", url, NULL});
}

/* Let it look at the page for six of its seconds. */
static void visit_page(struct visit *visit) {
    pid_t browser = fork();
    assert_true(browser >= 0);
    if (browser == 0) run_chromium(visit);
    int process = (int)syscall(SYS_pidfd_open, browser, 0);
    assert_true(process >= 0);
    serve_until_end(visit, process);
    close(process);
    int status;
    assert_int_equal(waitpid(browser, &status, 0), browser);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_true(visit->answers >= 3);
}

static char *read_file(const char *path) {
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t room = 16 << 20;
    char *text = malloc(room);
    assert_non_null(text);
    text[fread(text, 1, room - 1, file)] = '\0';
    fclose(file);
    return text;
}

/* ---- Before and after ------------------------------------------------------------------------ */

static int start(void **state) {
    struct visit *visit = calloc(1, sizeof *visit);
    assert_non_null(visit);
    visit->http_port = test_server_free_port();
    char port[16];
    snprintf(port, sizeof port, "%d", visit->http_port);
    const char *const options[] = {"--metrics-port",
                                   port,
                                   "--workers",
                                   "2",
                                   "--shards",
                                   "16",
                                   "--maxmemory",
                                   "64mb",
                                   "--maxmemory-policy",
                                   "allkeys-lru",
                                   "--slowlog-log-slower-than",
                                   "500000",
                                   NULL};
    visit->server = test_server_start(options);
    visit->client = hiredis_expect_open(visit->server);
    hiredis_expect_status(visit->client, "OK", "SET <b>hot</b> x");
    listen_for_browser(visit);
    strcpy(visit->folder, "/tmp/sherd-browser-XXXXXX");
    assert_non_null(mkdtemp(visit->folder));
    snprintf(visit->page, sizeof visit->page, "%s/page", visit->folder);
    snprintf(visit->said, sizeof visit->said, "%s/said", visit->folder);
    snprintf(visit->net_log, sizeof visit->net_log, "%s/net", visit->folder);
    *state = visit;
    return 0;
}

static int stop(void **state) {
    struct visit *visit = *state;
    for (int i = 0; i < visit->connection_count; i++) {
        close(visit->connections[i]);
    }
    close(visit->listener);
    redisFree(visit->client);
    test_server_stop(visit->server);
    folder_remove(visit->folder);
    free(visit);
    return 0;
}

/* ---- Tests ----------------------------------------------------------------------------------- */

static void expect_in(const char *text, const char *part) {
    if (strstr(text, part) == NULL) fail_msg("no %s on the page", part);
}

static int count_of(const char *text, const char *part) {
    int count = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at += strlen(part)) {
        count++;
    }
    return count;
}

/* Something for each part of the page. */
static void prepare(struct visit *visit) {
    redisContext *client = visit->client;
    hiredis_expect_status(client, "OK", "CLIENT SETNAME %s", "till<1>");
    redisReply *reply = redisCommand(client, "CACHE CURVE");
    assert_non_null(reply);
    freeReplyObject(reply);
    hiredis_expect_status(client, "OK", "DEBUG SLEEP 0.6");
    for (int i = 0; i < 4000; i++) {
        hiredis_expect_status(client, "OK", "SET key:%d x", i);
        freeReplyObject(redisCommand(client, "GET key:%d", i)); /* the curve counts those */
    }
    for (int i = 0; i < 200; i++) {
        load(visit);
    }
}

static void the_console_shows_what_happened(void **state) {
    struct visit *visit = *state;
    prepare(visit);
    visit_page(visit);
    char *page = read_file(visit->page);
    expect_in(page, ">live<");
    expect_in(page, "id=\"ratio\">75.0 %<");
    expect_in(page, "id=\"evicted_misses\">0 /s<");
    expect_in(page, "id=\"limit\">of 64.0 MiB<");
    expect_in(page, "id=\"policy\">allkeys-lru<");
    expect_in(page, "id=\"clients\">1<");
    expect_in(page, "id=\"clients_max\">of ");
    expect_in(page, ">&lt;b&gt;hot&lt;/b&gt;<"); /* among the hot keys, as text */
    expect_in(page, " till&lt;1&gt;</td>");      /* among the clients */
    expect_in(page, ">DEBUG SLEEP</td>");        /* among the slow commands */
    assert_null(strstr(page, "id=\"rate\">–<"));
    assert_null(strstr(page, "id=\"p99\">–<"));
    expect_in(page, "<div id=\"curve\">"); /* which isn't hidden */
    assert_int_equal(count_of(page, "class=\"dot\""), 7);
    const char *cells = strstr(page, "<div id=\"cells\""), *end = strstr(cells, "</div>");
    char heat[16384];
    snprintf(heat, sizeof heat, "%.*s", (int)(end - cells), cells);
    assert_int_equal(count_of(heat, "<i"), 16);
    assert_int_equal(count_of(heat, "--heat"), 2); /* two keys, in two shards */
    free(page);
}

static void the_console_has_no_errors_and_asks_nobody_else(void **state) {
    struct visit *visit = *state;
    visit_page(visit);
    char *said = read_file(visit->said), *net = read_file(visit->net_log);
    if (strstr(said, "CONSOLE") != NULL) fail_msg("%s", said);
    char ours[128];
    snprintf(ours, sizeof ours, "\"initiator\":\"http://127.0.0.1:%d\"", visit->port);
    /* A request of the page's: its URL stands behind who asked for it, in the same object. */
    int asked = 0;
    for (const char *at = net; (at = strstr(at, ours)) != NULL; at += strlen(ours), asked++) {
        const char *url = strstr(at, "\"url\":\"");
        assert_non_null(url);
        assert_int_equal(strncmp(url, "\"url\":\"http://127.0.0.1:", 24), 0);
        assert_int_equal(atoi(url + 24), visit->port);
    }
    assert_true(asked >= 3);
    free(said);
    free(net);
}

int main(void) {
    test_server_require();
    if (!browser_is_installed()) {
        fprintf(stderr, "skipped: there is no chromium to look at the console with\n");
        return TEST_SKIPPED;
    }
    if (system(
            SHERD_BINARY
            " --port 0 --metrics-port 1 --metrics-bind 192.0.2.1 2>&1 | grep -q 'built without'") ==
        0)
        return TEST_SKIPPED;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_console_shows_what_happened, start, stop),
        cmocka_unit_test_setup_teardown(the_console_has_no_errors_and_asks_nobody_else, start,
                                        stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
