/* Lines of a text and sentences of a tagged corpus as JSON, for people to look at. */
#ifndef BP_SERVER_CORPUS_CORPUS_ROWS_H
#define BP_SERVER_CORPUS_CORPUS_ROWS_H

#include "schema/dataset/dataset_info.h"

enum {
    BP_SHOWN_LINE_BYTES = 64 * 1024,  /* longer lines are cut, and end the answer */
    BP_SHOWN_BYTES = 2 * 1024 * 1024, /* of all rows: then there are fewer, though at least one */
};

/* {"columns": ["text"], "rows": [["a line"], …]} or {"columns": ["token", "tag"], "rows": [[["Paris", …],
 * ["B-location", …]], …]}: at most `limit` rows from `offset`. info: not of a table (asserted). BP_CORRUPT,
 * BP_NOT_FOUND, BP_INPUT_OUTPUT, BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_corpus_rows_json(json_t **out, const char *directory,
                                              const bp_dataset_info *info, uint64_t offset,
                                              size_t limit, bp_error *error);

#endif
