/* Messages are JSON, and end with a NUL. We write few, and of the answers need little: whether they are errors, and one
 * word here and there; so they are searched, not parsed. Sources: the Chrome DevTools protocol, domains Target, Runtime
 * and Input. */
#include "browser.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "folder.h"

enum { WAIT_MS = 60000, MESSAGE_MAX = 4096, ARGUMENTS_MAX = 6 };

bool browser_is_installed(void) {
    return system("chromium --version >/dev/null 2>&1") == 0;
}

/* ---- Messages -------------------------------------------------------------------------------- */

static void write_all(int fd, const char *data, size_t size) {
    while (size != 0) {
        ssize_t written = write(fd, data, size);
        assert_true(written > 0);
        data += written;
        size -= (size_t)written;
    }
}

/* Up to the NUL: the next message, the caller's. */
static char *take(struct browser *browser) {
    char *end;
    while (browser->size == 0 || (end = memchr(browser->said, '\0', browser->size)) == NULL) {
        struct pollfd polled = {browser->from, POLLIN, 0};
        if (poll(&polled, 1, WAIT_MS) != 1) fail_msg("the browser says nothing");
        if (browser->room - browser->size < MESSAGE_MAX) {
            browser->room = 2 * browser->room + MESSAGE_MAX;
            browser->said = realloc(browser->said, browser->room);
            assert_non_null(browser->said);
        }
        ssize_t size =
            read(browser->from, browser->said + browser->size, browser->room - browser->size);
        if (size <= 0) fail_msg("the browser has gone");
        browser->size += (size_t)size;
    }
    size_t size = (size_t)(end - browser->said) + 1;
    char *message = malloc(size);
    assert_non_null(message);
    memcpy(message, browser->said, size);
    browser->size -= size;
    memmove(browser->said, browser->said + size, browser->size);
    return message;
}

/* Send a message, and return its answer, the caller's; events that come before it are dropped. */
static __attribute__((format(printf, 3, 4))) char *ask(struct browser *browser, const char *method,
                                                       const char *format, ...) {
    char params[MESSAGE_MAX], session[128] = "", text[2 * MESSAGE_MAX], prefix[32];
    va_list values;
    va_start(values, format);
    assert_true(vsnprintf(params, sizeof params, format, values) < (int)sizeof params);
    va_end(values);
    if (browser->session[0] != '\0')
        snprintf(session, sizeof session, ",\"sessionId\":\"%s\"", browser->session);
    int id = ++browser->last_id;
    int size = snprintf(text, sizeof text, "{\"id\":%d,\"method\":\"%s\",\"params\":{%s}%s}", id,
                        method, params, session);
    write_all(browser->to, text, (size_t)size + 1);
    snprintf(prefix, sizeof prefix, "{\"id\":%d,", id);
    for (;;) {
        char *answer = take(browser);
        if (strncmp(answer, prefix, strlen(prefix)) == 0) {
            if (strncmp(answer + strlen(prefix), "\"error\"", 7) == 0)
                fail_msg("%s: %s", text, answer);
            return answer;
        }
        free(answer);
    }
}

static void tell(struct browser *browser, const char *method, const char *params) {
    free(ask(browser, method, "%s", params));
}

/* The text behind "name":" in an answer, which it frees. */
static void pick(char *answer, const char *name, char *out, size_t size) {
    char mark[64];
    snprintf(mark, sizeof mark, "\"%s\":\"", name);
    const char *at = strstr(answer, mark);
    if (at == NULL) fail_msg("no %s in %s", name, answer);
    at += strlen(mark);
    snprintf(out, size, "%.*s", (int)strcspn(at, "\""), at);
    free(answer);
}

/* ---- Life ------------------------------------------------------------------------------------ */

_Noreturn void browser_exec(const char *folder, const char *const *arguments) {
    char profile[128];
    snprintf(profile, sizeof profile, "--user-data-dir=%s/profile", folder);
    const char *all[ARGUMENTS_MAX + 8] = {"chromium",       "--headless",
                                          "--no-sandbox",   "--disable-gpu",
                                          "--no-first-run", "--disable-background-networking",
                                          profile};
    for (size_t i = 0; i < ARGUMENTS_MAX && arguments[i] != NULL; i++) {
        all[7 + i] = arguments[i];
    }
    execvp("chromium", (char **)(uintptr_t)all);
    _exit(127);
}

_Noreturn static void run_chromium(const struct browser *browser, int in, int out) {
    int nothing = open("/dev/null", O_WRONLY);
    /* It reads at 3 and writes at 4; ours may be these, the other way round. */
    int high_in = fcntl(in, F_DUPFD, 10), high_out = fcntl(out, F_DUPFD, 10);
    dup2(nothing, STDOUT_FILENO);
    dup2(nothing, STDERR_FILENO);
    dup2(high_in, 3);
    dup2(high_out, 4);
    close(high_in);
    close(high_out);
    browser_exec(browser->folder,
                 (const char *const[]){"--remote-debugging-pipe", "about:blank", NULL});
}

void browser_open(struct browser *browser, const char *url, int width, int height) {
    *browser = (struct browser){.folder = "/tmp/sherd-browser-XXXXXX"};
    assert_non_null(mkdtemp(browser->folder));
    int to[2], from[2];
    assert_int_equal(pipe2(to, O_CLOEXEC), 0);
    assert_int_equal(pipe2(from, O_CLOEXEC), 0);
    browser->pid = fork();
    assert_true(browser->pid >= 0);
    if (browser->pid == 0) run_chromium(browser, to[0], from[1]);
    close(to[0]);
    close(from[1]);
    browser->to = to[1];
    browser->from = from[0];
    char target[64], session[64], size[256];
    pick(ask(browser, "Target.createTarget", "\"url\":\"about:blank\""), "targetId", target,
         sizeof target);
    pick(ask(browser, "Target.attachToTarget", "\"targetId\":\"%s\",\"flatten\":true", target),
         "sessionId", session, sizeof session);
    strcpy(browser->session, session);
    snprintf(size, sizeof size,
             "\"width\":%d,\"height\":%d,\"deviceScaleFactor\":1,\"mobile\":false", width, height);
    tell(browser, "Emulation.setDeviceMetricsOverride", size);
    tell(browser, "Emulation.setFocusEmulationEnabled", "\"enabled\":true");
    /* Answered when the page has taken the empty one's place, so that what is asked next is asked of it. */
    free(ask(browser, "Page.navigate", "\"url\":\"%s\"", url));
}

void browser_close(struct browser *browser) {
    browser->session[0] = '\0';
    tell(browser, "Browser.close", "");
    close(browser->to);
    close(browser->from);
    int status;
    assert_int_equal(waitpid(browser->pid, &status, 0), browser->pid);
    folder_remove(browser->folder);
    free(browser->said);
}

/* ---- The page -------------------------------------------------------------------------------- */

void browser_press(struct browser *browser, const char *key) {
    static const struct {
        const char *key, *code, *text;
        int number;
    } keys[] = {
        {"Tab", "Tab", "", 9},
        {"Enter", "Enter", "\\r", 13},
        {"Space", "Space", " ", 32},
        {"Escape", "Escape", "", 27},
        {"End", "End", "", 35},
        {"Home", "Home", "", 36},
        {"ArrowLeft", "ArrowLeft", "", 37},
        {"ArrowUp", "ArrowUp", "", 38},
        {"ArrowRight", "ArrowRight", "", 39},
        {"ArrowDown", "ArrowDown", "", 40},
    };
    bool has_shift = strncmp(key, "Shift+", 6) == 0;
    if (has_shift) key += 6;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (strcmp(key, keys[i].key) != 0) continue;
        bool is_space = strcmp(key, "Space") == 0;
        for (int up = 0; up <= 1; up++) {
            free(ask(browser, "Input.dispatchKeyEvent",
                     "\"type\":\"%s\",\"key\":\"%s\",\"code\":\"%s\",\"text\":\"%s\","
                     "\"windowsVirtualKeyCode\":%d,\"modifiers\":%d",
                     up ? "keyUp" : "keyDown", is_space ? " " : key, keys[i].code,
                     up ? "" : keys[i].text, keys[i].number, has_shift ? 8 : 0));
        }
        return;
    }
    fail_msg("no key %s", key);
}

static bool is_true(struct browser *browser, const char *expression) {
    char *answer =
        ask(browser, "Runtime.evaluate",
            "\"expression\":\"%s\",\"awaitPromise\":true,\"returnByValue\":true", expression);
    if (strstr(answer, "exceptionDetails") != NULL) fail_msg("%s: %s", expression, answer);
    bool found = strstr(answer, "\"value\":true") != NULL;
    free(answer);
    return found;
}

bool browser_finds(struct browser *browser, const char *condition) {
    char expression[MESSAGE_MAX / 2];
    snprintf(expression, sizeof expression, "!!(%s)", condition);
    return is_true(browser, expression);
}

/* The page looks by itself, so that there is one message. */
void browser_await(struct browser *browser, const char *condition) {
    char expression[MESSAGE_MAX / 2];
    snprintf(expression, sizeof expression,
             "new Promise(done => { const end = Date.now() + %d; const look = () => (%s) ? "
             "done(true) : Date.now() > end ? done(false) : setTimeout(look, 20); look(); })",
             WAIT_MS * 3 / 4, condition);
    if (!is_true(browser, expression)) fail_msg("this has not become true: %s", condition);
}
