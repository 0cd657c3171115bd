/* What happens to the bytes of one upload: gzip, format, parser, column files. On the ingest thread. */
#ifndef BP_SERVER_UPLOAD_UPLOAD_PIPELINE_H
#define BP_SERVER_UPLOAD_UPLOAD_PIPELINE_H

#include "server/dataset/column_draft.h"
#include "server/dataset/datasets.h"

typedef struct bp_upload_pipeline bp_upload_pipeline;

/* directory and column (NULL: the whole data set) are borrowed. */
BP_CHECK_RESULT bp_status bp_upload_pipeline_create(bp_upload_pipeline **out, const char *directory,
                                                    const char *column, bp_dataset_format format,
                                                    const bp_dataset_limits *limits,
                                                    bp_error *error);
/* After an error only bp_upload_pipeline_free may follow, here and below. */
BP_CHECK_RESULT bp_status bp_upload_pipeline_feed(bp_upload_pipeline *pipeline, const void *bytes,
                                                  size_t count, bp_error *error);
/* No more bytes. */
BP_CHECK_RESULT bp_status bp_upload_pipeline_end(bp_upload_pipeline *pipeline, bp_error *error);
/* After the end: makes the next column's file, or a slice of it, so that no upload keeps the thread for
 * all of its columns at once. *out_more: false when all are made. */
BP_CHECK_RESULT bp_status bp_upload_pipeline_convert(bp_upload_pipeline *pipeline, bool *out_more,
                                                     bp_error *error);
/* The columns; they stay the pipeline's, infos may be moved out of them. */
bp_column_draft *bp_upload_pipeline_columns(bp_upload_pipeline *pipeline, size_t *out_count);
/* What the upload is: known, with what was counted of a corpus, when all columns are made. *out_corpus
 * stays the pipeline's, and may be moved out of; NULL: a table. */
bp_dataset_kind bp_upload_pipeline_kind(bp_upload_pipeline *pipeline, bp_corpus_info **out_corpus);
/* SHA-256 of the decoded bytes, after the end. */
const char *bp_upload_pipeline_sha256(const bp_upload_pipeline *pipeline);
void bp_upload_pipeline_free(
    bp_upload_pipeline *pipeline); /* removes unpublished files; takes NULL */

#endif
