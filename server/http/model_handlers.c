#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/checked.h"
#include "schema/json/json_text.h"
#include "schema/json/name_hint.h"
#include "server/http/handlers.h"
#include "server/http/problem.h"
#include "server/http/server_state.h"

enum {
    LIST_DEFAULT = 100,
    LIST_LIMIT = 10000,
    /* A prediction beyond one of these goes to the helper thread: a few milliseconds' work. */
    ASIDE_BYTES = 16 << 10,
    ASIDE_PRODUCTS = 10000000,
    SAMPLE_LIMIT = 100000
};

/* Multiplications of one prediction's samples: some seconds. */
#define SAMPLE_PRODUCTS 2e10

/* ---- documents ---- */

void bp_handle_model_list(bp_request *request)
{
    uint64_t limit;
    if (!bp_request_count(&limit, request, "limit", 1, LIST_LIMIT, LIST_DEFAULT))
        return;
    json_t *document = NULL;
    bp_error error = {.status = BP_OK};
    bp_status status = bp_models_list_json(&document, request->services->models,
                                           bp_request_query(request, "after"), limit, &error);
    bp_answer_read(request, status, document, &error);
}

void bp_handle_model(bp_request *request)
{
    json_t *document = NULL;
    bp_error error = {.status = BP_OK};
    bp_status status =
        bp_models_document_json(&document, request->services->models, request->capture[0], &error);
    bp_answer_read(request, status, document, &error);
}

void bp_handle_model_version(bp_request *request)
{
    json_t *document = NULL;
    bp_error error = {.status = BP_OK};
    bp_status status =
        bp_models_version_json(&document, request->services->models, request->capture[0],
                               bp_request_number(request, 1), &error);
    bp_answer_read(request, status, document, &error);
}

/* ---- weights ---- */

static void export_weights(bp_request *request)
{
    void *bytes = NULL;
    size_t size = 0;
    bp_error error = {.status = BP_OK};
    if (bp_models_safetensors(&bytes, &size, request->services->models, request->capture[0],
                              bp_request_number(request, 1), &error) != BP_OK) {
        bp_answer_error(request, &error);
        return;
    }
    bp_answer_bytes(request, 200, bytes, size, "application/octet-stream");
    char disposition[256];
    snprintf(disposition, sizeof disposition, "attachment; filename=\"%s-%s.safetensors\"",
             request->capture[0], request->capture[1]);
    bp_answer_header(request, "Content-Disposition", disposition);
}

void bp_handle_model_weights(bp_request *request)
{
    const char *format = bp_request_query(request, "format");
    if (format && strcmp(format, "safetensors") != 0) {
        bp_answer_problem(request, 400, "format \"%.32s\" is not known here; known: safetensors",
                          format);
        return;
    }
    bp_request_run_aside(request, export_weights);
}

/* ---- prediction ---- */

static const char *const members[] = {"rows", "mc_samples", "seed", NULL};

static const char *member_at(const void *list, size_t index)
{
    return ((const char *const *)list)[index];
}

/* How a prediction samples networks. */
typedef struct mc_sampling {
    uint64_t count, seed; /* count 0: it does not */
} mc_sampling;

static void read_count(uint64_t *out, bp_faults *faults, const char *pointer, const json_t *value,
                       uint64_t most)
{
    uint64_t count;
    if (bp_json_read_count(&count, value) && count <= most)
        *out = count;
    else
        bp_faults_add(faults, BP_INVALID, pointer, "must be a whole number from 0 to %llu",
                      (unsigned long long)most);
}

/* The members of a prediction's body but rows. */
static void read_members(mc_sampling *out, bp_faults *faults, const json_t *body)
{
    *out = (mc_sampling){.seed = 1};
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)body, name, value)
    {
        if (strcmp(name, "rows") == 0)
            continue;
        char pointer[BP_ERROR_WHERE_SIZE];
        snprintf(pointer, sizeof pointer, "/%.200s", name);
        if (strcmp(name, "mc_samples") == 0) {
            read_count(&out->count, faults, pointer, value, SAMPLE_LIMIT);
        } else if (strcmp(name, "seed") == 0) {
            read_count(&out->seed, faults, pointer, value, (uint64_t)BP_JSON_INTEGER_MAXIMUM);
        } else {
            char *advice = bp_name_advice(name, member_at, members, 8);
            bp_faults_add(faults, BP_UNKNOWN_NAME, pointer, "is not known here%s",
                          advice ? advice : "");
            free(advice);
        }
    }
}

/* answer with mean, std and entropy. Takes answer; NULL: no memory, or *error is set. */
static json_t *add_samples(json_t *answer, bp_model *model, const double *raw, size_t count,
                           const mc_sampling *sampling, bp_status *status, bp_error *error)
{
    bp_model_samples samples = {0};
    *status = bp_model_predict_samples(&samples, model, raw, count, sampling->count, sampling->seed,
                                       error);
    const bool added = *status == BP_OK && answer &&
                       bp_predict_answer_add_samples(answer, bp_model_info_of(model), samples.mean,
                                                     samples.deviation, samples.entropy);
    bp_model_samples_done(&samples);
    if (added)
        return answer;
    json_decref(answer);
    return NULL;
}

static void check_sampling_cost(bp_faults *faults, const bp_model_info *info,
                                const mc_sampling *sampling, size_t rows)
{
    const double cost =
        (double)rows * (double)sampling->count * (double)(info->parameter_count + 1);
    if (cost > SAMPLE_PRODUCTS)
        bp_faults_add(faults, BP_TOO_LARGE, "/mc_samples",
                      "%zu rows, %llu samples and %zu parameters make %.3g multiplications; at "
                      "most %.3g are allowed at once",
                      rows, (unsigned long long)sampling->count, info->parameter_count, cost,
                      SAMPLE_PRODUCTS);
}

static void predict_rows(bp_request *request, bp_model *model, const mc_sampling *sampling,
                         bp_faults *faults)
{
    const bp_model_info *info = bp_model_info_of(model);
    double *raw = NULL;
    size_t count = 0;
    void *shown = NULL;
    json_t *answer = NULL;
    bp_error error = {.status = BP_OK};
    const json_t *rows = json_object_get(request->json, "rows");
    if (!rows)
        bp_faults_add(faults, BP_INVALID, "/rows", "is required: an array of rows");
    else if (bp_predict_rows_parse(&raw, &count, faults, info, rows,
                                   request->http->options.predict_rows) == BP_NO_MEMORY)
        faults->out_of_memory = true;
    check_sampling_cost(faults, info, sampling, count);
    bp_status status = BP_OK;
    if (!bp_faults_any(faults))
        status = bp_model_predict(&shown, model, raw, count, &error);
    if (shown)
        bp_predict_check(faults, info, shown, count);
    if (status == BP_OK && !bp_faults_any(faults)) {
        answer = bp_predict_answer_json(info, shown, count);
        if (sampling->count > 0)
            answer = add_samples(answer, model, raw, count, sampling, &status, &error);
    }
    if (status != BP_OK)
        bp_answer_error(request, &error);
    else if (bp_faults_any(faults))
        bp_answer_faults(request, faults);
    else
        bp_answer_json(request, 200, answer);
    free(shown);
    free(raw);
}

static void predict(bp_request *request);

/* Sampling is a helper's, however small the body. */
static void predict_with(bp_request *request, bp_model *model)
{
    mc_sampling sampling;
    bp_faults faults = {.count = 0};
    read_members(&sampling, &faults, request->json);
    if (sampling.count > 0 && !request->on_helper)
        bp_request_run_computing(request, predict);
    else
        predict_rows(request, model, &sampling, &faults);
    bp_faults_done(&faults);
}

/* What a prediction of the most rows needs, with room for a fault in each row. */
static size_t value_limit(const bp_request *request, const bp_model_info *info)
{
    size_t limit;
    if (!bp_checked_multiply(&limit, request->http->options.predict_rows,
                             info->preparation.raw_width + 1))
        return SIZE_MAX;
    return limit < SIZE_MAX - 1024 ? limit + 1024 : limit;
}

static void predict_on(bp_request *request, bp_model *model)
{
    if (!request->json &&
        !bp_request_parse_json(request, value_limit(request, bp_model_info_of(model))))
        return;
    if (json_is_object(request->json))
        predict_with(request, model);
    else
        bp_answer_problem(request, 422, "the body is an object with rows");
}

static uint64_t version_of(const bp_request *request)
{
    return request->capture_count > 1 ? bp_request_number(request, 1) : 0;
}

static bool is_of_checkpoint(const bp_request *request)
{
    return request->route->handle == bp_handle_checkpoint_predict;
}

static bp_status borrow(bp_model **out, const bp_request *request, bp_error *error)
{
    bp_models *models = request->services->models;
    if (is_of_checkpoint(request))
        return bp_models_borrow_checkpoint(out, models, (int64_t)bp_request_number(request, 0),
                                           bp_request_number(request, 1), error);
    return bp_models_borrow(out, models, request->capture[0], version_of(request), error);
}

static bp_model *borrow_loaded(const bp_request *request)
{
    bp_models *models = request->services->models;
    if (is_of_checkpoint(request))
        return bp_models_borrow_loaded_checkpoint(models, (int64_t)bp_request_number(request, 0),
                                                  bp_request_number(request, 1));
    return bp_models_borrow_loaded(models, request->capture[0], version_of(request));
}

static void predict(bp_request *request)
{
    bp_model *model = NULL;
    bp_error error = {.status = BP_OK};
    if (borrow(&model, request, &error) != BP_OK) {
        bp_answer_error(request, &error);
        return;
    }
    predict_on(request, model);
    bp_model_release(model);
}

/* A row's text has at least two bytes for each of its numbers. */
static bool is_quick(const bp_request *request, const bp_model_info *info)
{
    const size_t rows = request->body_size / (2 * info->preparation.raw_width + 1) + 1;
    return info->parameter_count <= ASIDE_PRODUCTS / rows;
}

void bp_handle_predict(bp_request *request)
{
    bp_model *model = request->body_size <= ASIDE_BYTES ? borrow_loaded(request) : NULL;
    if (model && is_quick(request, bp_model_info_of(model)))
        predict_on(request, model);
    else
        bp_request_run_aside(request, predict);
    bp_model_release(model);
}

void bp_handle_checkpoint_predict(bp_request *request)
{
    bp_handle_predict(request);
}
