/* What tests of leases say over the wire. Main thread only. */
#pragma once

#include <stdint.h>

#include "tests/support/wire.h"

/* The token in a reply of GETLEASE as the wire shows it ([$-1, :123, "miss"]); 0 when there is none. */
long long lease_token(const char *reply);
/* The next reply is a miss with a token. */
long long lease_read_token(struct wire *wire);
/* Send a command, to which that is the reply. */
long long lease_ask_token(struct wire *wire, const char *line);
/* Ask by `line`, a GETLEASE of a missing key, until the lease that is held has run out and is given to this one. */
long long lease_take_over(struct wire *wire, const char *line);
/* Send `line`, in which a dollar stands for the token, and expect this reply. */
void lease_expect(struct wire *wire, const char *line, long long token, const char *expected);
/* Wait until so many clients wait. */
void lease_await_waiting(struct wire *wire, long long count);
/* Milliseconds, of a clock that only goes forward. */
int64_t lease_now_ms(void);
