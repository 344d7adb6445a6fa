/* In systemd's place: who hears what a unit of Type=notify tells. Main thread; what fails, fails the running test. */
#pragma once

#include <stdbool.h>

enum { SYSTEMD_STATE_MAX = 128, SYSTEMD_WAIT_MS = 20000 };

/* A socket that NOTIFY_SOCKET of this process, and of those it starts, then names; unset the one, close the other. */
int systemd_listen(void);
/* Read the next state that is told. `systemd_try_read`: false when there is none yet. */
void systemd_read(int fd, char *told);
bool systemd_try_read(int fd, char *told);
/* Read until one begins with `expected`; those that begin with `passing` may come before. */
void systemd_expect(int fd, const char *expected, const char *passing);
