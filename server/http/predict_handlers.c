/* POST …/predict: rows of columns, or sentences. */
#include <stdlib.h>

#include "core/base/checked.h"
#include "schema/model/predict_request.h"
#include "schema/model/sentence_rows.h"
#include "server/http/handlers.h"
#include "server/http/model_request.h"
#include "server/http/problem.h"
#include "server/http/server_state.h"

enum {
    /* A prediction beyond one of these goes to the helper thread: a few milliseconds' work. */
    ASIDE_BYTES = 16 << 10,
    ASIDE_PRODUCTS = 10000000,
    /* Tokens of sentences, for each row that a prediction may have: theirs are small. */
    TOKENS_PER_ROW = 10
};

/* Multiplications of one prediction's samples: some seconds. */
#define SAMPLE_PRODUCTS 2e10

static void check_sampling_cost(bp_faults *faults, const bp_model *model,
                                const bp_predict_request *wanted, size_t rows)
{
    const uint64_t products = bp_model_row_products(model);
    const double cost = (double)rows * (double)wanted->sample_count * (double)(products + 1);
    if (cost > SAMPLE_PRODUCTS)
        bp_faults_add(faults, BP_TOO_LARGE, "/mc_samples",
                      "%zu rows, %llu samples and %llu weights for each make %.3g "
                      "multiplications; at most %.3g are allowed at once",
                      rows, (unsigned long long)wanted->sample_count, (unsigned long long)products,
                      cost, SAMPLE_PRODUCTS);
}

/* What was found goes out: an error, faults, or neither, and then nothing has been answered. */
static bool answer_failure(bp_request *request, bp_status status, const bp_faults *faults,
                           const bp_error *error)
{
    if (status != BP_OK)
        bp_answer_error(request, error);
    else if (bp_faults_any(faults))
        bp_answer_faults(request, faults);
    else
        return false;
    return true;
}

static void predict_rows(bp_request *request, bp_model *model, const bp_predict_request *wanted,
                         bp_faults *faults)
{
    const bp_model_info *info = bp_model_info_of(model);
    double *raw = NULL;
    size_t count = 0;
    void *shown = NULL;
    json_t *answer = NULL;
    bp_model_samples samples = {0};
    bp_error error = {.status = BP_OK};
    if (wanted->rows && bp_predict_rows_parse(&raw, &count, faults, info, wanted->rows,
                                              request->http->options.predict_rows) == BP_NO_MEMORY)
        faults->out_of_memory = true;
    check_sampling_cost(faults, model, wanted, count);
    const bp_model_input input = {.row_count = count, .raw = raw};
    bp_status status = BP_OK;
    if (!bp_faults_any(faults))
        status = bp_model_predict(&shown, model, &input, &error);
    if (shown)
        bp_predict_check(faults, info, shown, count);
    if (status == BP_OK && !bp_faults_any(faults) && wanted->sample_count > 0)
        status = bp_model_predict_samples(&samples, model, &input, wanted->sample_count,
                                          wanted->seed, &error);
    if (!answer_failure(request, status, faults, &error)) {
        answer = bp_predict_answer_json(info, shown, count);
        if (answer && samples.mean &&
            !bp_predict_answer_add_samples(answer, info, samples.mean, samples.deviation,
                                           samples.entropy)) {
            json_decref(answer);
            answer = NULL;
        }
        bp_answer_json(request, 200, answer);
    }
    bp_model_samples_done(&samples);
    free(shown);
    free(raw);
}

static size_t token_limit(const bp_request *request)
{
    size_t limit;
    const size_t rows = request->http->options.predict_rows;
    return bp_checked_multiply(&limit, rows, TOKENS_PER_ROW) ? limit : rows;
}

static void predict_sentences(bp_request *request, bp_model *model,
                              const bp_predict_request *wanted, bp_faults *faults)
{
    const bp_model_info *info = bp_model_info_of(model);
    bp_sentence_rows rows = {0};
    void *shown = NULL;
    bp_model_samples samples = {0};
    bp_error error = {.status = BP_OK};
    if (wanted->sentences && bp_sentence_rows_parse(&rows, faults, info, wanted->sentences,
                                                    token_limit(request)) == BP_NO_MEMORY)
        faults->out_of_memory = true;
    const size_t count = rows.windows.row_count;
    check_sampling_cost(faults, model, wanted, count);
    const bp_model_input input = {.row_count = count, .windows = &rows.windows};
    bp_status status = BP_OK;
    if (!bp_faults_any(faults))
        status = bp_model_predict(&shown, model, &input, &error);
    if (shown)
        bp_tag_answer_check(faults, info, &rows, shown);
    if (status == BP_OK && !bp_faults_any(faults) && wanted->sample_count > 0)
        status = bp_model_predict_samples(&samples, model, &input, wanted->sample_count,
                                          wanted->seed, &error);
    if (!answer_failure(request, status, faults, &error)) {
        bp_json_writer answer = {0};
        const bp_tag_samples sampled = {samples.mean, samples.deviation, samples.entropy};
        bp_tag_answer_write(&answer, info, &rows, shown, wanted->probabilities,
                            samples.mean ? &sampled : NULL);
        bp_answer_text(request, 200, &answer, "application/json");
    }
    bp_model_samples_done(&samples);
    free(shown);
    bp_sentence_rows_done(&rows);
}

static void predict(bp_request *request);

/* Sampling is a helper's, however small the body. */
static void predict_with(bp_request *request, bp_model *model)
{
    const bp_model_info *info = bp_model_info_of(model);
    bp_predict_request wanted;
    bp_faults faults = {.count = 0};
    bp_predict_request_read(&wanted, &faults, info, request->json);
    if (wanted.sample_count > 0 && !request->on_helper)
        bp_request_run_computing(request, predict);
    else if (info->task == BP_TASK_TAGGING)
        predict_sentences(request, model, &wanted, &faults);
    else
        predict_rows(request, model, &wanted, &faults);
    bp_faults_done(&faults);
}

/* What a prediction of the most rows, or tokens, needs, with room for a fault in each row. */
static size_t value_limit(const bp_request *request, const bp_model_info *info)
{
    const size_t width =
        info->task == BP_TASK_TAGGING ? TOKENS_PER_ROW : info->preparation.raw_width;
    size_t limit;
    if (!bp_checked_multiply(&limit, request->http->options.predict_rows, width + 1))
        return SIZE_MAX;
    return limit < SIZE_MAX - 1024 ? limit + 1024 : limit;
}

static void predict_on(bp_request *request, bp_model *model)
{
    const bp_model_info *info = bp_model_info_of(model);
    if (info->task == BP_TASK_LANGUAGE_MODEL)
        bp_answer_problem(request, 422,
                          "a language model predicts neither rows nor tags: it "
                          "writes texts (generate) and judges them (score)");
    else if (!request->json && !bp_request_parse_json(request, value_limit(request, info)))
        return;
    else if (json_is_object(request->json))
        predict_with(request, model);
    else
        bp_answer_problem(request, 422, "the body is an object with %s",
                          info->task == BP_TASK_TAGGING ? "sentences" : "rows");
}

static void predict(bp_request *request)
{
    bp_model *model = NULL;
    bp_error error = {.status = BP_OK};
    if (bp_request_borrow_model(&model, request, &error) != BP_OK) {
        bp_answer_error(request, &error);
        return;
    }
    predict_on(request, model);
    bp_model_release(model);
}

/* A row's text has at least two bytes for each of its numbers; a token's has three and a comma. */
static bool is_quick(const bp_request *request, const bp_model *model)
{
    const bp_model_info *info = bp_model_info_of(model);
    const size_t row_bytes =
        info->task == BP_TASK_TAGGING ? 4 : 2 * info->preparation.raw_width + 1;
    const size_t rows = request->body_size / row_bytes + 1;
    return bp_model_row_products(model) <= ASIDE_PRODUCTS / rows;
}

void bp_handle_predict(bp_request *request)
{
    bp_model *model =
        request->body_size <= ASIDE_BYTES ? bp_request_borrow_loaded_model(request) : NULL;
    if (model && is_quick(request, model))
        predict_on(request, model);
    else
        bp_request_run_aside(request, predict);
    bp_model_release(model);
}
