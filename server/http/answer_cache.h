/* Answers that many clients get at about the same time, made once: pages of metric points, which pollers
 * of one job ask for with the same `after`. An entry never becomes wrong, because its key names all that
 * it depends on; it is forgotten when others need its place. Any thread. */
#ifndef BP_SERVER_HTTP_ANSWER_CACHE_H
#define BP_SERVER_HTTP_ANSWER_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

/* Counted; immutable. */
typedef struct bp_shared_text bp_shared_text;

/* Takes bytes (malloc). One reference is the caller's. NULL: no memory, and bytes have been freed. */
bp_shared_text *bp_shared_text_create(char *bytes, size_t size);
const char *bp_shared_text_bytes(const bp_shared_text *text, size_t *out_size);
void bp_shared_text_release(void *text); /* accepts NULL */

/* What a page of points depends on. Compared byte by byte: zero it first. */
typedef struct bp_page_key {
    int64_t job;
    uint64_t after, limit;
    uint64_t last;        /* seq of the newest point, as far as it matters */
    uint64_t complete;    /* 1: the job has ended and these are its last */
    char fingerprint[32]; /* of the numerics that the points were computed with */
} bp_page_key;

typedef struct bp_answer_cache bp_answer_cache;

BP_CHECK_RESULT bp_status bp_answer_cache_create(bp_answer_cache **out, bp_error *error);
void bp_answer_cache_free(bp_answer_cache *cache); /* accepts NULL */

/* A reference that the caller owns, or NULL. */
bp_shared_text *bp_answer_cache_find(bp_answer_cache *cache, const bp_page_key *key);
/* Adds a reference of its own; text that is too large is not kept. */
void bp_answer_cache_add(bp_answer_cache *cache, const bp_page_key *key, bp_shared_text *text);

#endif
