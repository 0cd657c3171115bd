#include "server/http/documents.h"

#include <stdlib.h>

bp_status bp_documents_create(bp_http *http, bp_error *error)
{
    (void)error;
    http->catalog = http->openapi = (bp_static_text){.bytes = NULL};
    return BP_OK;
}

void bp_documents_done(bp_http *http)
{
    http->catalog.bytes = NULL;
}
