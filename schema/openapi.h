/* The contract, schema/openapi.json, as it stands in the binary. */
#ifndef BP_SCHEMA_OPENAPI_H
#define BP_SCHEMA_OPENAPI_H

#include <stddef.h>

/* UTF-8 JSON text with a final NUL; static. Any thread. */
const char *bp_openapi_text(size_t *out_length);

#endif
