/* "Did you mean …": the nearest of a list of names. */
#ifndef BP_SCHEMA_JSON_NAME_HINT_H
#define BP_SCHEMA_JSON_NAME_HINT_H

#include <stddef.h>

/* How a list of names is walked: the index-th, or NULL past the end. */
typedef const char *bp_name_at(const void *list, size_t index);

/* The name at the smallest edit distance (insertion, deletion, replacement, swap of neighbours), if
 * that is small against the name's length; else NULL. Names beyond 64 bytes are never near. */
const char *bp_name_nearest(const char *name, bp_name_at *at, const void *list);

/* `; did you mean "units"? Known: "bias", "units"`, at most shown_limit names and then "and N more".
 * free() it. NULL: no memory. */
char *bp_name_advice(const char *name, bp_name_at *at, const void *list, size_t shown_limit);

#endif
