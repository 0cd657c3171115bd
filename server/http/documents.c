#include "server/http/documents.h"

#include <stdio.h>
#include <stdlib.h>

#include "schema/catalog/catalog.h"
#include "schema/json/json_text.h"
#include "schema/openapi.h"
#include "server/base/sha256.h"

static void set_etag(bp_static_text *text)
{
    char sha256[BP_SHA256_TEXT_SIZE];
    bp_sha256_text(sha256, text->bytes, text->size);
    snprintf(text->etag, sizeof text->etag, "\"%s\"", sha256);
}

bp_status bp_documents_create(bp_http *http, bp_error *error)
{
    json_t *catalog = bp_catalog_json();
    http->catalog.bytes = catalog ? bp_json_text(catalog, &http->catalog.size) : NULL;
    json_decref(catalog);
    if (!http->catalog.bytes)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for the catalogue");
    set_etag(&http->catalog);
    http->openapi.bytes = bp_openapi_text(&http->openapi.size);
    set_etag(&http->openapi);
    return BP_OK;
}

void bp_documents_done(bp_http *http)
{
    free((void *)(uintptr_t)http->catalog.bytes);
    http->catalog.bytes = NULL;
}
