/* Rows with their targets, from JSON to raw numbers: what backpropagation is shown for. */
#ifndef BP_SCHEMA_MODEL_EXAMPLE_ROWS_H
#define BP_SCHEMA_MODEL_EXAMPLE_ROWS_H

#include "schema/model/model_info.h"

typedef struct bp_example_rows {
    size_t count;
    double *raw;    /* (count, raw width) for bp_preparation_apply */
    int32_t *label; /* (count) classification; NULL otherwise */
    double *value; /* (count, target width) regression, in the targets' own units; NULL otherwise */
} bp_example_rows;

/* Reads "rows", each an object of columns, targets included, or an array of the flattened features
 * followed by the targets. Faults as bp_predict_rows_parse, and for targets: missing, of another kind,
 * an unknown class. On BP_OK the caller owns the contents. */
BP_CHECK_RESULT bp_status bp_example_rows_parse(bp_example_rows *out, bp_faults *faults,
                                                const bp_model_info *info, const json_t *rows,
                                                size_t limit);
void bp_example_rows_done(bp_example_rows *rows); /* releases contents; accepts zeroed */

#endif
