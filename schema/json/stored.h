/* Reading back documents that this program wrote: the first thing that is not as it must be makes the
 * whole document corrupt, so readers go on with zeros and look once at the end. */
#ifndef BP_SCHEMA_JSON_STORED_H
#define BP_SCHEMA_JSON_STORED_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

typedef struct bp_stored {
    bp_status status; /* BP_OK, BP_CORRUPT or BP_NO_MEMORY; sticky */
} bp_stored;

void bp_stored_corrupt(bp_stored *stored);

/* Member of an object that must be there, of the given kind. The copies are the caller's to free; on
 * failure NULL, zero or false, and stored says so. */
char *bp_stored_text(bp_stored *stored, const json_t *object, const char *key);
void bp_stored_fixed_text(bp_stored *stored, char *out, size_t size, const json_t *object,
                          const char *key);
bool bp_stored_bool(bp_stored *stored, const json_t *object, const char *key);
uint64_t bp_stored_count(bp_stored *stored, const json_t *object, const char *key);
/* null reads as NaN. */
double bp_stored_number(bp_stored *stored, const json_t *object, const char *key);
/* Index of a text in a NULL-terminated list. */
size_t bp_stored_name(bp_stored *stored, const char *const *names, const json_t *object,
                      const char *key);
/* An array of texts or of numbers; *out_count is set last. count 0 gives an allocated nothing. */
char **bp_stored_texts(bp_stored *stored, size_t *out_count, const json_t *object, const char *key);
double *bp_stored_numbers(bp_stored *stored, size_t *out_count, const json_t *object,
                          const char *key);
/* Array member, or NULL. */
const json_t *bp_stored_array(bp_stored *stored, const json_t *object, const char *key);
/* calloc for count elements, at least one. */
void *bp_stored_allocate(bp_stored *stored, size_t count, size_t size);

/* Arrays as JSON; NULL: no memory. */
json_t *bp_texts_json(char *const *texts, size_t count);
json_t *bp_numbers_json(const double *values, size_t count);

void bp_texts_free(char **texts, size_t count); /* accepts NULL, and texts that are NULL */

#endif
