/* Elements of a column file as float64, in tight loops over rows. */
#ifndef BP_SERVER_DATASET_COLUMN_CONVERT_H
#define BP_SERVER_DATASET_COLUMN_CONVERT_H

#include <stddef.h>
#include <stdint.h>

#include "schema/dataset/dataset_info.h"

/* Copies `count` rows of `width` elements: row rows[i] − first of elements (in the file's type, aligned
 * as it is) goes to out + i · stride. rows NULL: rows first + i. table, where not NULL, is what each
 * category stands for (categories only; a missing one, or one beyond table_count, is NaN). */
void bp_column_convert(double *out, size_t stride, const void *elements, bp_element element,
                       const uint64_t *rows, uint64_t first, size_t count, size_t width,
                       const double *table, size_t table_count);

#endif
