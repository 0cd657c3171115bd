/* Metric points in the database: one row each, values as the bits of float64. */
#ifndef BP_SERVER_STORE_METRIC_STORE_H
#define BP_SERVER_STORE_METRIC_STORE_H

#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

/* In the order of the values of a stored point. */
#define BP_METRIC_LIST(X)                                                                          \
    X(LOSS, "loss")                                                                                \
    X(ACCURACY, "accuracy")                                                                        \
    X(LEARNING_RATE, "learning_rate")                                                              \
    X(GRADIENT_NORM, "gradient_norm")                                                              \
    X(VALIDATION_LOSS, "validation.loss")                                                          \
    X(VALIDATION_ACCURACY, "validation.accuracy")

typedef enum bp_metric {
#define BP_METRIC_ENUM(name, text) BP_METRIC_##name,
    BP_METRIC_LIST(BP_METRIC_ENUM)
#undef BP_METRIC_ENUM
} bp_metric;

#define BP_METRIC_ONE(name, text) +1
enum { BP_METRIC_COUNT = 0 BP_METRIC_LIST(BP_METRIC_ONE) };
#undef BP_METRIC_ONE

extern const char *const bp_metric_names[BP_METRIC_COUNT];

typedef struct bp_metric_point {
    uint64_t seq, step, epoch;
    int64_t time_us;
    uint32_t present; /* bit i: values[i] is there */
    double values[BP_METRIC_COUNT];
} bp_metric_point;

/* On the store thread. Also states the job's metric names. */
BP_CHECK_RESULT bp_status bp_metric_store_append(sqlite3 *database, int64_t job,
                                                 const bp_metric_point *points, size_t count,
                                                 bp_error *error);

/* Up to `limit` points with seq > after, in order, into points; *out_count of them. A reader's. */
BP_CHECK_RESULT bp_status bp_metric_store_read(size_t *out_count, bp_metric_point *points,
                                               sqlite3 *database, int64_t job, uint64_t after,
                                               size_t limit, bp_error *error);

/* The largest seq of a job; 0: no points. */
BP_CHECK_RESULT bp_status bp_metric_store_last(uint64_t *out, sqlite3 *database, int64_t job,
                                               bp_error *error);

#endif
