/* Clients whose time is over: idle ones (`timeout`), handshakes that don't come to an end, and the dismissed that don't
 * hang up. */
#pragma once

struct worker;

/* The worker's own thread, at each tick: close them. O(clients), and O(1) where none can be late. */
void timeouts_close(struct worker *worker);
