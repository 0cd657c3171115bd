/* Files of this folder as bytes, each followed by a zero that does not count; embed.cmake writes their
 * definitions. Those of migrations are declared where they are listed. Private to schema. */
#ifndef BP_SCHEMA_EMBEDDED_H
#define BP_SCHEMA_EMBEDDED_H

#include <stddef.h>

extern const unsigned char bp_embedded_openapi[];
extern const size_t bp_embedded_openapi_size;

#endif
