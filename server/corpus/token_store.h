/* The ids of a text's tokens: in memory while they fit, beyond that in a temporary file. */
#ifndef BP_SERVER_CORPUS_TOKEN_STORE_H
#define BP_SERVER_CORPUS_TOKEN_STORE_H

#include "core/language/token_source.h"

typedef struct bp_token_store bp_token_store;

/* count: how many ids will be added. memory_bytes: above it they go into a file of the data directory's
 * tmp, which has no name. BP_NO_MEMORY, BP_INPUT_OUTPUT, BP_STORAGE_FULL. */
BP_CHECK_RESULT bp_status bp_token_store_create(bp_token_store **out, const char *directory,
                                                uint64_t count, uint64_t memory_bytes,
                                                bp_error *error);
/* BP_CORRUPT: more ids than were announced. */
BP_CHECK_RESULT bp_status bp_token_store_add(bp_token_store *store, const int32_t *ids,
                                             size_t count, bp_error *error);
/* All that have been added, for one thread at a time; borrowed from the store. Reading may fail with
 * BP_INPUT_OUTPUT. */
bp_token_source bp_token_store_source(bp_token_store *store);
void bp_token_store_free(bp_token_store *store); /* accepts NULL */

#endif
