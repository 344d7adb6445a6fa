/* The only reader of clocks. Everything below `server/` is handed the time as an argument. Threads: any. */
#pragma once

#include <stdint.h>

int64_t clock_unix_ms(void);
int64_t clock_unix_us(void);
/* Never goes back; its zero means nothing. */
int64_t clock_monotonic_ns(void);

/* A counter to time single commands with: about 10 ns a call with the processor's own counter, 25 ns without. */
uint64_t clock_ticks(void);
/* How fast `clock_ticks` counts. The first call measures it, which takes CLOCK_CALIBRATION_US: make it at start. */
double clock_ticks_per_us(void);
enum { CLOCK_CALIBRATION_US = 2000 };

/* "24 Nov 2026 11:22:33.123" in the local time zone. */
enum { CLOCK_TEXT_MAX = 32 };
void clock_local_text(int64_t unix_ms, char out[CLOCK_TEXT_MAX]);
/* "2026-11-24T10:22:33.123Z" */
void clock_utc_text(int64_t unix_ms, char out[CLOCK_TEXT_MAX]);
