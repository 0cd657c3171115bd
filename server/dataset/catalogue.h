/* Writes to the catalogue of data sets, as the store thread applies them. */
#ifndef BP_SERVER_DATASET_CATALOGUE_H
#define BP_SERVER_DATASET_CATALOGUE_H

#include "server/dataset/column_draft.h"
#include "server/store/store.h"

/* What is entered: a whole data set, or one column of a table. */
typedef struct bp_catalogue_entry {
    const char *name;
    bool
        column; /* drafts hold one column, which takes its place among those of the newest version */
    bp_dataset_kind kind;
    bp_corpus_info *corpus;  /* what was counted; NULL: a table. Moved out of where it is needed */
    const char *sha256;      /* of the content, unless a column */
    bp_column_draft *drafts; /* infos are moved out of them where they are needed */
    size_t draft_count;
    uint64_t column_limit;
} bp_catalogue_entry;

/* Enters a version; the column files are synced and named. A column takes its place inside the
 * transaction, so that of two uploads at the same time neither is lost. Waits; on the ingest thread.
 * *out_created false: the newest version has this content already. *out_document: the data set's, as
 * of this transaction. BP_TOO_LARGE: more columns than column_limit; BP_CONFLICT: a column for what is
 * not a table. */
BP_CHECK_RESULT bp_status bp_catalogue_insert(bool *out_created, json_t **out_document,
                                              bp_store *store, const bp_catalogue_entry *entry,
                                              bp_error *error);

/* SHA-256 of a data set that was put together by columns: over each name and file. */
void bp_catalogue_columns_sha256(char out[BP_SHA256_TEXT_SIZE], const bp_dataset_info *info);

/* The newest version or the one with this content, read through any connection. BP_NOT_FOUND. */
BP_CHECK_RESULT bp_status bp_catalogue_find(bp_dataset_info **out, sqlite3 *database,
                                            const char *name, const char *sha256, bp_error *error);

/* What bp_datasets_document_json says, through any connection. BP_NOT_FOUND. */
BP_CHECK_RESULT bp_status bp_catalogue_document_json(json_t **out, sqlite3 *database,
                                                     const char *name, bp_error *error);

/* The info in the document at a column of the present row. BP_CORRUPT, BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_catalogue_info_at(bp_dataset_info **out, sqlite3_stmt *statement,
                                               int column, bp_error *error);

#endif
