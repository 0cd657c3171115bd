/* Columns by name without a walk over all of them: lists from outside may name very many. */
#ifndef BP_SCHEMA_DATASET_COLUMN_NAMES_H
#define BP_SCHEMA_DATASET_COLUMN_NAMES_H

#include "schema/dataset/dataset_info.h"

typedef struct bp_column_names {
    const bp_dataset_info *info; /* borrowed */
    size_t *order;               /* (column_count) indices, sorted by name */
} bp_column_names;

/* BP_NO_MEMORY. Release with bp_column_names_done. */
BP_CHECK_RESULT bp_status bp_column_names_create(bp_column_names *out, const bp_dataset_info *info);
void bp_column_names_done(bp_column_names *names); /* accepts zeroed */

/* Index of a column, or SIZE_MAX. */
size_t bp_column_names_find(const bp_column_names *names, const char *name);

#endif
