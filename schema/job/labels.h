/* Sorted lists of labels: classes, and categories of features. */
#ifndef BP_SCHEMA_JOB_LABELS_H
#define BP_SCHEMA_JOB_LABELS_H

#include "schema/job/job_spec.h"
#include "schema/json/stored.h"

/* The labels that the present values of a column make; lists are copied. The column must not be a
 * tensor, nor have more distinct values than were counted. BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_labels_create(bp_labels *out, const bp_column_info *column);
BP_CHECK_RESULT bp_status bp_labels_copy(bp_labels *out, const bp_labels *labels);
void bp_labels_done(bp_labels *labels); /* releases contents; accepts zeroed */

/* Whether both are the same labels, of the same type, in the same order. */
bool bp_labels_equal(const bp_labels *a, const bp_labels *b);

/* Index of a label, or SIZE_MAX. */
size_t bp_labels_find_text(const bp_labels *labels, const char *text);
size_t bp_labels_find_value(const bp_labels *labels, double value);
/* Of a label in its stored type, as JSON: "setosa", 7, true. SIZE_MAX when there is none. */
size_t bp_labels_find_json(const bp_labels *labels, const json_t *label);

/* One label in its stored type, and all of them. NULL: no memory. */
json_t *bp_label_json(const bp_labels *labels, size_t index);
json_t *bp_labels_json(const bp_labels *labels);

/* {"type": "numeric", "labels": [3, 5]} and back. */
json_t *bp_labels_stored_json(const bp_labels *labels);
void bp_labels_parse(bp_stored *stored, bp_labels *out, const json_t *json);

#endif
