/* The daemon's options: one table (options.c) gives flag, environment variable, default, range and
 * help of each. A flag wins over its environment variable. */
#ifndef BP_SERVER_BASE_OPTIONS_H
#define BP_SERVER_BASE_OPTIONS_H

#include <stdint.h>
#include <stdio.h>

#include "core/base/error.h"

#define BP_VERSION "0.1.0"

enum { BP_ADDRESS_SIZE = 64 };

typedef struct bp_options {
    const char *data;              /* directory */
    const char *listen;            /* as written */
    char address[BP_ADDRESS_SIZE]; /* of listen, without brackets */
    uint16_t port;                 /* of listen; 0: a free one */
    uint64_t workers, memory_limit_bytes, job_threads, restart_limit;
    uint64_t max_parameters, max_layers, max_columns;
    uint64_t max_upload_bytes, max_body_bytes, max_predict_bytes, max_predict_rows;
    uint64_t http_threads, connections, deadline_s, model_cache_bytes;
    uint64_t processor; /* 0: found out; else bp_isa + 1 */
    uint64_t log_level; /* bp_log_level */
} bp_options;

typedef enum bp_options_action {
    BP_OPTIONS_RUN,
    BP_OPTIONS_HELP,
    BP_OPTIONS_VERSION
} bp_options_action;

/* Reads arguments and environment. Texts are borrowed from argv and from what `environment` (getenv,
 * or a test's) returns. BP_INVALID and BP_UNKNOWN_NAME with the option in `where` and the allowed
 * values in the message. HELP and VERSION win over faults further to the right. */
BP_CHECK_RESULT bp_status bp_options_read(bp_options *out, bp_options_action *out_action, int argc,
                                          char *const *argv, char *(*environment)(const char *name),
                                          bp_error *error);

void bp_options_print_help(FILE *stream);

#endif
