/* A run: epochs of batches, each taken, passed forward and backward, and applied.
 *
 * The step count is the whole position: epoch and batch follow from it, the order of an epoch's rows and
 * its corrupted windows from (seed, epoch). Invariants: the network's parameters are those after
 * position.step updates, and what its recurrent layers carry is what the batches of the epoch so far have
 * left; nothing but bp_trainer_step changes either. */
#include "core/training/trainer.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "core/base/checked.h"
#include "core/schedule/schedule.h"
#include "core/training/trainer_plan.h"

static bp_status check_kind(const bp_training_spec *spec, const bp_loss *loss, bp_error *error)
{
    const bool over_tokens = spec->kind != BP_EXAMPLES_ROWS;
    if (over_tokens != (spec->network.input_kind == BP_INPUT_TOKENS))
        return bp_error_set(error, BP_INVALID, "/network",
                            "the network reads %s, and the data are %s",
                            over_tokens ? "numbers" : "tokens", over_tokens ? "tokens" : "numbers");
    if (loss->paired && spec->kind != BP_EXAMPLES_WINDOWS)
        return bp_error_set(error, BP_INVALID, "/loss", "only windows can be made wrong");
    if (over_tokens && !loss->paired && loss->target_kind != BP_TARGET_CLASS)
        return bp_error_set(error, BP_INVALID, "/loss", "tags and tokens are classes");
    if (spec->kind != BP_EXAMPLES_STREAMS)
        return BP_OK;
    if (spec->sequence_length < 1)
        return bp_error_set(error, BP_INVALID, "/training/sequence_length", "must be at least 1");
    if (spec->network.input_width != 1)
        return bp_error_set(error, BP_SHAPE, "/network", "a step of a text is one token");
    if (spec->shuffle)
        return bp_error_set(error, BP_INVALID, "/training/shuffle", "a text is read in its order");
    return BP_OK;
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
    const bp_status status = check_kind(spec, bp_loss_of(spec->network.loss.member), error);
    return status == BP_OK ? bp_update_check(&spec->network, &spec->optimizer, spec->regularizers,
                                             spec->regularizer_count, error)
                           : status;
}

/* Takes the buffers from the arena, measuring or real. room, update.count and state_bytes are set. */
static bp_status plan(bp_trainer *trainer, bp_arena *arena, const bp_training_spec *spec,
                      const bp_network_size *network, size_t row_count, bp_error *error)
{
    const size_t rows = trainer->room.rows;
    bp_update_plan(&trainer->update, arena, network);
    trainer->diagnosis =
        bp_arena_take(arena, spec->network.layer_count, sizeof *trainer->diagnosis);
    if (bp_early_stopping_keeps_best(&spec->early_stopping))
        trainer->best_weights = bp_arena_take(arena, network->parameter_bytes, 1);
    trainer->order = (bp_row_order){.seed = spec->seed, .row_count = row_count};
    if (spec->shuffle)
        trainer->order.index = bp_arena_take(arena, row_count, sizeof *trainer->order.index);
    bp_batch_room_plan(&trainer->room, arena, spec->shuffle);
    if (bp_trainer_has_classes(trainer))
        trainer->predicted = bp_arena_take(arena, rows, sizeof *trainer->predicted);
    trainer->row_loss = bp_arena_take(arena, rows, sizeof *trainer->row_loss);
    trainer->kept_state = bp_arena_take(arena, trainer->state_bytes, 1);
    if (arena->overflow)
        return bp_error_set(error, BP_TOO_LARGE, "/training", "the training is too large");
    return BP_OK;
}

/* All that follows from specification and sizes. */
typedef struct training_plan {
    bp_network_spec network;
    bp_network_size network_size;
    bp_trainer trainer; /* what plan() needs to know of it */
    size_t bytes;       /* of the trainer's arena */
} training_plan;

static bp_update update_for(const bp_training_spec *spec, const bp_kernels *kernels,
                            const bp_network_size *size)
{
    bp_update update = {.kernels = kernels,
                        .optimizer = kernels->optimizers[spec->optimizer.member->index],
                        .choice = spec->optimizer,
                        .regularizer_count = spec->regularizer_count,
                        .clip_norm = spec->clip_norm,
                        .fan_in_scaled = bp_schedule_is_fan_in_scaled(&spec->schedule),
                        .count = size->parameter_bytes / kernels->real_size};
    memcpy(update.regularizers, spec->regularizers, sizeof update.regularizers);
    return update;
}

static bp_status plan_batches(bp_batch_room *room, bp_network_spec *network,
                              const bp_training_spec *spec, const bp_kernels *kernels,
                              size_t row_count, bp_error *error)
{
    const bp_loss *loss = kernels->losses[spec->network.loss.member->index];
    *room = (bp_batch_room){.kernels = kernels,
                            .kind = spec->kind,
                            .target_kind = loss->target_kind,
                            .paired = loss->paired,
                            .input_width = spec->network.input_width};
    const bp_status status = bp_batch_room_size(room, spec, row_count, error);
    if (status != BP_OK)
        return status;
    *network = spec->network;
    network->use = BP_USE_TRAINING;
    if (room->paired && !bp_checked_multiply(&network->batch_rows, room->rows, 2))
        return bp_error_set(error, BP_TOO_LARGE, "/training/batch_size", "the batch is too large");
    if (!room->paired)
        network->batch_rows = room->rows;
    network->sequence.streams = room->streams;
    network->sequence.steps = room->steps;
    return BP_OK;
}

static bp_status make_plan(training_plan *out, const bp_training_spec *spec, size_t row_count,
                           bp_error *error)
{
    bp_trainer *trainer = &out->trainer;
    bp_status status = check_spec(spec, row_count, error);
    if (status != BP_OK)
        return status;
    const bp_kernels *kernels = bp_kernels_get(spec->network.dtype, spec->network.isa);
    if (!kernels)
        kernels = bp_kernels_get(spec->network.dtype, BP_ISA_BASELINE);
    *trainer = (bp_trainer){.kernels = kernels};
    status = plan_batches(&trainer->room, &out->network, spec, kernels, row_count, error);
    if (status == BP_OK)
        status = bp_network_measure(&out->network_size, &out->network, error);
    if (status != BP_OK)
        return status;
    trainer->room.output_width = out->network_size.output_width;
    trainer->state_bytes = out->network_size.state_bytes;
    trainer->update = update_for(spec, kernels, &out->network_size);
    bp_trainer measured = *trainer;
    bp_arena arena = bp_arena_measure();
    bp_arena_take(&arena, 1, sizeof measured);
    status = plan(&measured, &arena, spec, &out->network_size, row_count, error);
    out->bytes = arena.used_bytes;
    return status;
}

bp_status bp_trainer_measure(size_t *out_bytes, bp_network_size *out_network,
                             const bp_training_spec *spec, size_t row_count, bp_error *error)
{
    training_plan made;
    const bp_status status = make_plan(&made, spec, row_count, error);
    if (status != BP_OK)
        return status;
    size_t bytes;
    if (!bp_checked_add(&bytes, made.bytes, made.network_size.total_bytes))
        return bp_error_set(error, BP_TOO_LARGE, "/training", "the training is too large");
    *out_bytes = bytes;
    *out_network = made.network_size;
    return BP_OK;
}

/* Whether examples are what the specification is of. */
static bp_status check_examples(const bp_training_spec *spec, const bp_examples *examples,
                                bp_error *error)
{
    const bp_token_windows *windows = &examples->windows;
    if (examples->kind != spec->kind)
        return bp_error_set(error, BP_SHAPE, "/data", "the examples are of another kind");
    if (examples->kind == BP_EXAMPLES_STREAMS && examples->text.count != examples->row_count)
        return bp_error_set(error, BP_SHAPE, "/data", "the text has another length");
    if (examples->kind != BP_EXAMPLES_WINDOWS)
        return BP_OK;
    if (windows->width != spec->network.input_width)
        return bp_error_set(error, BP_SHAPE, "/network", "the windows are %zu wide, and not %zu",
                            windows->width, spec->network.input_width);
    if (!examples->window_row && windows->row_count != examples->row_count)
        return bp_error_set(error, BP_SHAPE, "/data", "there is another number of windows");
    return BP_OK;
}

/* Everything but the buffers. */
static bp_status fill(bp_trainer *trainer, const bp_training_spec *spec,
                      const bp_examples *examples, const bp_parallel *parallel, bp_error *error)
{
    trainer->kernels64 = bp_kernels_get(BP_FLOAT64, spec->network.isa);
    trainer->examples = *examples;
    if (parallel) {
        trainer->parallel_copy = *parallel;
        trainer->parallel = &trainer->parallel_copy;
    }
    trainer->loss = spec->network.loss;
    trainer->weighs_classes = spec->network.class_weight != NULL;
    trainer->schedule = spec->schedule;
    trainer->base_rate = spec->optimizer.value[0];
    trainer->early_stopping = spec->early_stopping;
    trainer->seed = spec->seed;
    const bp_status status =
        bp_batches_cut(&trainer->batches, &trainer->room, &trainer->examples, error);
    if (status != BP_OK)
        return status;
    trainer->position.steps_per_epoch = trainer->batches.batch_count;
    if (__builtin_mul_overflow(spec->epochs, trainer->position.steps_per_epoch,
                               &trainer->position.step_limit))
        return bp_error_set(error, BP_TOO_LARGE, "/training/epochs", "too many steps");
    return BP_OK;
}

bp_status bp_trainer_create(bp_trainer **out, const bp_training_spec *spec,
                            const bp_examples *examples, const bp_parallel *parallel,
                            bp_error *error)
{
    bp_network *network = NULL;
    bp_arena arena = bp_arena_measure();
    bp_trainer *trainer = NULL;
    training_plan made;
    bp_status status = make_plan(&made, spec, examples->row_count, error);
    if (status == BP_OK)
        status = check_examples(spec, examples, error);
    if (status == BP_OK)
        status = bp_network_create(&network, &made.network, error);
    if (status == BP_OK)
        status = bp_arena_open(&arena, made.bytes, error);
    if (status != BP_OK)
        goto done;
    trainer = bp_arena_take(&arena, 1, sizeof *trainer);
    if (!trainer) {
        status = bp_error_set(error, BP_INTERNAL, "", "the plan of the training is too small");
        goto done;
    }
    *trainer = made.trainer;
    status = plan(trainer, &arena, spec, &made.network_size, examples->row_count, error);
    if (status == BP_OK)
        status = fill(trainer, spec, examples, parallel, error);
    if (status != BP_OK)
        goto done;
    trainer->network = network;
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

static size_t correct_pairs(const bp_trainer *trainer, const void *output, size_t pairs)
{
    const bp_dtype dtype = trainer->kernels->dtype;
    size_t correct = 0;
    for (size_t i = 0; i < pairs; i++)
        correct += bp_dtype_get(dtype, output, i) > bp_dtype_get(dtype, output, pairs + i);
    return correct;
}

/* Outputs are looked at in blocks of rows of about this many numbers. */
enum { DECIDE_ELEMENTS = 65536 };

typedef struct decide_job {
    bp_trainer *trainer;
    const void *output;
    size_t rows, block_rows;
} decide_job;

static void decide_block(void *argument, size_t block)
{
    const decide_job *job = argument;
    bp_trainer *trainer = job->trainer;
    const size_t first = block * job->block_rows, left = job->rows - first;
    const size_t width = trainer->room.output_width;
    const unsigned char *output = job->output;
    bp_network_loss(trainer->network)
        ->decide(trainer->predicted + first, output + first * width * trainer->kernels->real_size,
                 left < job->block_rows ? left : job->block_rows, width);
}

static void decide(bp_trainer *trainer, const void *output, size_t rows)
{
    const size_t width = trainer->room.output_width;
    decide_job job = {.trainer = trainer,
                      .output = output,
                      .rows = rows,
                      .block_rows = width < DECIDE_ELEMENTS ? DECIDE_ELEMENTS / width : 1};
    bp_parallel_for(trainer->parallel, decide_block, &job,
                    (rows + job.block_rows - 1) / job.block_rows);
}

size_t bp_trainer_count_correct(bp_trainer *trainer, const void *output, const bp_batch *batch)
{
    if (trainer->room.paired)
        return correct_pairs(trainer, output, batch->rows);
    if (!bp_trainer_has_classes(trainer))
        return 0;
    decide(trainer, output, batch->rows);
    size_t correct = 0;
    for (size_t row = 0; row < batch->rows; row++)
        correct += trainer->predicted[row] == batch->targets.label[row];
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

/* The batch of the next step. */
static bp_status take_batch(bp_batch *out, bp_trainer *trainer, const bp_position *position,
                            bp_error *error)
{
    bp_batches *batches = &trainer->batches;
    const size_t index = (size_t)(position->step % position->steps_per_epoch);
    batches->order = bp_row_order_of(&trainer->order, position->epoch);
    batches->corruption = bp_random_stream(trainer->seed, 0, BP_RANDOM_CORRUPTION, position->epoch);
    return bp_batch_take(out, &trainer->room, trainer->parallel, batches, index, error);
}

/* Fills the gradient; the report's loss, and what is measured of a pass. */
static void pass(bp_step_report *report, bp_trainer *trainer, const bp_batch *batch, bool measure)
{
    bp_network *network = trainer->network;
    if (!measure) {
        report->loss = bp_network_train(network, trainer->parallel, batch->input, batch->pass_rows,
                                        &batch->targets);
        return;
    }
    const void *output =
        bp_network_forward(network, trainer->parallel, batch->input, batch->pass_rows, true);
    if (trainer->room.paired || bp_trainer_has_classes(trainer))
        report->accuracy =
            (double)bp_trainer_count_correct(trainer, output, batch) / (double)batch->rows;
    look_at_units(trainer, batch->pass_rows);
    report->loss = bp_network_backward(network, trainer->parallel, &batch->targets);
}

bp_status bp_trainer_step(bp_step_report *out, bp_trainer *trainer, bool measure, bp_error *error)
{
    assert(!bp_trainer_finished(trainer));
    const bp_position position = bp_trainer_position(trainer);
    bp_batch batch;
    const bp_status status = take_batch(&batch, trainer, &position, error);
    if (status != BP_OK)
        return status;
    bp_step_report report = {
        .rows = batch.rows, .accuracy = NAN, .gradient_norm = NAN, .penalty = NAN};
    const bp_schedule_context context = {.base_rate = trainer->base_rate,
                                         .step = position.step,
                                         .steps_per_epoch = position.steps_per_epoch,
                                         .step_limit = position.step_limit,
                                         .reductions = trainer->watch.plateau.reductions};
    report.learning_rate = bp_schedule_rate(&trainer->schedule, &context);
    if (position.step % position.steps_per_epoch == 0)
        bp_network_state_reset(trainer->network);
    bp_network_set_noise(trainer->network,
                         (bp_noise){BP_NOISE_TRAINING, trainer->seed, position.step});
    pass(&report, trainer, &batch, measure);
    const bp_gradient_facts gradient =
        bp_update_gradient(&trainer->update, trainer->parallel, measure);
    if (measure) {
        report.gradient_norm = gradient.norm;
        report.penalty = gradient.penalty;
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
    return BP_OK;
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
