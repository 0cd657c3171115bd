/* The catalogue: every member of every family with its hyperparameters, read from the records that the
 * validation reads. */
#ifndef BP_SCHEMA_CATALOG_CATALOG_H
#define BP_SCHEMA_CATALOG_CATALOG_H

#include <jansson.h>

#include "core/base/family.h"

/* Every family, in the order of the document; NULL past the end. */
const bp_family *bp_catalog_family(size_t index);

/* {"families": [{"name", "title", "members": [{"name", "summary", "formula", "reference", "pytorch",
 * "hyperparameters": [{"name", "meaning", "kind", "required", "accepts_auto", "default", "minimum",
 * "maximum", "exclusive_minimum", "exclusive_maximum", "choices"}]}]}]}; what has no meaning for
 * a kind, and bounds that are infinite, are absent. NULL: no memory. */
json_t *bp_catalog_json(void);

#endif
