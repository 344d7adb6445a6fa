/* Chromium with a page, driven by keys. Main thread: what can't be had fails the running test.
 *
 * It is told what to do over two pipes (--remote-debugging-pipe), by messages of the DevTools protocol. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct browser {
    pid_t pid;
    int to, from; /* its pipes */
    int last_id;  /* of the messages sent */
    char folder[64];
    char session[64]; /* of the page; empty until there is one */
    char *said;       /* what has come from it and wasn't looked at; owned */
    size_t size, room;
};

/* Whether there is one to start. */
bool browser_is_installed(void);
/* In a child: become one that has its profile in the folder, with further arguments, at most 6 and NULL. */
_Noreturn void browser_exec(const char *folder, const char *const *arguments);

/* With a window of so many pixels, at the URL. */
void browser_open(struct browser *browser, const char *url, int width, int height);
void browser_close(struct browser *browser);

/* "Tab", "Shift+Tab", "Space", "Enter", "Escape", "ArrowRight", ... as a keyboard would send it. */
void browser_press(struct browser *browser, const char *key);
/* Wait until the JavaScript is true, for a minute at most. */
void browser_await(struct browser *browser, const char *condition);
/* Is it true now? */
bool browser_finds(struct browser *browser, const char *condition);
