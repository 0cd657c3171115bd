/* Data sets: from an upload to column files, and from column files to the matrices of a job.
 *
 * An upload is fed by an HTTP thread in buffers, parsed and hashed on the ingest thread, written to
 * temporary column files, synced, renamed to their SHA-256 and only then entered in the catalogue. */
#ifndef BP_SERVER_DATASET_DATASETS_H
#define BP_SERVER_DATASET_DATASETS_H

#include <stdbool.h>
#include <stdint.h>

#include "schema/job/job_spec.h"
#include "server/store/store.h"

typedef struct bp_datasets bp_datasets;

typedef struct bp_dataset_limits {
    uint64_t decoded_bytes; /* of one upload, after gzip */
    uint64_t columns;
} bp_dataset_limits;

BP_CHECK_RESULT bp_status bp_datasets_open(bp_datasets **out, bp_store *store,
                                           const bp_dataset_limits *limits, bp_error *error);
void bp_datasets_close(bp_datasets *datasets); /* stops the ingest thread */

/* ---- uploads ---- */

typedef enum bp_dataset_format {
    BP_FORMAT_AUTO,
    BP_FORMAT_CSV,
    BP_FORMAT_IDX,
    BP_FORMAT_NPY,
    BP_FORMAT_TEXT,
    BP_FORMAT_CONLL,
    BP_FORMAT_VECTORS
} bp_dataset_format;

typedef struct bp_upload bp_upload;

typedef struct bp_upload_result {
    bp_status status; /* BP_OK; BP_INVALID, BP_TOO_LARGE, BP_CORRUPT … with error */
    bp_error error;   /* where: "line 17, column 3" or "byte 1234" */
    bool created;     /* false: the same content is there already (200 instead of 201) */
    json_t *document; /* the data set's public document; the receiver's */
} bp_upload_result;

/* Begins an upload. column NULL: the whole data set; else one tensor or scalar column of it (IDX, NPY),
 * the other columns staying as they are. `room` is called on the ingest thread whenever a full queue
 * has room again, `done` once, after the catalogue is on the disk or the upload has failed. */
BP_CHECK_RESULT bp_status bp_upload_begin(bp_upload **out, bp_datasets *datasets, const char *name,
                                          const char *column, bp_dataset_format format,
                                          void (*room)(void *context),
                                          void (*done)(void *context, bp_upload_result *result),
                                          void *context, bp_error *error);
/* Copies bytes into the queue. False: the queue is full, nothing was taken; wait for room. After a
 * failure bytes are swallowed (true) until end. Never blocks. */
BP_CHECK_RESULT bool bp_upload_feed(bp_upload *upload, const void *bytes, size_t count);
/* Is it known to fail? Then the rest of it need not be fed; after its end `done` tells why. */
BP_CHECK_RESULT bool bp_upload_has_failed(bp_upload *upload);
/* No more bytes; `done` follows. */
void bp_upload_end(bp_upload *upload);
/* The client has gone: `done` follows with BP_CANCELLED, nothing is kept. */
void bp_upload_abort(bp_upload *upload);

/* ---- catalogue; on any thread with a reader ---- */

/* Newest version (sha256 NULL) or the one with this content. BP_NOT_FOUND. Caller frees. */
BP_CHECK_RESULT bp_status bp_datasets_find(bp_dataset_info **out, bp_datasets *datasets,
                                           const char *name, const char *sha256, bp_error *error);
/* {"items": […], "next": cursor or null}, newest versions, by name; after: a name or NULL. */
BP_CHECK_RESULT bp_status bp_datasets_list_json(json_t **out, bp_datasets *datasets,
                                                const char *after, size_t limit, bp_error *error);
/* One document with its "versions". */
BP_CHECK_RESULT bp_status bp_datasets_document_json(json_t **out, bp_datasets *datasets,
                                                    const char *name, bp_error *error);
/* {"columns": [names], "rows": [[…]]}: the first `limit` rows from `offset`; of a text its lines, of a tagged
 * corpus its sentences, tokens and tags each a list. */
BP_CHECK_RESULT bp_status bp_datasets_rows_json(json_t **out, bp_datasets *datasets,
                                                const char *name, uint64_t offset, size_t limit,
                                                bp_error *error);
/* Removes the name with all its versions; column files that nothing else uses go after the commit.
 * done on the store thread: BP_NOT_FOUND, BP_CONFLICT while an unfinished job needs it. */
void bp_datasets_delete(bp_datasets *datasets, const char *name,
                        void (*done)(void *context, bp_status status, const bp_error *error),
                        void *context);

/* ---- a job's data; on its trainer thread ---- */

typedef struct bp_job_data {
    bp_preparation preparation;        /* of tables */
    bp_preparation target_preparation; /* of scaled targets as one column; column_count 0: none */
    bp_examples training, validation, test; /* row_count 0: no such part */
    struct bp_job_corpora *corpora;         /* of corpora, which have no preparations; else NULL */
    void *owned;                            /* what bp_job_data_done frees, of tables */
} bp_job_data;

/* Reads and verifies the column files, splits, drops rows as the policy says, fits the preparation on
 * the training rows and prepares every part; of corpora, lays out ids and windows. cancelled is polled between blocks (may be NULL).
 * BP_NOT_FOUND, BP_CORRUPT (a file is not what its name says), BP_INVALID (data that does not fit the job),
 * BP_NO_MEMORY, BP_CANCELLED. */
BP_CHECK_RESULT bp_status bp_job_data_load(bp_job_data *out, bp_datasets *datasets,
                                           const bp_job_spec *spec,
                                           bool (*cancelled)(void *context), void *context,
                                           bp_error *error);
/* Class of each row or token of the training part; NULL: there are none. */
const int32_t *bp_job_data_labels(const bp_job_data *data);
void bp_job_data_done(bp_job_data *data); /* accepts zeroed */

#endif
