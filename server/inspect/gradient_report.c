#include "server/inspect/gradient_report.h"

#include <stdlib.h>
#include <string.h>

#include "schema/job/job_request.h"
#include "schema/json/json_text.h"

/* Rows that laying the weights out anew for each pass is worth. */
enum { PACKING_ROWS = 16 };

double bp_gradient_report_cost(const bp_network *network, size_t rows, size_t max_elements)
{
    double elements = 0, parameters = 0;
    for (size_t i = 0; i < bp_network_tensor_count(network); i++) {
        const size_t count = bp_network_tensor(network, i).element_count;
        elements += (double)(count < max_elements ? count : max_elements);
        parameters += (double)count;
    }
    return 2 * elements * parameters * (double)(rows + PACKING_ROWS);
}

bp_status bp_gradient_report_network(bp_network **out, const bp_job_spec *spec, size_t rows,
                                     size_t streams, bp_error *error)
{
    bp_network_spec network_spec = spec->training.network;
    network_spec.dtype = BP_FLOAT64;
    network_spec.use = BP_USE_TRAINING;
    network_spec.batch_rows = rows;
    network_spec.keep_z = true;
    network_spec.sequence.streams = streams;
    network_spec.sequence.steps = streams > 0 ? rows / streams : 0;
    bp_network *network = NULL;
    const bp_status status = bp_network_create(&network, &network_spec, error);
    if (status != BP_OK)
        return status;
    bp_network_initialize(network, spec->training.seed);
    *out = network;
    return BP_OK;
}

/* Position in the tensor, one number for each dimension. */
static json_t *index_json(const bp_tensor *tensor, size_t element)
{
    json_t *index = json_array();
    for (size_t axis = tensor->rank; axis-- > 0;) {
        const size_t at = element % tensor->shape[axis];
        element /= tensor->shape[axis];
        json_array_insert_new(index, 0, json_integer((json_int_t)at));
    }
    return index;
}

static json_t *shape_json(const bp_tensor *tensor)
{
    json_t *shape = json_array();
    for (size_t axis = 0; axis < tensor->rank; axis++)
        json_array_append_new(shape, json_integer((json_int_t)tensor->shape[axis]));
    return shape;
}

static json_t *tensor_json(const bp_tensor *tensor, const bp_check_report *report)
{
    json_t *worst =
        report->checked == 0
            ? json_null()
            : json_pack("{s:o, s:o, s:o}", "index", index_json(tensor, report->worst_index),
                        "analytic", bp_json_real(report->worst_analytic), "numerical",
                        bp_json_real(report->worst_numerical));
    return json_pack("{s:s, s:o, s:I, s:I, s:I, s:I, s:o, s:o, s:b}", "name", tensor->name, "shape",
                     shape_json(tensor), "elements", (json_int_t)tensor->element_count, "checked",
                     (json_int_t)report->checked, "skipped", (json_int_t)report->skipped, "failed",
                     (json_int_t)report->failed, "maximum_relative_error",
                     bp_json_real(report->worst_relative_error), "worst", worst, "pass",
                     report->failed == 0);
}

static json_t *report_json(bool *out_pass, const bp_network *network,
                           const bp_check_report *reports, const bp_check_spec *check, size_t rows)
{
    json_t *tensors = json_array();
    size_t checked = 0, skipped = 0, failed = 0;
    int missing = 0;
    for (size_t i = 0; i < bp_network_tensor_count(network); i++) {
        const bp_tensor tensor = bp_network_tensor(network, i);
        missing |= json_array_append_new(tensors, tensor_json(&tensor, &reports[i]));
        checked += reports[i].checked;
        skipped += reports[i].skipped;
        failed += reports[i].failed;
    }
    *out_pass = failed == 0 && checked > 0;
    json_t *json =
        json_pack("{s:b, s:s, s:o, s:I, s:I, s:I, s:I, s:o}", "pass", *out_pass, "method",
                  bp_difference_name(check->difference), "epsilon", bp_json_real(check->epsilon),
                  "rows", (json_int_t)rows, "checked", (json_int_t)checked, "skipped",
                  (json_int_t)skipped, "failed", (json_int_t)failed, "tensors", tensors);
    if (missing) {
        json_decref(json);
        return NULL;
    }
    return json;
}

bp_status bp_gradient_report_make(json_t **out_report, bool *out_pass, bp_network *network,
                                  const bp_job_spec *spec, const bp_first_batch *batch,
                                  const bp_check_spec *check, bp_error *error)
{
    bp_check_spec full = *check;
    full.seed = spec->training.seed;
    full.regularizer_count = spec->training.regularizer_count;
    memcpy(full.regularizers, spec->training.regularizers, sizeof full.regularizers);
    bp_check_report *reports = calloc(bp_network_tensor_count(network) + 1, sizeof *reports);
    if (!reports)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a gradient check");
    bp_network_set_noise(network, (bp_noise){BP_NOISE_TRAINING, spec->training.seed, 0});
    bp_status status = bp_gradient_check(reports, network, batch->input, batch->rows,
                                         &batch->targets, &full, error);
    bool pass = false;
    json_t *report = NULL;
    if (status == BP_OK) {
        report = report_json(&pass, network, reports, &full, batch->rows);
        if (!report)
            status = bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a gradient check");
    }
    free(reports);
    if (status == BP_OK) {
        *out_report = report;
        *out_pass = pass;
    }
    return status;
}
