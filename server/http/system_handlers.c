/* What the daemon says about itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/http/documents.h"
#include "server/http/handlers.h"
#include "server/http/server_state.h"

void bp_handle_live(bp_request *request)
{
    bp_answer_json(request, 200, json_pack("{s:b}", "live", 1));
}

void bp_handle_ready(bp_request *request)
{
    bp_answer_json(request, 200, json_pack("{s:b}", "ready", 1));
}

/* Resident bytes of this process; 0 where they cannot be read. */
static json_int_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file)
        return 0;
    char line[256];
    long long resident = 0;
    if (fgets(line, sizeof line, file)) {
        char *second = strchr(line, ' '); /* after the total */
        if (second)
            resident = strtoll(second, NULL, 10);
    }
    (void)fclose(file);
    return (json_int_t)resident * (json_int_t)sysconf(_SC_PAGESIZE);
}

void bp_handle_system(bp_request *request)
{
    const bp_http *http = request->http;
    const bp_services *services = request->services;
    const bp_http_options *options = &http->options;
    double uptime = (double)(bp_connection_now_ms() - http->started_ms) / 1000.0;
    json_t *limits = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
                               "job_memory_bytes", (json_int_t)services->job_limits.memory_bytes,
                               "parameters", (json_int_t)services->job_limits.parameter_count,
                               "layers", (json_int_t)services->job_limits.layer_count,
                               "job_threads", (json_int_t)services->job_limits.thread_count,
                               "upload_bytes", (json_int_t)options->upload_bytes, "decoded_bytes",
                               (json_int_t)services->dataset_limits.decoded_bytes, "columns",
                               (json_int_t)services->dataset_limits.columns, "json_body_bytes",
                               (json_int_t)options->json_body_bytes, "predict_body_bytes",
                               (json_int_t)options->predict_body_bytes, "predict_rows",
                               (json_int_t)options->predict_rows, "connections",
                               (json_int_t)options->connection_limit);
    json_t *document = json_pack(
        "{s:s, s:{s:s, s:i}, s:{s:i, s:i}, s:f, s:{s:I}, s:o}", "version",
        services->version ? services->version : "", "processor", "path", bp_isa_name(services->isa),
        "count", (int)sysconf(_SC_NPROCESSORS_ONLN), "threads", "http", (int)options->thread_count,
        "workers", (int)services->worker_count, "uptime_seconds", uptime, "memory",
        "resident_bytes", resident_bytes(), "limits", limits);
    bp_answer_json(request, 200, document);
}

static void answer_text(bp_request *request, const bp_static_text *text)
{
    bp_answer_static(request, text->bytes, text->size, "application/json", text->etag);
}

void bp_handle_catalog(bp_request *request)
{
    answer_text(request, &request->http->catalog);
}

void bp_handle_openapi(bp_request *request)
{
    answer_text(request, &request->http->openapi);
}
