/* The gradient of a job's network against differences, in float64, on the first batch of its training:
 * what POST /api/v1/gradient-check answers and what a job with "gradient_check" passes first. */
#ifndef BP_SERVER_INSPECT_GRADIENT_REPORT_H
#define BP_SERVER_INSPECT_GRADIENT_REPORT_H

#include <jansson.h>

#include "core/check/gradient_check.h"
#include "schema/job/job_spec.h"
#include "server/inspect/first_batch.h"

/* Multiply-adds that one check may take, and what a job's own check keeps to: some ten seconds of one
 * thread. */
#define BP_CHECK_BUDGET 1e11

/* Multiply-adds of a check of at most max_elements of each tensor, on `rows` rows; an estimate that counts
 * two passes for each element. */
double bp_gradient_report_cost(const bp_network *network, size_t rows, size_t max_elements);

/* A float64 network for training as the job has it, with all z kept, of at most `rows` rows, which are steps of
 * so many streams (0: of none); weights as the seed gives them. BP_TOO_LARGE, BP_NO_MEMORY and what else bp_network_create finds. */
BP_CHECK_RESULT bp_status bp_gradient_report_network(bp_network **out, const bp_job_spec *spec,
                                                     size_t rows, size_t streams, bp_error *error);

/* Checks network on batch; masks of dropout are those of the first step. spec gives the regularisers and
 * the seed of masks; check's own regularisers, seed are set here. *out_report: {"pass", "method",
 * "epsilon", "rows", "checked", "skipped", "failed", "tensors": [{"name", "shape", "elements", "checked",
 * "skipped", "failed", "maximum_relative_error", "worst": {"index", "analytic", "numerical"} or null,
 * "pass"}]}. Nothing passes where no element could be checked. BP_NO_MEMORY, BP_CANCELLED. */
BP_CHECK_RESULT bp_status bp_gradient_report_make(json_t **out_report, bool *out_pass,
                                                  bp_network *network, const bp_job_spec *spec,
                                                  const bp_first_batch *batch,
                                                  const bp_check_spec *check, bp_error *error);

#endif
