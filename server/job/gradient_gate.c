#include "server/job/gradient_gate.h"

#include <stdlib.h>

#include "schema/job/job_request.h"
#include "schema/json/json_text.h"
#include "server/inspect/gradient_report.h"
#include "server/model/weights_copy.h"
#include "server/store/job_store.h"

typedef struct report_write {
    bp_write write; /* first */
    int64_t job;
    const char *text;
} report_write;

static bp_status apply_report(bp_write *write, sqlite3 *database, bp_error *error)
{
    const report_write *self = (const report_write *)write;
    return bp_job_store_gradient_check(database, self->job, self->text, error);
}

static bp_status keep_report(const bp_gradient_gate *gate, const json_t *report, bp_error *error)
{
    char *text = bp_json_text(report, NULL);
    if (!text)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a gradient check");
    report_write self = {
        .write = {.apply = apply_report, .waits_for_space = true}, .job = gate->job, .text = text};
    const bp_status status = bp_store_write_wait(gate->store, &self.write, error);
    free(text);
    return status;
}

/* The most elements of a tensor, by halves, that the budget allows; at least a few. */
static size_t elements_within_budget(const bp_network *network, size_t rows)
{
    enum { LEAST = 8 };
    size_t elements = BP_CHECK_MAX_ELEMENTS;
    while (elements > LEAST && bp_gradient_report_cost(network, rows, elements) > BP_CHECK_BUDGET)
        elements /= 2;
    return elements;
}

bp_status bp_gradient_gate_try(bool *out_pass, const bp_gradient_gate *gate, bp_error *error)
{
    bp_first_batch batch = {0};
    bp_network *network = NULL;
    json_t *report = NULL;
    const size_t target_width =
        gate->spec->task == BP_TASK_REGRESSION ? gate->spec->target_width : 0;
    bp_status status =
        bp_first_batch_take(&batch, &gate->spec->training, gate->examples, target_width, error);
    if (status == BP_OK)
        status = bp_gradient_report_network(&network, gate->spec, batch.rows, batch.streams, error);
    if (status == BP_OK)
        status = bp_weights_copy(network, gate->weights, error);
    if (status == BP_OK) {
        const bp_check_spec check = {.difference = BP_DIFFERENCE_CENTRAL,
                                     .epsilon = 1e-5,
                                     .max_elements = elements_within_budget(network, batch.rows),
                                     .cancelled = gate->cancelled,
                                     .context = gate->context};
        status =
            bp_gradient_report_make(&report, out_pass, network, gate->spec, &batch, &check, error);
    }
    if (status == BP_OK)
        status = keep_report(gate, report, error);
    json_decref(report);
    bp_network_free(network);
    bp_first_batch_done(&batch);
    return status;
}
