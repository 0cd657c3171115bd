#include "schema/openapi.h"

#include "schema/embedded.h"

const char *bp_openapi_text(size_t *out_length)
{
    *out_length = bp_embedded_openapi_size;
    return (const char *)bp_embedded_openapi;
}
