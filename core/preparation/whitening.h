/* The decomposition and the product of whitening. Private to core/preparation. */
#ifndef BP_CORE_PREPARATION_WHITENING_H
#define BP_CORE_PREPARATION_WHITENING_H

#include "core/preparation/preparation.h"

/* Working space of a fit. */
typedef struct bp_whitening_work {
    size_t raw_width, block_rows;
    double *raw;     /* (block_rows, raw_width) */
    double *block;   /* (block_rows, numeric_width) */
    double *value;   /* (numeric_width): singular values */
    double *scratch; /* of bp_qr_fold */
} bp_whitening_work;

/* Takes the working space from an arena, measuring or real. False: too large. */
BP_CHECK_RESULT bool bp_whitening_plan(bp_whitening_work *out, bp_arena *arena, size_t raw_width,
                                       size_t numeric_width);

/* Fills preparation->whitening; fill, offset and scale are fitted. */
BP_CHECK_RESULT bp_status bp_whitening_fit(bp_preparation *preparation, bp_whitening_work *work,
                                           double epsilon, const bp_row_source *source,
                                           bp_error *error);

/* Writes W x of raw rows to the numeric elements of prepared rows of dtype; one-hot elements are left. */
void bp_whitening_apply(const bp_preparation *preparation, void *out, bp_dtype dtype,
                        const double *raw, size_t count);

#endif
