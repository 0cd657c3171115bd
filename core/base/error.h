/* Errors of core and schema: a status, where, and a sentence. The caller owns the struct and may
 * pass NULL when only the status matters. The first error wins: bp_error_set on a struct that
 * already holds one changes nothing, so callers can go on and report the cause, not its echoes.
 *
 * Functions that can fail return bp_status, take their results as leading `out` arguments (never
 * written on failure) and take `bp_error *error` last. */
#ifndef BP_CORE_BASE_ERROR_H
#define BP_CORE_BASE_ERROR_H

/* name, text shown to people. One table maps these to HTTP in server/http. */
#define BP_STATUS_LIST(X)                                                                          \
    X(OK, "ok")                                                                                    \
    X(INVALID, "invalid value")                                                                    \
    X(UNKNOWN_NAME, "unknown name")                                                                \
    X(SHAPE, "shapes do not match")                                                                \
    X(TOO_LARGE, "larger than the limit")                                                          \
    X(NO_MEMORY, "out of memory")                                                                  \
    X(CORRUPT, "corrupt data")                                                                     \
    X(NOT_FINITE, "a value is not finite")                                                         \
    X(NOT_FOUND, "not found")                                                                      \
    X(CONFLICT, "conflict with the present state")                                                 \
    X(STALE, "changed since it was read")                                                          \
    X(UNSUPPORTED, "not supported")                                                                \
    X(INPUT_OUTPUT, "input or output failed")                                                      \
    X(STORAGE_FULL, "no space left")                                                               \
    X(CANCELLED, "cancelled")                                                                      \
    X(INTERNAL, "internal error")

typedef enum bp_status {
#define BP_STATUS_ENUM(name, text) BP_##name,
    BP_STATUS_LIST(BP_STATUS_ENUM)
#undef BP_STATUS_ENUM
} bp_status;

enum { BP_ERROR_WHERE_SIZE = 256, BP_ERROR_MESSAGE_SIZE = 512 };

typedef struct bp_error {
    bp_status status;                    /* BP_OK: nothing has happened */
    char where[BP_ERROR_WHERE_SIZE];     /* JSON Pointer, tensor, column or file:line; may be "" */
    char message[BP_ERROR_MESSAGE_SIZE]; /* a sentence for a person, without a final full stop */
} bp_error;

#define BP_CHECK_RESULT __attribute__((warn_unused_result))

/* Short text of a status; never NULL. */
const char *bp_status_text(bp_status status);

/* Records an error unless one is there already; long texts are cut. Supports %s, %d and %u (also
 * with z and ll), %g (17 significant digits at most) and %%. `where` may be NULL. Returns status, so that
 * `return bp_error_set(error, BP_SHAPE, "/rows", "...")` reads well. Allocates nothing. */
bp_status bp_error_set(bp_error *error, bp_status status, const char *where, const char *format,
                       ...) __attribute__((format(printf, 4, 5)));

#if defined(__clang_analyzer__) || defined(BP_ANALYZER)
/* Static analysers read one source at a time and have to be shown that the result is the status. */
#define bp_error_set(error, status, ...)                                                           \
    __extension__({                                                                                \
        const bp_status shown_ = (status);                                                         \
        (void)(bp_error_set)(error, shown_, __VA_ARGS__);                                          \
        shown_;                                                                                    \
    })
#endif

#endif
