/* SHA-256 as lower-case hexadecimal text, at once or in pieces. */
#ifndef BP_SERVER_BASE_SHA256_H
#define BP_SERVER_BASE_SHA256_H

#include <nettle/sha2.h>
#include <stddef.h>

#include "schema/dataset/dataset_info.h"

typedef struct bp_sha256 {
    struct sha256_ctx context;
} bp_sha256;

void bp_sha256_begin(bp_sha256 *hash);
void bp_sha256_add(bp_sha256 *hash, const void *bytes, size_t count);
/* Writes the text and begins anew. */
void bp_sha256_finish(bp_sha256 *hash, char out[BP_SHA256_TEXT_SIZE]);

void bp_sha256_text(char out[BP_SHA256_TEXT_SIZE], const void *bytes, size_t count);

#endif
