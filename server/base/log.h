/* Structured logs: one line on standard error for each event,
 *   2026-03-01T12:34:56.789Z info  job finished id=3 state=succeeded
 * The first text says what happened and never varies; what varies follows as key=value. Values that
 * may hold blanks are quoted by the caller ("path=\"%s\""). Control characters are replaced, so that
 * nothing from outside can forge a line. A line is one write and never longer than 1 KiB. */
#ifndef BP_SERVER_BASE_LOG_H
#define BP_SERVER_BASE_LOG_H

#include "core/base/error.h"

#define BP_LOG_LEVEL_LIST(X)                                                                       \
    X(DEBUG, "debug")                                                                              \
    X(INFO, "info")                                                                                \
    X(WARNING, "warning")                                                                          \
    X(ERROR, "error")

typedef enum bp_log_level {
#define BP_LOG_LEVEL_ENUM(name, text) BP_LOG_##name,
    BP_LOG_LEVEL_LIST(BP_LOG_LEVEL_ENUM)
#undef BP_LOG_LEVEL_ENUM
} bp_log_level;

/* The least level that is shown; BP_LOG_INFO at first. Any thread. */
void bp_log_set_level(bp_log_level least);

/* format: the key=value part, or NULL. Any thread. */
void bp_log(bp_log_level level, const char *message, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* message with status=, where= and error= of an error. */
void bp_log_error(bp_log_level level, const char *message, const bp_error *error);

#endif
