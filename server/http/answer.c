#include <stdlib.h>
#include <string.h>

#include "schema/json/json_text.h"
#include "server/http/problem.h"
#include "server/http/request.h"

/* Puts an answer in place of one that may be there. */
static void set_response(bp_request *request, unsigned status, struct MHD_Response *response,
                         size_t size, const char *type)
{
    if (request->response)
        MHD_destroy_response(request->response);
    request->response = response;
    request->status = status;
    request->answer_text = NULL;
    request->response_bytes = size;
    if (!response)
        return; /* the connection will be closed */
    if (type) {
        bp_answer_header(request, "Content-Type", type);
        bp_answer_header(request, "X-Content-Type-Options", "nosniff");
    }
}

void bp_answer_bytes(bp_request *request, unsigned status, void *body, size_t size,
                     const char *type)
{
    struct MHD_Response *response =
        body ? MHD_create_response_from_buffer(size, body, MHD_RESPMEM_MUST_FREE) : NULL;
    if (!response) {
        free(body);
        bp_answer_no_memory(request);
        return;
    }
    set_response(request, status, response, size, type);
    request->answer_text = body;
    bp_answer_header(request, "Cache-Control", "no-store");
}

void bp_answer_shared(bp_request *request, unsigned status, bp_shared_text *text, const char *type)
{
    size_t size = 0;
    struct MHD_Response *response = NULL;
    if (text) {
        /* Never written to; libmicrohttpd merely lacks the const. */
        void *bytes = (void *)(uintptr_t)bp_shared_text_bytes(text, &size);
        response = MHD_create_response_from_buffer_with_free_callback_cls(
            size, bytes, bp_shared_text_release, text);
    }
    if (!response) {
        bp_shared_text_release(text);
        bp_answer_no_memory(request);
        return;
    }
    set_response(request, status, response, size, type);
    bp_answer_header(request, "Cache-Control", "no-store");
}

void bp_answer_json(bp_request *request, unsigned status, json_t *document)
{
    size_t size = 0;
    char *text = document ? bp_json_text(document, &size) : NULL;
    json_decref(document);
    bp_answer_bytes(request, status, text, size, "application/json");
}

void bp_answer_text(bp_request *request, unsigned status, bp_json_writer *text, const char *type)
{
    const size_t size = text->length;
    bp_json_put(text, "", 1); /* ends the text for those who read it as a string; not sent */
    char *body = text->bytes;
    if (text->failed) {
        free(body);
        body = NULL;
    }
    bp_answer_bytes(request, status, body, size, type);
    *text = (bp_json_writer){0};
}

/* Is etag in a list of them? */
static bool client_has(const char *list, const char *etag)
{
    return list && (strcmp(list, "*") == 0 || strstr(list, etag));
}

void bp_answer_static(bp_request *request, const char *bytes, size_t size, const char *type,
                      const char *etag)
{
    if (client_has(request->headers.if_none_match.value, etag)) {
        bp_answer_empty(request, 304);
    } else {
        /* Never written to; libmicrohttpd merely lacks the const. */
        void *shared = (void *)(uintptr_t)bytes;
        struct MHD_Response *response =
            MHD_create_response_from_buffer(size, shared, MHD_RESPMEM_PERSISTENT);
        set_response(request, 200, response, size, type);
    }
    bp_answer_header(request, "ETag", etag);
    bp_answer_header(request, "Cache-Control", "no-cache");
}

void bp_answer_stream(bp_request *request, const char *type, size_t block_bytes,
                      MHD_ContentReaderCallback read, void *context,
                      MHD_ContentReaderFreeCallback release)
{
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, block_bytes, read, context, release);
    if (!response) {
        release(context);
        bp_answer_no_memory(request);
        return;
    }
    set_response(request, 200, response, 0, type);
    bp_answer_header(request, "Cache-Control", "no-store");
}

void bp_answer_empty(bp_request *request, unsigned status)
{
    static char nothing[1];
    set_response(request, status,
                 MHD_create_response_from_buffer(0, nothing, MHD_RESPMEM_PERSISTENT), 0, NULL);
}

void bp_answer_header(bp_request *request, const char *name, const char *value)
{
    /* Fails for lack of memory only; an answer without the header beats none. */
    if (request->response)
        (void)MHD_add_response_header(request->response, name, value);
}
