/* What the files of this folder share: the ingest thread, its uploads and its sweeping. */
#ifndef BP_SERVER_DATASET_DATASETS_STATE_H
#define BP_SERVER_DATASET_DATASETS_STATE_H

#include <pthread.h>

#include "server/corpus/corpus_measure.h"
#include "server/upload/upload_pipeline.h"

/* Bytes of one upload that wait for the ingest thread. */
enum { BP_UPLOAD_QUEUE_BYTES = 1024 * 1024 };

typedef struct bp_upload_block {
    struct bp_upload_block *next;
    size_t count;
    unsigned char bytes[];
} bp_upload_block;

/* States: RECEIVING until the last block is parsed; CONVERTING a column at a time; then the catalogue
 * and DONE, in one go. A failed upload stays in RECEIVING, swallowing, until its end. */
typedef enum bp_upload_state {
    BP_UPLOAD_RECEIVING,
    BP_UPLOAD_CONVERTING,
    BP_UPLOAD_DONE
} bp_upload_state;

struct bp_upload {
    struct bp_upload
        *next; /* in the ring of uploads; guarded by the mutex, like all up to `aborted` */
    bp_upload_block *first, *last;
    size_t queued_bytes;
    bool starved; /* a feed was refused: call room */
    bool no_memory, ended, aborted;
    bool failed; /* status, as far as the uploading side may know */

    bp_datasets *datasets; /* from here on: constant, or the ingest thread's */
    char *name, *column;
    bp_dataset_format format;
    void (*room)(void *context);
    void (*done)(void *context, bp_upload_result *result);
    void *context;
    bp_upload_state state;
    bp_upload_pipeline *pipeline; /* made by the first turn */
    bp_status status;
    bp_error error;
};

/* Column files that may have lost their last user. */
typedef struct bp_sweep {
    struct bp_sweep *next;
    size_t count;
    char (*sha256)[BP_SHA256_TEXT_SIZE];
} bp_sweep;

struct bp_datasets {
    bp_store *store;
    bp_dataset_limits limits;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t work;
    bp_upload *uploads; /* a list; the ingest thread takes turns */
    bp_sweep *sweeps;
    bool stopping;
    bp_corpus_cache *corpora; /* constant */
};

/* The body of the ingest thread; argument: the bp_datasets. */
void *bp_ingest_body(void *argument);

/* Ingest thread only, so that no upload is between naming its files and its catalogue entry. */
void bp_sweep_all(bp_datasets *datasets);
void bp_sweep_some(bp_datasets *datasets, const bp_sweep *sweep);
void bp_sweep_free(bp_sweep *sweep); /* accepts NULL */

#endif
