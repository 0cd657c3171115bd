/* A column on its way into the catalogue: its document and its finished but unpublished file. */
#ifndef BP_SERVER_DATASET_COLUMN_DRAFT_H
#define BP_SERVER_DATASET_COLUMN_DRAFT_H

#include "server/dataset/column_file.h"

typedef struct bp_column_draft {
    bp_column_info info; /* owned; sha256 set once the file is finished */
    bp_column_writer *writer;
} bp_column_draft;

void bp_column_draft_done(bp_column_draft *draft); /* removes the file unless it was published */

#endif
