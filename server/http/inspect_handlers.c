/* Looking into networks: long computations in float64, on the thread for such (request.h). */
#include <stdlib.h>

#include "schema/job/job_request.h"
#include "schema/job/labels.h"
#include "schema/model/example_rows.h"
#include "schema/model/example_tokens.h"
#include "server/http/handlers.h"
#include "server/http/problem.h"
#include "server/inspect/backpropagation.h"
#include "server/inspect/gradient_report.h"
#include "server/job/spec_lookup.h"
#include "server/model/model_loader.h"
#include "server/model/weights_copy.h"

/* Numbers that one answer may hold: some 25 MB of text. */
enum { NUMBER_LIMIT = 1000000 };

static bool is_given_up(void *context)
{
    return bp_request_is_given_up(context);
}

/* Nothing may be answered yet. */
static void answer_end(bp_request *request, bp_status status, const bp_faults *faults,
                       const bp_error *error)
{
    if (bp_faults_any(faults))
        bp_answer_faults(request, faults);
    else if (status == BP_CANCELLED)
        bp_answer_problem(request, 503, "given up: the daemon is stopping or the client has gone");
    else
        bp_answer_error(request, error);
}

/* ---- a job that is only looked at ---- */

/* A job in float64, its data and nothing else. */
typedef struct looked_at {
    bp_job_spec *spec;
    bp_job_data data;
} looked_at;

static void want_float64(json_t *job)
{
    json_t *training = json_object_get(job, "training");
    if (!training && json_is_object(job)) {
        training = json_object();
        json_object_set_new(job, "training", training);
    }
    if (json_is_object(training))
        json_object_set_new(training, "dtype", json_string("float64"));
}

/* Resolves whatever faults there are already, so that one answer has all of them. Release with
 * looked_at_done in any case. */
static bp_status look_at(looked_at *out, bp_request *request, json_t *job, bp_faults *faults,
                         bp_error *error)
{
    const bp_services *services = request->services;
    bp_spec_lookup found = {.datasets = services->datasets,
                            .store = services->store,
                            .cancelled = is_given_up,
                            .context = request};
    const bp_dataset_lookup lookup = bp_spec_lookup_of(&found);
    json_t *resolved = NULL, *warnings = NULL;
    bp_job_size size;
    want_float64(job);
    bp_status status = bp_job_resolve(&out->spec, &resolved, &warnings, &size, faults, job, &lookup,
                                      &services->job_limits, services->isa);
    json_decref(resolved);
    json_decref(warnings);
    if (found.error.status != BP_OK) {
        bp_faults_done(faults); /* what could not be read may be what they complain of */
        status =
            bp_error_set(error, found.error.status, found.error.where, "%s", found.error.message);
    }
    bp_spec_lookup_done(&found);
    if (status == BP_OK)
        status = bp_job_data_load(&out->data, services->datasets, out->spec, is_given_up, request,
                                  error);
    if (status == BP_OK)
        status = bp_job_balance_classes(out->spec, bp_job_data_labels(&out->data),
                                        out->data.training.row_count, error);
    return status;
}

static void looked_at_done(looked_at *job)
{
    bp_job_data_done(&job->data);
    bp_job_spec_free(job->spec);
}

static bp_status make_network(bp_network **out, bp_request *request, const bp_job_spec *spec,
                              size_t rows, size_t streams, bp_error *error)
{
    bp_network *network = NULL;
    bp_status status = bp_gradient_report_network(&network, spec, rows, streams, error);
    if (status == BP_OK)
        status = bp_weights_copy_initial(network, request->services->store, spec,
                                         request->services->isa, error);
    if (status == BP_OK)
        status = bp_weights_take_vectors(network, request->services->datasets, spec, is_given_up,
                                         request, error);
    if (status != BP_OK)
        bp_network_free(network);
    else
        *out = network;
    return status;
}

/* ---- POST /api/v1/gradient-check ---- */

static bp_status check(json_t **out, bp_request *request, const looked_at *job,
                       const bp_check_request *wanted, bp_faults *faults, bp_error *error)
{
    const bp_job_spec *spec = job->spec;
    bp_first_batch batch = {0};
    bp_network *network = NULL;
    bool pass;
    bp_status status =
        bp_first_batch_take(&batch, &spec->training, &job->data.training,
                            spec->task == BP_TASK_REGRESSION ? spec->target_width : 0, error);
    if (status == BP_OK)
        status = make_network(&network, request, spec, batch.rows, batch.streams, error);
    if (status == BP_OK) {
        const double cost = bp_gradient_report_cost(network, batch.rows, wanted->max_elements);
        if (cost > BP_CHECK_BUDGET) {
            bp_faults_add(faults, BP_TOO_LARGE, "/max_elements",
                          "this check of %zu rows needs about %.3g multiplications; at most %.3g "
                          "are allowed: ask for fewer elements or a smaller batch",
                          batch.rows, cost, BP_CHECK_BUDGET);
            status = BP_TOO_LARGE;
        }
    }
    if (status == BP_OK) {
        const bp_check_spec spec_of_check = {.difference = wanted->difference,
                                             .epsilon = wanted->epsilon,
                                             .max_elements = wanted->max_elements,
                                             .cancelled = is_given_up,
                                             .context = request};
        status = bp_gradient_report_make(out, &pass, network, spec, &batch, &spec_of_check, error);
    }
    bp_network_free(network);
    bp_first_batch_done(&batch);
    return status;
}

static void run_gradient_check(bp_request *request)
{
    if (!bp_request_parse_json(request, SIZE_MAX))
        return;
    bp_faults faults = {.count = 0};
    bp_error error = {.status = BP_OK};
    bp_check_request wanted;
    looked_at job = {.spec = NULL};
    json_t *body = NULL, *report = NULL;
    bp_status status = BP_NO_MEMORY;
    bp_check_request_read(&wanted, &body, &faults, request->json);
    if (body)
        status = look_at(&job, request, body, &faults, &error);
    if (status == BP_OK && bp_faults_any(&faults))
        status = BP_INVALID;
    if (status == BP_OK)
        status = check(&report, request, &job, &wanted, &faults, &error);
    if (status == BP_OK)
        bp_answer_json(request, 200, report);
    else
        answer_end(request, status, &faults, &error);
    looked_at_done(&job);
    json_decref(body);
    bp_faults_done(&faults);
}

void bp_handle_gradient_check(bp_request *request)
{
    bp_request_run_computing(request, run_gradient_check);
}

/* ---- POST /api/v1/backpropagate ---- */

/* Numbers that the answer would hold. */
static double number_count(const bp_network *network, size_t input_width, size_t rows)
{
    double count = (double)rows * (double)(input_width + 1 + bp_network_shown_width(network));
    for (size_t i = 0; i < bp_network_layer_count(network); i++)
        count += 3 * (double)rows * (double)bp_network_layer(network, i)->shape.output_width;
    for (size_t i = 0; i < bp_network_tensor_count(network); i++)
        count += 2 * (double)bp_network_tensor(network, i).element_count;
    return count;
}

static bp_status check_size(const bp_network *network, size_t input_width, size_t rows,
                            bp_faults *faults)
{
    const double numbers = number_count(network, input_width, rows);
    if (numbers <= NUMBER_LIMIT)
        return BP_OK;
    bp_faults_add(faults, BP_TOO_LARGE, "",
                  "the answer would hold %.0f numbers; at most %d are shown", numbers,
                  NUMBER_LIMIT);
    return BP_TOO_LARGE;
}

/* Values as the network is to give them: scaled where the targets are. In place. */
static bp_status scale_targets(bp_example_rows *rows, const bp_model_info *info, bp_error *error)
{
    const bp_preparation *target = &info->target_preparation;
    if (!rows->value || target->column_count == 0)
        return BP_OK;
    double *scaled = calloc(rows->count * info->target_width, sizeof *scaled);
    if (!scaled)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for targets");
    bp_preparation_apply(target, scaled, BP_FLOAT64, rows->value, rows->count);
    free(rows->value);
    rows->value = scaled;
    return BP_OK;
}

/* network: planned for at least as many rows. */
static bp_status backpropagate(json_t **out, bp_network *network, const bp_model_info *info,
                               bp_example_rows *rows, bp_faults *faults, bp_error *error)
{
    const size_t width = info->preparation.prepared_width;
    bp_status status = check_size(network, width, rows->count, faults);
    if (status == BP_OK)
        status = scale_targets(rows, info, error);
    if (status != BP_OK)
        return status;
    double *input = calloc(rows->count * width, sizeof *input);
    json_t *json = NULL;
    if (input) {
        const bp_targets targets = {.label = rows->label, .value = rows->value};
        bp_preparation_apply(&info->preparation, input, BP_FLOAT64, rows->raw, rows->count);
        json = bp_backpropagation_json(network, input, width, rows->count, &targets);
    }
    free(input);
    if (json && info->task == BP_TASK_CLASSIFICATION &&
        json_object_set_new(json, "classes", bp_labels_json(&info->classes)) != 0) {
        json_decref(json);
        json = NULL;
    }
    if (!json)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for the answer");
    *out = json;
    return BP_OK;
}

/* What is to be shown, read: one of the two. */
typedef struct shown_examples {
    bp_example_rows rows;
    bp_example_tokens tokens;
} shown_examples;

static bp_status parse_examples(shown_examples *out, bp_faults *faults, const bp_model_info *info,
                                const bp_backpropagate_request *wanted)
{
    if (!bp_example_members_check(faults, info, wanted))
        return BP_INVALID;
    if (bp_task_is_of_corpus(info->task))
        return bp_example_tokens_parse(&out->tokens, faults, info, wanted,
                                       BP_BACKPROPAGATE_ROW_LIMIT);
    return bp_example_rows_parse(&out->rows, faults, info, wanted->rows,
                                 BP_BACKPROPAGATE_ROW_LIMIT);
}

static void examples_done(shown_examples *examples)
{
    bp_example_rows_done(&examples->rows);
    bp_example_tokens_done(&examples->tokens);
}

static size_t pass_rows(const shown_examples *examples)
{
    return examples->tokens.rows > 0 ? examples->tokens.rows : examples->rows.count;
}

/* The same of tokens. */
static bp_status backpropagate_tokens(json_t **out, bp_network *network, const bp_model_info *info,
                                      const bp_example_tokens *tokens, bp_faults *faults,
                                      bp_error *error)
{
    const bp_status status = check_size(network, info->window_width, tokens->rows, faults);
    if (status != BP_OK)
        return status;
    const bp_targets targets = {.label = tokens->label};
    json_t *json =
        bp_backpropagation_json(network, tokens->ids, info->window_width, tokens->rows, &targets);
    bool ok = json != NULL;
    ok = ok && json_object_set_new(json, "tokens", bp_example_tokens_json(tokens, info)) == 0;
    if (ok && tokens->label && info->task == BP_TASK_TAGGING)
        ok = json_object_set_new(json, "classes", bp_labels_json(&info->classes)) == 0;
    if (!ok) {
        json_decref(json);
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for the answer");
    }
    *out = json;
    return BP_OK;
}

static bp_status show(json_t **out, bp_network *network, const bp_model_info *info,
                      shown_examples *examples, bp_faults *faults, bp_error *error)
{
    return bp_task_is_of_corpus(info->task)
               ? backpropagate_tokens(out, network, info, &examples->tokens, faults, error)
               : backpropagate(out, network, info, &examples->rows, faults, error);
}

static bp_status backpropagate_job(json_t **out, bp_request *request,
                                   const bp_backpropagate_request *wanted, bp_faults *faults,
                                   bp_error *error)
{
    looked_at job = {.spec = NULL};
    bp_model_info *info = NULL;
    bp_network *network = NULL;
    shown_examples examples = {.rows = {.count = 0}};
    bp_status status = look_at(&job, request, wanted->job, faults, error);
    if (status == BP_OK && bp_faults_any(faults))
        status = BP_INVALID;
    if (status == BP_OK)
        status = bp_model_info_create(&info, job.spec, &job.data.preparation,
                                      &job.data.target_preparation, error);
    if (status == BP_OK)
        status = parse_examples(&examples, faults, info, wanted);
    if (status == BP_OK)
        status = make_network(&network, request, job.spec, pass_rows(&examples),
                              examples.tokens.streams, error);
    if (status == BP_OK)
        status = show(out, network, info, &examples, faults, error);
    bp_network_free(network);
    examples_done(&examples);
    bp_model_info_free(info);
    looked_at_done(&job);
    return status;
}

static bp_status network_of_model(bp_network **out, const bp_model *model, bp_isa isa, size_t rows,
                                  bp_error *error)
{
    bp_network_spec spec;
    bp_network *network = NULL;
    bp_model_info_network(&spec, bp_model_info_of(model), isa, rows);
    spec.dtype = BP_FLOAT64;
    spec.use = BP_USE_TRAINING;
    spec.keep_z = true;
    bp_status status = bp_network_create(&network, &spec, error);
    if (status == BP_OK)
        status = bp_weights_copy(network, bp_model_owner(model), error);
    if (status != BP_OK)
        bp_network_free(network);
    else
        *out = network;
    return status;
}

static bp_status backpropagate_model(json_t **out, bp_request *request,
                                     const bp_backpropagate_request *wanted, bp_faults *faults,
                                     bp_error *error)
{
    const bp_services *services = request->services;
    bp_model *model = NULL;
    bp_network *network = NULL;
    shown_examples examples = {.rows = {.count = 0}};
    bp_status status =
        bp_models_borrow(&model, services->models, wanted->model, wanted->version, error);
    if (status != BP_OK)
        return status;
    const bp_model_info *info = bp_model_info_of(model);
    status = parse_examples(&examples, faults, info, wanted);
    if (status == BP_OK)
        status = network_of_model(&network, model, services->isa, pass_rows(&examples), error);
    if (status == BP_OK)
        status = show(out, network, info, &examples, faults, error);
    if (status == BP_OK &&
        (json_object_set_new(*out, "model", json_string(info->name)) != 0 ||
         json_object_set_new(*out, "version", json_integer((json_int_t)info->version)) != 0)) {
        json_decref(*out);
        status = bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for the answer");
    }
    bp_network_free(network);
    examples_done(&examples);
    bp_model_release(model);
    return status;
}

static void run_backpropagate(bp_request *request)
{
    if (!bp_request_parse_json(request, SIZE_MAX))
        return;
    bp_faults faults = {.count = 0};
    bp_error error = {.status = BP_OK};
    bp_backpropagate_request wanted;
    json_t *answer = NULL;
    bp_status status = BP_INVALID;
    bp_backpropagate_request_read(&wanted, &faults, request->json);
    if (wanted.job)
        status = backpropagate_job(&answer, request, &wanted, &faults, &error);
    else if (!bp_faults_any(&faults))
        status = backpropagate_model(&answer, request, &wanted, &faults, &error);
    if (status == BP_OK)
        bp_answer_json(request, 200, answer);
    else
        answer_end(request, status, &faults, &error);
    json_decref(wanted.job);
    bp_faults_done(&faults);
}

void bp_handle_backpropagate(bp_request *request)
{
    if (request->services->models)
        bp_request_run_computing(request, run_backpropagate);
    else
        bp_answer_problem(request, 503, "this part of the daemon is not running");
}
