/* What the catalogue says of a column of numbers, taken while its elements go by. */
#ifndef BP_SERVER_UPLOAD_COLUMN_STATISTICS_H
#define BP_SERVER_UPLOAD_COLUMN_STATISTICS_H

#include <stdbool.h>

#include "server/dataset/parser_sink.h"

typedef struct bp_column_statistics bp_column_statistics;

/* element: any but BP_ELEMENT_CATEGORY. count_distinct: for scalars. BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_column_statistics_create(bp_column_statistics **out,
                                                      bp_element element, bool count_distinct,
                                                      bp_error *error);
/* At most 2^31 elements at a time, aligned as their type is, NaN where missing, none infinite. How
 * elements are split over calls does not change a bit of the result. */
void bp_column_statistics_add(bp_column_statistics *statistics, const void *elements, size_t count);
/* Fills missing_count, integral, distinct_count, distinct_is_lower_bound, minimum, maximum, mean,
 * values and value_count (values is allocated; the caller's). BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_column_statistics_finish(bp_column_statistics *statistics,
                                                      bp_column_info *out, bp_error *error);
void bp_column_statistics_free(bp_column_statistics *statistics); /* accepts NULL */

#endif
