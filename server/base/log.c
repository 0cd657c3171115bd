#include "server/base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "server/base/clock.h"

enum { LINE_SIZE = 1024 };

static const char *const level_texts[] = {
#define LEVEL_TEXT(name, text) text,
    BP_LOG_LEVEL_LIST(LEVEL_TEXT)
#undef LEVEL_TEXT
};

static atomic_int least_level = BP_LOG_INFO;

void bp_log_set_level(bp_log_level least)
{
    atomic_store_explicit(&least_level, (int)least, memory_order_relaxed);
}

void bp_log(bp_log_level level, const char *message, const char *format, ...)
{
    if ((int)level < atomic_load_explicit(&least_level, memory_order_relaxed))
        return;
    char line[LINE_SIZE], now[BP_TIME_TEXT_SIZE];
    bp_clock_now_text(now);
    /* The last byte stays free for the line feed. */
    const size_t room = sizeof line - 1;
    int length =
        snprintf(line, room, "%s %-7s %s%s", now, level_texts[level], message, format ? " " : "");
    size_t used = length < 0 ? 0 : (size_t)length < room ? (size_t)length : room - 1;
    if (format) {
        va_list arguments;
        va_start(arguments, format);
        length = vsnprintf(line + used, room - used, format, arguments);
        va_end(arguments);
        if (length > 0)
            used = (size_t)length < room - used ? used + (size_t)length : room - 1;
    }
    for (size_t i = 0; i < used; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 127)
            line[i] = '?';
    line[used++] = '\n';
    /* A log that cannot be written is nobody's business. */
    if (write(STDERR_FILENO, line, used) < 0)
        return;
}

void bp_log_error(bp_log_level level, const char *message, const bp_error *error)
{
    bp_log(level, message, "status=\"%s\" where=\"%s\" error=\"%s\"", bp_status_text(error->status),
           error->where, error->message);
}
