#include "server/base/clock.h"

#include <stdio.h>
#include <time.h>

int64_t bp_clock_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void bp_clock_format(char out[BP_TIME_TEXT_SIZE], int64_t unix_us)
{
    int64_t microseconds = unix_us % 1000000;
    time_t seconds = (time_t)(unix_us / 1000000);
    if (microseconds < 0) {
        microseconds += 1000000;
        seconds--;
    }
    struct tm utc = {0};
    gmtime_r(&seconds, &utc);
    char date[24];
    if (strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc) == 0)
        date[0] = '\0';
    snprintf(out, BP_TIME_TEXT_SIZE, "%s.%03dZ", date, (int)(microseconds / 1000));
}

void bp_clock_now_text(char out[BP_TIME_TEXT_SIZE])
{
    bp_clock_format(out, bp_clock_now_us());
}

uint64_t bp_clock_monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
