/* Data preparation: raw columns become one row of numbers for a network. All statistics come from
 * the training rows only, are kept as plain numbers, and are applied in the same way at prediction.
 *
 * A raw row is float64: a numeric column takes its width in elements (a tensor column is
 * flattened), with NaN for a missing value; a categorical column takes one element, the index of
 * its category, NaN for missing. A prepared row has the numeric elements filled, offset and scaled,
 * (v − offset) / scale, and each categorical column as one-hot elements, all zero where missing.
 *
 * Whitening takes the d numeric elements x so prepared to W x: component c, the projection on the c-th
 * right singular vector of the training rows divided by max(s_c / √N, ε), stands where numeric element c
 * stood. One-hot elements stay as they are: they are not independent of each other, so some directions
 * among them have no variance at all. Directions of the numeric elements without variance are divided
 * by ε: a row that leaves the training rows' subspace is made 1/ε as large there. */
#ifndef BP_CORE_PREPARATION_PREPARATION_H
#define BP_CORE_PREPARATION_PREPARATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/arena.h"
#include "core/base/dtype.h"
#include "core/base/error.h"
#include "core/base/family.h"
#include "core/kernel/kernels.h"

/* Families: how numeric features are scaled, and what stands in for a missing value. */
enum bp_scaling_index {
#define BP_SCALING(name) BP_SCALING_##name,
#include "core/preparation/scaling.def"
#undef BP_SCALING
    BP_SCALING_COUNT
};
enum bp_missing_index {
#define BP_MISSING(name) BP_MISSING_##name,
#include "core/preparation/missing.def"
#undef BP_MISSING
    BP_MISSING_COUNT
};
extern const bp_family bp_scaling_family; /* none, standard, minmax */
extern const bp_family bp_missing_family; /* mean, median, zero, drop_row, error */

/* How the targets of a regression are scaled for training. "standard" is a preparation of the targets
 * as one numeric column, centred and with standard scaling, fitted on the training rows: losses are
 * then those of scaled targets, predictions and regression metrics are in the original units. */
enum bp_target_scaling_index {
#define BP_TARGET_SCALING(name) BP_TARGET_SCALING_##name,
#include "core/preparation/target_scaling.def"
#undef BP_TARGET_SCALING
    BP_TARGET_SCALING_COUNT
};
extern const bp_family bp_target_scaling_family; /* none, standard */

typedef struct bp_feature_column {
    bool categorical;
    size_t width;          /* numeric: elements of a raw row; categorical: 1 */
    size_t category_count; /* categorical: elements of a prepared row */
} bp_feature_column;

typedef struct bp_preparation_spec {
    bool center;
    bp_choice scaling, missing;
    bool whiten;           /* needs center */
    double whiten_epsilon; /* ε > 0, in units of the scaled features */
    size_t column_count;
    const bp_feature_column *columns;
} bp_preparation_spec;

/* Rows to take statistics from, read in blocks: fills out (count, raw width) with the rows
 * [first, first + count) of the training part, in order. May fail; the error is passed on. Long work
 * between reads asks with count 0 whether to go on. */
typedef struct bp_row_source {
    void *context;
    size_t row_count;
    bp_status (*read)(void *context, double *out, size_t first, size_t count, bp_error *error);
} bp_row_source;

/* A fitted preparation. Owns its arrays. One entry per numeric element of the raw row, in order. */
typedef struct bp_preparation {
    size_t column_count;
    bp_feature_column *columns;
    size_t raw_width, prepared_width, numeric_width;
    double *fill, *offset, *scale; /* (numeric_width) */
    double *whitening;             /* W (numeric_width, numeric_width) row-major, or NULL */
    const bp_kernels *kernels;     /* of BP_FLOAT64, for W x */
    bp_arena arena;                /* where the arrays lie */
} bp_preparation;

/* A preparation of these columns (copied) that leaves numbers as they are: fill 0, offset 0, scale 1,
 * for a caller that puts in what an earlier fit found; W, where it is wanted, is zero.
 * BP_SHAPE, BP_TOO_LARGE, BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_preparation_create(bp_preparation *out,
                                                const bp_feature_column *columns,
                                                size_t column_count, bool whiten, bp_error *error);

/* Bytes that fitting allocates for row_count training rows: those that the preparation keeps, and those
 * that go when it is done. Allocates nothing. BP_SHAPE, BP_TOO_LARGE. */
BP_CHECK_RESULT bp_status bp_preparation_measure(size_t *out_kept, size_t *out_working,
                                                 const bp_preparation_spec *spec, size_t row_count,
                                                 bp_error *error);

/* Widths of raw and prepared rows. BP_TOO_LARGE on overflow, BP_SHAPE when there are no features.
 */
BP_CHECK_RESULT bp_status bp_preparation_widths(size_t *out_raw, size_t *out_prepared,
                                                const bp_preparation_spec *spec, bp_error *error);

/* Takes the statistics in passes over the source: means in row order, then population deviations
 * about them (two passes, float64), minimum and maximum, medians where asked for. A scale of 0
 * (a constant feature) becomes 1. Missing values count in no statistic; a feature without any value
 * gets 0, 0, 1. The same rows give the same bits.
 * Whitening takes one more pass and a singular value decomposition (core/linear_algebra); the offset is
 * then the mean of the filled values, so that the whitened training rows have mean 0 and, in directions
 * with s/√N > ε, covariance 1. Time grows as rows · d² + some 10 d³.
 * BP_INVALID (whitening without centring, ε), BP_NOT_FINITE, BP_NO_MEMORY and the source's errors. */
BP_CHECK_RESULT bp_status bp_preparation_fit(bp_preparation *out, const bp_preparation_spec *spec,
                                             const bp_row_source *source, bp_error *error);

/* Prepares rows: raw (count, raw_width) to out (count, prepared_width) of dtype, rounded once at
 * the end. A category index that is out of range counts as missing. A row's bits depend on that row
 * alone. Allocates nothing. Any thread. */
void bp_preparation_apply(const bp_preparation *preparation, void *out, bp_dtype dtype,
                          const double *raw, size_t count);

/* The way back for numeric elements without whitening: value (numeric_width) ← value · scale + offset. */
void bp_preparation_restore(const bp_preparation *preparation, double *value);

void bp_preparation_done(bp_preparation *preparation); /* releases contents; accepts zeroed */

#endif
