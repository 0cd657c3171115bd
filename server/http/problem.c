#include "server/http/problem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/json/json_text.h"
#include "server/http/url_text.h"

unsigned bp_problem_status(bp_status status)
{
    switch (status) {
    case BP_OK:
        return 200;
    case BP_INVALID:
    case BP_UNKNOWN_NAME:
    case BP_SHAPE:
    case BP_TOO_LARGE:
    case BP_NOT_FINITE:
    case BP_UNSUPPORTED:
        return 422;
    case BP_NOT_FOUND:
        return 404;
    case BP_CONFLICT:
        return 409;
    case BP_STALE:
        return 412;
    case BP_NO_MEMORY:
    case BP_CANCELLED:
        return 503;
    case BP_STORAGE_FULL:
        return 507;
    case BP_CORRUPT:
    case BP_INPUT_OUTPUT:
    case BP_INTERNAL:
        break;
    }
    return 500;
}

const char *bp_problem_slug(unsigned status)
{
    switch (status) {
#define BP_PROBLEM_SLUG(code, slug, title)                                                         \
    case code:                                                                                     \
        return slug;
        BP_PROBLEM_LIST(BP_PROBLEM_SLUG)
#undef BP_PROBLEM_SLUG
    default:
        return "internal";
    }
}

const char *bp_problem_title(unsigned status)
{
    switch (status) {
#define BP_PROBLEM_TITLE(code, slug, title)                                                        \
    case code:                                                                                     \
        return title;
        BP_PROBLEM_LIST(BP_PROBLEM_TITLE)
#undef BP_PROBLEM_TITLE
    default:
        return "Internal error";
    }
}

/* Steals errors (may be NULL). detail may have been cut within a character. */
static void answer(bp_request *request, unsigned status, char *detail, json_t *errors)
{
    bp_text_repair(detail);
    json_t *document;
    if (request->is_v2) {
        document = json_pack("{s:s}", "error", detail);
        json_decref(errors);
    } else {
        char type[64];
        snprintf(type, sizeof type, "/problems/%s", bp_problem_slug(status));
        document = json_pack("{s:s, s:s, s:i, s:s, s:s}", "type", type, "title",
                             bp_problem_title(status), "status", (int)status, "detail", detail,
                             "instance", request->instance ? request->instance : "/");
        if (document && errors && json_object_set(document, "errors", errors) != 0) {
            json_decref(document);
            document = NULL;
        }
        json_decref(errors);
    }
    size_t size = 0;
    char *text = document ? bp_json_text(document, &size) : NULL;
    json_decref(document);
    bp_answer_bytes(request, status, text, size,
                    request->is_v2 ? "application/json" : "application/problem+json");
    if (status == 503)
        bp_answer_header(request, "Retry-After", "1");
}

/* Appends one entry; false: no memory. */
static bool add_place(json_t *errors, const char *pointer, const char *detail)
{
    return json_array_append_new(
               errors, json_pack("{s:s, s:s}", "pointer", pointer, "detail", detail)) == 0;
}

void bp_answer_problem(bp_request *request, unsigned status, const char *format, ...)
{
    char detail[BP_ERROR_MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    answer(request, status, detail, NULL);
}

void bp_answer_error_as(bp_request *request, unsigned status, const bp_error *error)
{
    const char *message = error->message[0] ? error->message : bp_status_text(error->status);
    char detail[BP_ERROR_MESSAGE_SIZE + BP_ERROR_WHERE_SIZE + 4];
    snprintf(detail, sizeof detail, "%s%s%s", error->where, error->where[0] ? ": " : "", message);
    if (!error->where[0]) {
        answer(request, status, detail, NULL);
        return;
    }
    json_t *errors = NULL;
    if (status < 500) { /* a place in our own files is for the log */
        errors = json_array();
        if (!errors || !add_place(errors, error->where, message)) {
            json_decref(errors);
            bp_answer_no_memory(request);
            return;
        }
    }
    answer(request, status, detail, errors);
}

void bp_answer_error(bp_request *request, const bp_error *error)
{
    bp_answer_error_as(request, bp_problem_status(error->status), error);
}

void bp_answer_read(bp_request *request, bp_status status, json_t *document, const bp_error *error)
{
    if (status == BP_OK)
        bp_answer_json(request, 200, document);
    else
        bp_answer_error(request, error);
}

void bp_answer_faults(bp_request *request, const bp_faults *faults)
{
    if (faults->out_of_memory || faults->count == 0) {
        bp_answer_no_memory(request);
        return;
    }
    json_t *errors = json_array();
    bool complete = errors != NULL, conflict = true;
    for (size_t i = 0; complete && i < faults->count; i++) {
        complete = add_place(errors, faults->items[i].pointer, faults->items[i].detail);
        conflict = conflict && faults->items[i].status == BP_CONFLICT;
    }
    if (!complete) {
        json_decref(errors);
        bp_answer_no_memory(request);
        return;
    }
    char detail[BP_ERROR_MESSAGE_SIZE];
    size_t total = faults->count + faults->dropped_count;
    if (total == 1)
        snprintf(detail, sizeof detail, "%s%s%s", faults->items[0].pointer,
                 faults->items[0].pointer[0] ? ": " : "", faults->items[0].detail);
    else
        snprintf(detail, sizeof detail, "%zu faults, each named in errors%s", total,
                 faults->dropped_count ? " as far as there is room" : "");
    answer(request, conflict ? 409 : 422, detail, errors);
}

void bp_answer_no_memory(bp_request *request)
{
    static char text[] =
        "{\"type\":\"/problems/unavailable\",\"title\":\"Temporarily unavailable\","
        "\"status\":503,\"detail\":\"out of memory\"}";
    static char text_v2[] = "{\"error\":\"out of memory\"}";
    if (request->response)
        MHD_destroy_response(request->response);
    const char *shown = request->is_v2 ? text_v2 : text;
    request->response_bytes = strlen(shown);
    request->response = MHD_create_response_from_buffer(
        strlen(shown), request->is_v2 ? text_v2 : text, MHD_RESPMEM_PERSISTENT);
    request->status = 503;
    request->close = true; /* gives its memory back, too */
    bp_answer_header(request, "Content-Type",
                     request->is_v2 ? "application/json" : "application/problem+json");
    bp_answer_header(request, "Retry-After", "1");
}
