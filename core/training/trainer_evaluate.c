/* Evaluations: forward passes in file order, which leave the training's own state as it is. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "core/training/trainer_plan.h"

/* One evaluation under way. */
typedef struct evaluation_run {
    bp_trainer *trainer;
    bp_batches batches;
    int32_t *decided; /* (row_count) or NULL */
    size_t index;     /* of the next batch */
    size_t first;     /* rows of those before it */
} evaluation_run;

/* What is found of one batch. */
typedef struct batch_result {
    bp_batch batch;
    const void *output;
    double loss_sum; /* row losses are the trainer's row_loss */
    size_t correct;
} batch_result;

static bp_status begin(evaluation_run *run, bp_trainer *trainer, const bp_examples *examples,
                       int32_t *decided, bp_error *error)
{
    assert(!decided || (bp_trainer_has_classes(trainer) && examples->kind != BP_EXAMPLES_STREAMS));
    *run = (evaluation_run){.trainer = trainer, .decided = decided};
    const bp_status status = bp_batches_cut(&run->batches, &trainer->room, examples, error);
    if (status != BP_OK)
        return status;
    run->batches.corruption = bp_random_stream(trainer->seed, 0, BP_RANDOM_CORRUPTION, UINT64_MAX);
    if (trainer->state_bytes > 0)
        memcpy(trainer->kept_state, bp_network_state(trainer->network), trainer->state_bytes);
    if (examples->kind == BP_EXAMPLES_STREAMS) {
        bp_network_state_reset(trainer->network);
        bp_network_set_streams(trainer->network, run->batches.streams.stream_count);
    }
    return BP_OK;
}

static void end(evaluation_run *run)
{
    bp_trainer *trainer = run->trainer;
    if (trainer->state_bytes > 0)
        memcpy(bp_network_state(trainer->network), trainer->kept_state, trainer->state_bytes);
    if (trainer->room.kind == BP_EXAMPLES_STREAMS)
        bp_network_set_streams(trainer->network, trainer->room.streams);
}

/* Whether there is another batch and it is to be taken; the first always is. */
static bool goes_on(evaluation_run *run)
{
    bp_trainer *trainer = run->trainer;
    if (run->index >= run->batches.batch_count)
        return false;
    if (run->index > 0 && trainer->stop && trainer->stop(trainer->stop_context))
        trainer->interrupted = true;
    return run->index == 0 || !trainer->interrupted;
}

static bp_status pass_next(batch_result *out, evaluation_run *run, bp_error *error)
{
    bp_trainer *trainer = run->trainer;
    bp_network *network = trainer->network;
    batch_result result;
    bp_batch *batch = &result.batch;
    const bp_status status =
        bp_batch_take(batch, &trainer->room, trainer->parallel, &run->batches, run->index, error);
    if (status != BP_OK)
        return status;
    result.output =
        bp_network_forward(network, trainer->parallel, batch->input, batch->pass_rows, false);
    bp_network_loss_value(network, trainer->parallel, &batch->targets, trainer->row_loss);
    result.loss_sum = trainer->kernels64->sum(trainer->row_loss, batch->rows);
    result.correct = bp_trainer_count_correct(trainer, result.output, batch);
    if (run->decided)
        memcpy(run->decided + run->first, trainer->predicted, batch->rows * sizeof *run->decided);
    run->first += batch->rows;
    run->index++;
    *out = result;
    return BP_OK;
}

bp_status bp_trainer_evaluate(bp_evaluation *out, bp_trainer *trainer, const bp_examples *examples,
                              int32_t *decided, bp_error *error)
{
    evaluation_run run;
    double loss = 0;
    size_t correct = 0;
    bp_status status = begin(&run, trainer, examples, decided, error);
    if (status != BP_OK)
        return status;
    while (status == BP_OK && goes_on(&run)) {
        batch_result result;
        status = pass_next(&result, &run, error);
        if (status == BP_OK) {
            loss += result.loss_sum;
            correct += result.correct;
        }
    }
    end(&run);
    if (status != BP_OK)
        return status;
    const double rows = (double)run.batches.row_count;
    const bool decides = trainer->room.paired || bp_trainer_has_classes(trainer);
    *out = (bp_evaluation){.rows = run.batches.row_count,
                           .loss = loss / rows,
                           .accuracy = decides ? (double)correct / rows : NAN};
    return BP_OK;
}

bp_evaluator_spec bp_training_evaluator(const bp_training_spec *spec, const bp_network_size *size,
                                        size_t row_count)
{
    const bp_loss *loss = bp_loss_of(spec->network.loss.member);
    return (bp_evaluator_spec){.kind = loss->target_kind,
                               .totals_only = loss->paired || spec->kind == BP_EXAMPLES_STREAMS,
                               .dtype = spec->network.dtype,
                               .width = bp_loss_shown_width(loss, size->output_width),
                               .row_count = row_count};
}

/* Cross-entropies of rows without class weights, which need not be probabilities' logarithms: from the
 * outputs, as the loss has them. NULL where the outputs are no probabilities. */
static const double *log_losses(bp_trainer *trainer, const batch_result *result)
{
    const bp_loss *loss = bp_network_loss(trainer->network);
    if (loss->shown != BP_SHOWN_PROBABILITIES)
        return NULL;
    const bp_loss_call call = {.output = result->output,
                               .width = trainer->room.output_width,
                               .rows = result->batch.rows,
                               .label = result->batch.targets.label,
                               .row_loss = trainer->row_loss,
                               .value = trainer->loss.value};
    if (trainer->weighs_classes)
        loss->rows(&call, 0, call.rows);
    return trainer->row_loss;
}

static void add_batch(bp_evaluator *evaluator, bp_trainer *trainer, const batch_result *result,
                      bool totals_only)
{
    bp_evaluation_batch evaluated = {.rows = result->batch.rows,
                                     .loss_sum = result->loss_sum,
                                     .correct = result->correct,
                                     .label = result->batch.targets.label,
                                     .value = result->batch.targets.value};
    if (bp_trainer_has_classes(trainer)) {
        evaluated.decided = trainer->predicted;
        evaluated.log_loss = log_losses(trainer, result);
    }
    if (!totals_only) /* may take output's place */
        evaluated.shown = bp_network_shown_output(trainer->network);
    bp_evaluator_add(evaluator, &evaluated);
}

bp_status bp_trainer_evaluate_full(bp_evaluation_report *out, bp_trainer *trainer,
                                   const bp_examples *examples, bp_evaluator *evaluator,
                                   int32_t *decided, bp_error *error)
{
    evaluation_run run;
    bp_status status = begin(&run, trainer, examples, decided, error);
    if (status != BP_OK)
        return status;
    const bool totals_only = trainer->room.paired || examples->kind == BP_EXAMPLES_STREAMS;
    bp_evaluator_begin(evaluator);
    while (status == BP_OK && goes_on(&run)) {
        batch_result result;
        status = pass_next(&result, &run, error);
        if (status == BP_OK)
            add_batch(evaluator, trainer, &result, totals_only);
    }
    end(&run);
    if (status == BP_OK)
        bp_evaluator_finish(evaluator, out);
    return status;
}
