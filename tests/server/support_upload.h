/* A store with data sets in a fresh directory, and uploads that wait for their outcome. */
#ifndef BP_TESTS_SERVER_SUPPORT_UPLOAD_H
#define BP_TESTS_SERVER_SUPPORT_UPLOAD_H

#include "server/dataset/datasets.h"
#include "tests/server/support_directory.h"

typedef struct support_data {
    char directory[SUPPORT_PATH_SIZE];
    bp_store *store;
    bp_datasets *datasets;
} support_data;

/* limits: 8 MiB decoded, 50 columns. */
void support_data_open(support_data *out);
void support_data_reopen(support_data *data); /* closes and opens again: a restart */
void support_data_close(support_data *data);
size_t support_file_count(const support_data *data, const char *folder);

/* Feeds in chunks of `chunk` bytes and waits for done. The caller decrefs result.document. */
bp_upload_result support_upload(support_data *data, const char *name, const char *column,
                                bp_dataset_format format, const void *bytes, size_t count,
                                size_t chunk);
/* A CSV that must be stored. */
void support_upload_csv(support_data *data, const char *name, const char *text);
/* uint8 rows of a shape (rank − 1 dimensions after the rows) as an IDX column that must be stored. */
void support_upload_column(support_data *data, const char *name, const char *column, size_t rank,
                           const uint32_t *shape, const unsigned char *elements);
/* Deletes and waits. */
bp_status support_delete(support_data *data, const char *name, bp_error *error);

#endif
