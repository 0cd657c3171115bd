/* A run: epochs of batches, each gathered, passed forward and backward, and applied.
 *
 * The step count is the whole position: epoch and batch follow from it, and the order of an epoch's
 * rows follows from (seed, epoch). Invariants: the network's parameters are those after
 * position.step updates; nothing but bp_trainer_step changes either. */
#include "core/training/trainer.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "core/base/checked.h"
#include "core/schedule/schedule.h"
#include "core/training/penalty.h"
#include "core/training/trainer_plan.h"

/* Rows of features are gathered in blocks of about this many bytes. */
enum { GATHER_BLOCK_BYTES = 65536 };

static size_t batch_rows_for(const bp_training_spec *spec, size_t row_count)
{
    return spec->batch_size < row_count ? spec->batch_size : row_count;
}

static bp_network_spec network_spec_for(const bp_training_spec *spec, size_t row_count)
{
    bp_network_spec network = spec->network;
    network.use = BP_USE_TRAINING;
    network.batch_rows = batch_rows_for(spec, row_count);
    return network;
}

static bp_status check_spec(const bp_training_spec *spec, size_t row_count, bp_error *error)
{
    if (row_count < 1)
        return bp_error_set(error, BP_SHAPE, "/data", "there are no training rows");
    if (spec->batch_size < 1)
        return bp_error_set(error, BP_INVALID, "/training/batch_size", "must be at least 1");
    if (!spec->optimizer.member)
        return bp_error_set(error, BP_INVALID, "/optimizer", "a training needs an optimiser");
    if (!spec->schedule.member)
        return bp_error_set(error, BP_INVALID, "/schedule", "a training needs a schedule");
    if (!(spec->clip_norm >= 0))
        return bp_error_set(error, BP_INVALID, "/training/clip_norm", "must be above 0");
    return bp_regularizers_check(spec->regularizers, spec->regularizer_count, error);
}

static void *take_rows(bp_arena *arena, size_t rows, size_t width, size_t size)
{
    size_t count;
    if (!bp_checked_multiply(&count, rows, width)) {
        arena->overflow = true;
        return NULL;
    }
    return bp_arena_take(arena, count, size);
}

/* Takes the buffers from the arena, measuring or real. Widths, rows and update.count are set. */
static bp_status plan(bp_trainer *trainer, bp_arena *arena, const bp_training_spec *spec,
                      const bp_network_size *network, size_t row_count, bp_error *error)
{
    const size_t rows = trainer->batch_rows, size = trainer->kernels->real_size;
    const bool by_class = trainer->target_kind == BP_TARGET_CLASS;
    bp_update_plan(&trainer->update, arena, network);
    trainer->diagnosis =
        bp_arena_take(arena, spec->network.layer_count, sizeof *trainer->diagnosis);
    if (bp_early_stopping_keeps_best(&spec->early_stopping))
        trainer->best_weights = bp_arena_take(arena, network->parameter_bytes, 1);
    trainer->order = (bp_row_order){.seed = spec->seed, .row_count = row_count};
    if (spec->shuffle) {
        trainer->order.index = bp_arena_take(arena, row_count, sizeof *trainer->order.index);
        trainer->batch_features = take_rows(arena, rows, trainer->input_width, size);
        if (by_class)
            trainer->batch_label = bp_arena_take(arena, rows, sizeof *trainer->batch_label);
        else
            trainer->batch_value = take_rows(arena, rows, trainer->output_width, size);
    }
    if (by_class)
        trainer->predicted = bp_arena_take(arena, rows, sizeof *trainer->predicted);
    trainer->row_loss = bp_arena_take(arena, rows, sizeof *trainer->row_loss);
    if (arena->overflow)
        return bp_error_set(error, BP_TOO_LARGE, "/training", "the training is too large");
    return BP_OK;
}

/* What plan() needs to know of the network, from its specification and size alone. */
static bp_trainer trainer_for_sizes(const bp_training_spec *spec, const bp_network_size *size,
                                    size_t row_count)
{
    const bp_network_spec *network = &spec->network;
    const bp_kernels *kernels = bp_kernels_get(network->dtype, network->isa);
    if (!kernels)
        kernels = bp_kernels_get(network->dtype, BP_ISA_BASELINE);
    bp_trainer trainer = {
        .kernels = kernels,
        .target_kind = kernels->losses[network->loss.member->index]->target_kind,
        .input_width = network->input_width,
        .output_width = size->output_width,
        .batch_rows = batch_rows_for(spec, row_count),
        .update = {.kernels = kernels,
                   .optimizer = kernels->optimizers[spec->optimizer.member->index],
                   .choice = spec->optimizer,
                   .regularizer_count = spec->regularizer_count,
                   .clip_norm = spec->clip_norm,
                   .fan_in_scaled = bp_schedule_is_fan_in_scaled(&spec->schedule),
                   .count = size->parameter_bytes / kernels->real_size}};
    memcpy(trainer.update.regularizers, spec->regularizers, sizeof trainer.update.regularizers);
    return trainer;
}

bp_status bp_trainer_measure(size_t *out_bytes, bp_network_size *out_network,
                             const bp_training_spec *spec, size_t row_count, bp_error *error)
{
    bp_status status = check_spec(spec, row_count, error);
    if (status != BP_OK)
        return status;
    const bp_network_spec network = network_spec_for(spec, row_count);
    bp_network_size size;
    status = bp_network_measure(&size, &network, error);
    if (status != BP_OK)
        return status;
    bp_trainer trainer = trainer_for_sizes(spec, &size, row_count);
    bp_arena arena = bp_arena_measure();
    bp_arena_take(&arena, 1, sizeof trainer);
    status = plan(&trainer, &arena, spec, &size, row_count, error);
    if (status != BP_OK)
        return status;
    size_t bytes;
    if (!bp_checked_add(&bytes, arena.used_bytes, size.total_bytes))
        return bp_error_set(error, BP_TOO_LARGE, "/training", "the training is too large");
    *out_bytes = bytes;
    *out_network = size;
    return BP_OK;
}

bp_status bp_trainer_create(bp_trainer **out, const bp_training_spec *spec,
                            const bp_examples *examples, const bp_parallel *parallel,
                            bp_error *error)
{
    bp_network *network = NULL;
    bp_arena arena = bp_arena_measure();
    bp_trainer *trainer = NULL;
    size_t bytes;
    bp_network_size size;
    bp_status status = bp_trainer_measure(&bytes, &size, spec, examples->row_count, error);
    if (status != BP_OK)
        return status;
    const bp_network_spec network_spec = network_spec_for(spec, examples->row_count);
    status = bp_network_create(&network, &network_spec, error);
    if (status != BP_OK)
        goto done;
    status = bp_arena_open(&arena, bytes - size.total_bytes, error);
    if (status != BP_OK)
        goto done;
    trainer = bp_arena_take(&arena, 1, sizeof *trainer);
    if (!trainer) {
        status = bp_error_set(error, BP_INTERNAL, "", "the plan of the training is too small");
        goto done;
    }
    *trainer = trainer_for_sizes(spec, &size, examples->row_count);
    status = plan(trainer, &arena, spec, &size, examples->row_count, error);
    if (status != BP_OK)
        goto done;
    trainer->position.steps_per_epoch = examples->row_count / trainer->batch_rows +
                                        (examples->row_count % trainer->batch_rows != 0);
    if (__builtin_mul_overflow(spec->epochs, trainer->position.steps_per_epoch,
                               &trainer->position.step_limit)) {
        status = bp_error_set(error, BP_TOO_LARGE, "/training/epochs", "too many steps");
        goto done;
    }

    trainer->network = network;
    trainer->kernels64 = bp_kernels_get(BP_FLOAT64, spec->network.isa);
    trainer->examples = *examples;
    if (parallel) {
        trainer->parallel_copy = *parallel;
        trainer->parallel = &trainer->parallel_copy;
    }
    trainer->loss = spec->network.loss;
    trainer->schedule = spec->schedule;
    trainer->base_rate = spec->optimizer.value[0];
    trainer->early_stopping = spec->early_stopping;
    bp_update_bind(&trainer->update, network);
    trainer->arena = arena;
    bp_network_initialize(network, spec->seed);
    *out = trainer;
    return BP_OK;
done:
    bp_arena_done(&arena);
    bp_network_free(network);
    return status;
}

void bp_trainer_free(bp_trainer *trainer)
{
    if (!trainer)
        return;
    bp_network_free(trainer->network);
    bp_arena arena = trainer->arena; /* the struct itself lies in it */
    bp_arena_done(&arena);
}

bp_position bp_trainer_position(const bp_trainer *trainer)
{
    bp_position position = trainer->position;
    position.epoch = position.step / position.steps_per_epoch;
    return position;
}

bool bp_trainer_finished(const bp_trainer *trainer)
{
    return trainer->watch.early_stopping.stopped ||
           trainer->position.step >= trainer->position.step_limit;
}

bp_network *bp_trainer_network(bp_trainer *trainer)
{
    return trainer->network;
}

typedef struct gather_job {
    const bp_trainer *trainer;
    const size_t *index; /* of the batch's rows */
    size_t rows, block_rows;
} gather_job;

static void gather_block(void *argument, size_t block)
{
    const gather_job *job = argument;
    const bp_trainer *trainer = job->trainer;
    const size_t first = block * job->block_rows, left = job->rows - first;
    const size_t count = left < job->block_rows ? left : job->block_rows;
    const size_t row_bytes = trainer->input_width * trainer->kernels->real_size;
    trainer->kernels->gather_rows((unsigned char *)trainer->batch_features + first * row_bytes,
                                  trainer->examples.features, job->index + first, count,
                                  trainer->input_width);
}

/* A run of rows as a pass takes them. */
typedef struct row_batch {
    const void *features;
    bp_targets targets;
} row_batch;

static row_batch batch_in_place(const bp_trainer *trainer, const bp_examples *examples,
                                size_t first)
{
    const size_t size = trainer->kernels->real_size;
    row_batch batch = {.features = (const unsigned char *)examples->features +
                                   first * trainer->input_width * size};
    if (trainer->target_kind == BP_TARGET_CLASS)
        batch.targets.label = examples->label + first;
    else
        batch.targets.value =
            (const unsigned char *)examples->value + first * trainer->output_width * size;
    return batch;
}

static row_batch batch_gathered(bp_trainer *trainer, const size_t *index, size_t rows)
{
    const bp_kernels *kernels = trainer->kernels;
    const size_t row_bytes = trainer->input_width * kernels->real_size;
    gather_job job = {.trainer = trainer,
                      .index = index,
                      .rows = rows,
                      .block_rows =
                          row_bytes < GATHER_BLOCK_BYTES ? GATHER_BLOCK_BYTES / row_bytes : 1};
    bp_parallel_for(trainer->parallel, gather_block, &job,
                    (rows + job.block_rows - 1) / job.block_rows);
    row_batch batch = {.features = trainer->batch_features};
    if (trainer->target_kind == BP_TARGET_CLASS) {
        for (size_t row = 0; row < rows; row++)
            trainer->batch_label[row] = trainer->examples.label[index[row]];
        batch.targets.label = trainer->batch_label;
    } else {
        kernels->gather_rows(trainer->batch_value, trainer->examples.value, index, rows,
                             trainer->output_width);
        batch.targets.value = trainer->batch_value;
    }
    return batch;
}

/* Fills `predicted` with the class that each row's output speaks for. */
static void decide(bp_trainer *trainer, const void *output, size_t rows)
{
    bp_network_loss(trainer->network)
        ->decide(trainer->predicted, output, rows, trainer->output_width);
}

static size_t correct_count(bp_trainer *trainer, const void *output, const int32_t *label,
                            size_t rows)
{
    decide(trainer, output, rows);
    size_t correct = 0;
    for (size_t row = 0; row < rows; row++)
        correct += trainer->predicted[row] == label[row];
    return correct;
}

static void look_at_units(bp_trainer *trainer, size_t rows)
{
    for (size_t index = 0; index < bp_network_layer_count(trainer->network); index++)
        trainer->diagnosis[index] =
            bp_diagnosis_of(trainer->kernels, bp_network_layer(trainer->network, index), rows);
}

static void look_at_update(bp_trainer *trainer)
{
    for (size_t index = 0; index < bp_network_layer_count(trainer->network); index++)
        trainer->diagnosis[index].update_ratio = bp_update_ratio(&trainer->update, index);
}

void bp_trainer_step(bp_trainer *trainer, bool measure, bp_step_report *out)
{
    assert(!bp_trainer_finished(trainer));
    const bp_position position = bp_trainer_position(trainer);
    const size_t first = (size_t)(position.step % position.steps_per_epoch) * trainer->batch_rows;
    const size_t left = trainer->examples.row_count - first;
    const size_t rows = left < trainer->batch_rows ? left : trainer->batch_rows;
    const size_t *order = bp_row_order_of(&trainer->order, position.epoch);
    const row_batch batch = order ? batch_gathered(trainer, order + first, rows)
                                  : batch_in_place(trainer, &trainer->examples, first);

    bp_step_report report = {.rows = rows, .accuracy = NAN, .gradient_norm = NAN, .penalty = NAN};
    const bp_schedule_context context = {.base_rate = trainer->base_rate,
                                         .step = position.step,
                                         .steps_per_epoch = position.steps_per_epoch,
                                         .step_limit = position.step_limit,
                                         .reductions = trainer->watch.plateau.reductions};
    report.learning_rate = bp_schedule_rate(&trainer->schedule, &context);
    bp_network_set_noise(trainer->network,
                         (bp_noise){BP_NOISE_TRAINING, trainer->order.seed, position.step});
    const void *output =
        bp_network_forward(trainer->network, trainer->parallel, batch.features, rows, true);
    report.loss = bp_network_backward(trainer->network, trainer->parallel, &batch.targets);
    const bp_gradient_facts gradient =
        bp_update_gradient(&trainer->update, trainer->parallel, measure);
    if (measure) {
        if (batch.targets.label)
            report.accuracy =
                (double)correct_count(trainer, output, batch.targets.label, rows) / (double)rows;
        report.gradient_norm = gradient.norm;
        report.penalty = gradient.penalty;
        look_at_units(trainer, rows);
    }
    report.finite = isfinite(report.loss) && gradient.finite;
    if (report.finite) {
        bp_update_apply(&trainer->update, trainer->parallel, report.learning_rate, position.step,
                        &gradient, measure);
        if (measure)
            look_at_update(trainer);
        bp_network_parameters_changed(trainer->network);
        trainer->position.step++;
    }
    *out = report;
}

const bp_diagnosis *bp_trainer_diagnosis(const bp_trainer *trainer)
{
    return trainer->diagnosis;
}

/* ---- the end of an epoch ---- */

static bool has_plateau(const bp_trainer *trainer)
{
    return trainer->schedule.member->index == BP_SCHEDULE_plateau;
}

bool bp_trainer_watches(const bp_trainer *trainer, bp_watched watched)
{
    const bp_choice *stopping = &trainer->early_stopping;
    return (stopping->member && (bp_watched)stopping->value[BP_EARLY_STOPPING_METRIC] == watched) ||
           (has_plateau(trainer) &&
            (bp_watched)trainer->schedule.value[BP_PLATEAU_METRIC] == watched);
}

bp_epoch_verdict bp_trainer_epoch_end(bp_trainer *trainer, const bp_epoch_metrics *metrics)
{
    const bp_position *position = &trainer->position;
    assert(position->step > 0 && position->step % position->steps_per_epoch == 0);
    bp_epoch_verdict verdict = {.stop = false};
    if (has_plateau(trainer)) {
        bp_plateau_state *state = &trainer->watch.plateau;
        const double *value = trainer->schedule.value;
        const uint64_t reductions = state->reductions;
        *state =
            bp_plateau_observe(*state, value, metrics->value[(size_t)value[BP_PLATEAU_METRIC]]);
        verdict.rate_reduced = state->reductions > reductions;
    }
    if (trainer->early_stopping.member) {
        bp_early_stopping_state *state = &trainer->watch.early_stopping;
        const double *value = trainer->early_stopping.value;
        *state = bp_early_stopping_observe(
            *state, value, metrics->value[(size_t)value[BP_EARLY_STOPPING_METRIC]], position->step);
        verdict.new_best = state->waited == 0;
        verdict.stop = state->stopped != 0;
        if (verdict.new_best && trainer->best_weights)
            memcpy(trainer->best_weights, trainer->update.theta,
                   trainer->update.count * trainer->kernels->real_size);
    }
    return verdict;
}

bp_watch_state bp_trainer_watch_state(const bp_trainer *trainer)
{
    return trainer->watch;
}

bool bp_trainer_restore_best(bp_trainer *trainer)
{
    if (!trainer->best_weights || !trainer->watch.early_stopping.started)
        return false;
    memcpy(trainer->update.theta, trainer->best_weights,
           trainer->update.count * trainer->kernels->real_size);
    bp_network_parameters_changed(trainer->network);
    return true;
}

void bp_trainer_set_stop(bp_trainer *trainer, bool (*stop)(void *context), void *context)
{
    trainer->stop = stop;
    trainer->stop_context = context;
}

bool bp_trainer_interrupted(const bp_trainer *trainer)
{
    return trainer->interrupted;
}

/* Whether an evaluation goes on to the batch at `first`; never before the first. */
static bool goes_on(bp_trainer *trainer, const bp_examples *examples, size_t first)
{
    if (first >= examples->row_count)
        return false;
    if (first > 0 && trainer->stop && trainer->stop(trainer->stop_context))
        trainer->interrupted = true;
    return first == 0 || !trainer->interrupted;
}

bp_evaluation bp_trainer_evaluate(bp_trainer *trainer, const bp_examples *examples)
{
    double loss = 0;
    size_t correct = 0;
    for (size_t first = 0, rows; goes_on(trainer, examples, first); first += rows) {
        const size_t left = examples->row_count - first;
        rows = left < trainer->batch_rows ? left : trainer->batch_rows;
        const row_batch batch = batch_in_place(trainer, examples, first);
        const void *output =
            bp_network_forward(trainer->network, trainer->parallel, batch.features, rows, false);
        bp_network_loss_value(trainer->network, trainer->parallel, &batch.targets,
                              trainer->row_loss);
        loss += trainer->kernels64->sum(trainer->row_loss, rows);
        if (batch.targets.label)
            correct += correct_count(trainer, output, batch.targets.label, rows);
    }
    const double rows = (double)examples->row_count;
    return (bp_evaluation){
        .rows = examples->row_count,
        .loss = loss / rows,
        .accuracy = trainer->target_kind == BP_TARGET_CLASS ? (double)correct / rows : NAN};
}

bp_evaluator_spec bp_training_evaluator(const bp_training_spec *spec, const bp_network_size *size,
                                        size_t row_count)
{
    const bp_loss *loss = bp_loss_of(spec->network.loss.member);
    return (bp_evaluator_spec){.kind = loss->target_kind,
                               .dtype = spec->network.dtype,
                               .width = bp_loss_shown_width(loss, size->output_width),
                               .row_count = row_count};
}

/* Cross-entropies of rows without class weights, which need not be probabilities' logarithms: from the
 * outputs, as the loss has them. NULL where the outputs are no probabilities. */
static const double *log_losses(bp_trainer *trainer, const void *output, const int32_t *label,
                                size_t rows)
{
    const bp_loss *loss = bp_network_loss(trainer->network);
    if (loss->shown != BP_SHOWN_PROBABILITIES)
        return NULL;
    const bp_loss_call call = {.output = output,
                               .width = trainer->output_width,
                               .rows = rows,
                               .label = label,
                               .row_loss = trainer->row_loss,
                               .value = trainer->loss.value};
    loss->rows(&call, 0, rows);
    return trainer->row_loss;
}

void bp_trainer_evaluate_full(bp_trainer *trainer, const bp_examples *examples,
                              bp_evaluator *evaluator, bp_evaluation_report *out)
{
    bp_evaluator_begin(evaluator);
    for (size_t first = 0, rows; goes_on(trainer, examples, first); first += rows) {
        const size_t left = examples->row_count - first;
        rows = left < trainer->batch_rows ? left : trainer->batch_rows;
        const row_batch batch = batch_in_place(trainer, examples, first);
        const void *output =
            bp_network_forward(trainer->network, trainer->parallel, batch.features, rows, false);
        bp_network_loss_value(trainer->network, trainer->parallel, &batch.targets,
                              trainer->row_loss);
        bp_evaluation_batch evaluated = {.rows = rows,
                                         .loss_sum =
                                             trainer->kernels64->sum(trainer->row_loss, rows),
                                         .label = batch.targets.label,
                                         .value = batch.targets.value};
        if (batch.targets.label) {
            decide(trainer, output, rows);
            evaluated.decided = trainer->predicted;
            evaluated.log_loss = log_losses(trainer, output, batch.targets.label, rows);
        }
        evaluated.shown = bp_network_shown_output(trainer->network); /* may take output's place */
        bp_evaluator_add(evaluator, &evaluated);
    }
    bp_evaluator_finish(evaluator, out);
}
