/* How the rows of a training set fall into parts, by numbers alone: the plan of memory and the run
 * itself must agree. */
#ifndef BP_SCHEMA_JOB_JOB_ROWS_H
#define BP_SCHEMA_JOB_JOB_ROWS_H

#include <stdint.h>

/* Rows that are read from column files at a time while they are prepared. */
enum { BP_STAGING_ROWS = 4096 };

/* Ids of a text that take more than this are read from a file while they are used. */
#define BP_CORPUS_MEMORY_BYTES (UINT64_C(256) << 20)

/* Rows that a share of row_count takes: rounded to nearest (halves up), at least 1 for a positive
 * fraction. fraction 0: none. */
static inline uint64_t bp_job_part_rows(double fraction, uint64_t row_count)
{
    if (!(fraction > 0))
        return 0;
    uint64_t rows = (uint64_t)(fraction * (double)row_count + 0.5);
    return rows > 0 ? rows : 1;
}

#endif
