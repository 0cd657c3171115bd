/* The two clocks of the daemon: wall time for people, monotonic time for intervals. */
#ifndef BP_SERVER_BASE_CLOCK_H
#define BP_SERVER_BASE_CLOCK_H

#include <stdint.h>

enum { BP_TIME_TEXT_SIZE = 32 };

/* Microseconds since 1970-01-01T00:00:00Z, as the database keeps times. */
int64_t bp_clock_now_us(void);

/* "2026-03-01T12:34:56.789Z": RFC 3339, UTC, cut to milliseconds. Any thread; needs no locale and no time zone. */
void bp_clock_format(char out[BP_TIME_TEXT_SIZE], int64_t unix_us);
void bp_clock_now_text(char out[BP_TIME_TEXT_SIZE]);

/* Nanoseconds from an arbitrary start; never goes back. */
uint64_t bp_clock_monotonic_ns(void);

#endif
