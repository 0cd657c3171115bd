/* Data sets that exist as documents only. */
#ifndef BP_TESTS_SCHEMA_SUPPORT_DATASETS_H
#define BP_TESTS_SCHEMA_SUPPORT_DATASETS_H

#include "schema/job/job_spec.h"

/* iris: 150 rows, four numeric columns, species (three texts).
 * birds: 10 rows; numeric, categorical and boolean columns with missing values; kind without.
 * images: 1000 rows, a tensor column pixels [4, 4], digit 0 … 9, score (many values), pair [2].
 * images-test: the same columns, 100 rows. images-odd: digit up to 10, and pixels of another shape.
 * plays: a text of 4990 characters and 900 words. tweets, odd-tweets: two tagged sentences, 8 tokens.
 * words: vectors of three numbers. uneven: columns of unequal length. empty: no rows. one-class: one class. ids: too many values. */
typedef struct support_datasets {
    bp_dataset_info *items[17];
    size_t count;
    size_t find_count, measure_count;
} support_datasets;

void support_datasets_open(support_datasets *out);
void support_datasets_close(support_datasets *datasets);
bp_dataset_info *support_dataset(support_datasets *datasets, const char *name);
bp_dataset_lookup support_lookup(support_datasets *datasets);

/* JSON text with single quotes for double ones; fails the test when it does not parse. */
json_t *support_json(const char *text);

/* 1 GiB, 10^8 parameters, 64 layers, 4 threads. */
extern const bp_job_limits support_limits;

/* Resolves a body; on faults *out is NULL and *faults holds them. */
typedef struct support_job {
    bp_job_spec *spec;
    json_t *resolved, *warnings;
    bp_job_size size;
    bp_faults faults;
    bp_status status;
} support_job;
void support_resolve(support_job *out, support_datasets *datasets, const json_t *body);
void support_job_done(support_job *job);

#endif
