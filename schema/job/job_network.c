/* The network, its loss and how it is trained. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/activation/activation.h"
#include "core/evaluation/entity_score.h"
#include "core/initializer/initializer.h"
#include "core/layer/layer.h"
#include "core/loss/loss.h"
#include "core/optimizer/optimizer.h"
#include "core/schedule/schedule.h"
#include "schema/job/job_work.h"
#include "schema/job/layer_json.h"
#include "schema/json/json_text.h"
#include "schema/model/model_info.h"

/* What a job gets that says nothing of it. The optimiser and the epochs bring small tables (Iris, digits)
 * to where they stop getting better. */
enum {
    DEFAULT_HIDDEN_UNITS = 64,
    DEFAULT_BATCH = 64,
    DEFAULT_EPOCHS = 50,
    DEFAULT_TOKEN_EPOCHS = 10, /* over a corpus, of which an epoch has many more steps */
    DEFAULT_METRIC_STEPS = 50
};
static const double default_learning_rate = 0.05, default_token_learning_rate = 0.002;

/* Of scaled features: directions in which the training rows spread less than this count as none. */
static const double default_whiten_epsilon = 1e-5;

static void resolve_whitening(bp_job_work *work)
{
    bp_job_spec *spec = work->spec;
    const bp_given_real *epsilon = &work->draft.preprocess.epsilon;
    spec->whiten = work->draft.preprocess.whiten.value; /* false where absent */
    if (spec->whiten)
        spec->whiten_epsilon = epsilon->given ? epsilon->value : default_whiten_epsilon;
    else if (epsilon->given)
        bp_job_fault(work, BP_INVALID, "/preprocess/epsilon",
                     "belongs to whitening, which is off: give \"whiten\": true");
    if (spec->whiten && !spec->center)
        bp_job_fault(work, BP_INVALID, "/preprocess/whiten",
                     "whitening needs centred features, and \"center\" is false");
}

static void resolve_target_scaling(bp_job_work *work)
{
    bp_job_spec *spec = work->spec;
    const bp_choice *given = &work->draft.preprocess.target;
    spec->target_scaling =
        given->member ? *given
                      : bp_choice_default(bp_target_scaling_family.members[BP_TARGET_SCALING_none]);
    if (work->task_known && spec->task != BP_TASK_REGRESSION &&
        spec->target_scaling.member->index != BP_TARGET_SCALING_none)
        bp_job_fault(work, BP_INVALID, "/preprocess/target",
                     "scales the targets of a regression; classes have no scale");
}

static void resolve_preparation(bp_job_work *work)
{
    bp_job_spec *spec = work->spec;
    const bp_job_draft *draft = &work->draft;
    spec->center = draft->preprocess.center.given ? draft->preprocess.center.value : true;
    spec->scaling = draft->preprocess.scale.member
                        ? draft->preprocess.scale
                        : bp_choice_default(bp_scaling_family.members[BP_SCALING_standard]);
    spec->missing = draft->preprocess.missing.member
                        ? draft->preprocess.missing
                        : bp_choice_default(bp_missing_family.members[BP_MISSING_mean]);
    resolve_whitening(work);
    resolve_target_scaling(work);
    if (!work->features_known || (spec->whiten && !spec->center))
        return;
    bp_feature_column *columns = bp_job_allocate(work, spec->feature_count, sizeof *columns);
    if (!columns)
        return;
    for (size_t index = 0; index < spec->feature_count; index++)
        columns[index] =
            (bp_feature_column){.categorical = spec->features[index].type == BP_COLUMN_CATEGORICAL,
                                .width = spec->features[index].width,
                                .category_count = spec->features[index].category_count};
    bp_preparation_spec preparation = {.center = spec->center,
                                       .scaling = spec->scaling,
                                       .missing = spec->missing,
                                       .whiten = spec->whiten,
                                       .whiten_epsilon = spec->whiten_epsilon,
                                       .column_count = spec->feature_count,
                                       .columns = columns};
    bp_error error = {0};
    size_t kept = 0, working = 0;
    if (bp_preparation_widths(&work->raw_width, &spec->input_width, &preparation, &error) !=
            BP_OK ||
        bp_preparation_measure(&kept, &working, &preparation, (size_t)work->training_rows,
                               &error) != BP_OK) {
        work->features_known = false;
        bp_job_fault(work, error.status, "/data/features", "%s", error.message);
    }
    work->preparation_bytes = kept;
    work->fitting_bytes = working;
    free(columns);
}

/* ---- layers ---- */

/* The hyperparameter of a layer type that "auto" stands for, or SIZE_MAX. */
static size_t automatic_parameter(const bp_member *member)
{
    for (size_t index = 0; index < member->parameter_count; index++)
        if (member->parameters[index].accepts_auto)
            return index;
    return SIZE_MAX;
}

static bp_layer_spec make_layer(double units, enum bp_activation_index activation)
{
    bp_layer_spec layer = {.layer = bp_choice_default(bp_layer_family.members[BP_LAYER_dense]),
                           .activation =
                               bp_choice_default(bp_activation_family.members[activation])};
    layer.layer.value[automatic_parameter(layer.layer.member)] = units;
    return layer;
}

static void take_layers(bp_job_work *work)
{
    bp_job_spec *spec = work->spec;
    if (work->draft.network.given) {
        spec->layers = work->draft.network.layers;
        spec->layer_count = work->draft.network.layer_count;
        work->draft.network.layers = NULL;
    } else if (work->initial) {
        spec->layers = bp_job_allocate(work, work->initial->layer_count, sizeof *spec->layers);
        if (!spec->layers)
            return;
        spec->layer_count = work->initial->layer_count;
        memcpy(spec->layers, work->initial->layers, spec->layer_count * sizeof *spec->layers);
    } else if (work->corpus) {
        bp_job_default_token_layers(work);
    } else {
        spec->layers = bp_job_allocate(work, 2, sizeof *spec->layers);
        if (!spec->layers)
            return;
        spec->layers[spec->layer_count++] = make_layer(DEFAULT_HIDDEN_UNITS, BP_ACTIVATION_relu);
        spec->layers[spec->layer_count++] = make_layer(NAN, BP_ACTIVATION_identity);
    }
    for (size_t index = 0; index < spec->layer_count; index++) {
        bp_layer_spec *layer = &spec->layers[index];
        const bp_layer_type *type =
            layer->layer.member ? bp_layer_type_of(layer->layer.member) : &bp_layer_dense;
        if (type->is_mask)
            continue;
        if (!layer->activation.member && !type->is_fixed)
            layer->activation = bp_choice_default(
                bp_family_find(&bp_activation_family,
                               type->default_activation ? type->default_activation : "identity"));
        if (!layer->initializer.member && !bp_layer_spec_is_tied(layer))
            layer->initializer =
                bp_choice_default(bp_initializer_family.members[BP_INITIALIZER_xavier_uniform]);
    }
}

static void choose_loss(bp_job_work *work)
{
    const bool values = work->spec->task == BP_TASK_REGRESSION;
    const enum bp_loss_index usual =
        values ? BP_LOSS_mean_squared_error : BP_LOSS_softmax_cross_entropy;
    work->spec->training.network.loss = work->draft.loss.member
                                            ? work->draft.loss
                                            : bp_choice_default(bp_loss_family.members[usual]);
}

/* A loss that speaks of two classes with one output, for any other number of them. */
static bool is_binary_of_others(const bp_job_spec *spec)
{
    return bp_loss_of(spec->training.network.loss.member)->binary &&
           spec->task != BP_TASK_REGRESSION && spec->target_width != 2;
}

/* "one unit for each of the 3 classes of "species"" */
static void output_width_fault(bp_job_work *work, size_t index, const char *field, double units)
{
    static const char *const names[] = {"classes", "numbers to predict", "tags",
                                        "entries of the vocabulary"};
    const bp_job_spec *spec = work->spec;
    bp_job_layer_fault(work, BP_INVALID, index, field,
                       "the last layer must have one unit for each of the %zu %s of \"%s\", got "
                       "%.17g; \"auto\" takes the right number",
                       spec->target_width, names[spec->task],
                       work->corpus ? work->corpus->name : spec->targets[0].name, units);
}

static void check_output_width(bp_job_work *work, bp_layer_spec *last)
{
    const bp_job_spec *spec = work->spec;
    size_t parameter = automatic_parameter(last->layer.member);
    if (!work->targets_known || parameter == SIZE_MAX)
        return;
    const bp_loss *loss = bp_loss_of(spec->training.network.loss.member);
    const double width = (double)bp_loss_output_width(loss, spec->target_width);
    double *units = &last->layer.value[parameter];
    if (isnan(*units))
        *units = width;
    if (*units == width || is_binary_of_others(spec) /* a fault of the loss */ ||
        *units < last->layer.member->parameters[parameter].minimum)
        return; /* right, or at fault already */
    const char *field = last->layer.member->parameters[parameter].name;
    const size_t index = spec->layer_count - 1;
    if (width == 1 && spec->task != BP_TASK_REGRESSION)
        bp_job_layer_fault(
            work, BP_INVALID, index, field,
            "under %s the last layer must have one unit, got %.17g; \"auto\" takes the "
            "right number",
            loss->member.name, *units);
    else
        output_width_fault(work, index, field, *units);
}

static void resolve_layers(bp_job_work *work)
{
    take_layers(work);
    bp_job_check_token_layers(work);
    bp_job_spec *spec = work->spec;
    for (size_t index = 0; index < spec->layer_count; index++) {
        bp_layer_spec *layer = &spec->layers[index];
        bool last = index + 1 == spec->layer_count;
        const bp_activation *activation = (const bp_activation *)layer->activation.member;
        if (activation && activation->rowwise && !last)
            bp_job_layer_fault(
                work, BP_INVALID, index, "activation",
                "this activation works on whole rows: only the last layer may have it");
        if (!layer->layer.member)
            continue;
        size_t parameter = automatic_parameter(layer->layer.member);
        if (last && bp_layer_type_of(layer->layer.member)->is_mask)
            bp_job_layer_fault(
                work, BP_INVALID, index, "type",
                "the last layer must have outputs of its own; this one hands on its input");
        else if (last && parameter == SIZE_MAX)
            bp_job_layer_fault(work, BP_INVALID, index, "type",
                               "the last layer must be \"dense\", with a unit for each output: "
                               "{\"type\": \"dense\", \"units\": \"auto\"}");
        else if (last)
            check_output_width(work, layer);
        else if (parameter != SIZE_MAX && isnan(layer->layer.value[parameter]))
            bp_job_layer_fault(
                work, BP_INVALID, index, layer->layer.member->parameters[parameter].name,
                "only the last layer can take \"auto\", the number of classes or targets");
    }
}

/* ---- loss and training ---- */

static void resolve_loss(bp_job_work *work)
{
    bp_job_spec *spec = work->spec;
    bp_choice *loss = &spec->training.network.loss;
    bool classes = spec->task == BP_TASK_CLASSIFICATION;
    if (!work->task_known)
        return;
    const bp_loss *record = bp_loss_of(loss->member);
    if (work->corpus)
        bp_job_check_corpus_loss(work);
    else if (record->paired)
        bp_job_fault(work, BP_INVALID, "/loss",
                     "%s compares windows of tagged sentences with corrupted ones, and this data "
                     "set has none",
                     loss->member->name);
    else if ((record->target_kind == BP_TARGET_CLASS) != classes)
        bp_job_fault(work, BP_INVALID, "/loss", "%s is a loss for %s; the task is %s",
                     loss->member->name, bp_task_names[!spec->task], bp_task_names[spec->task]);
    if (work->targets_known && is_binary_of_others(spec))
        bp_job_fault(work, BP_INVALID, "/loss", "%s is a loss for two classes, but \"%s\" has %zu",
                     loss->member->name, work->corpus ? work->corpus->name : spec->targets[0].name,
                     spec->target_width);
    if (!record->merges || spec->layer_count == 0)
        return;
    const bp_member *activation = spec->layers[spec->layer_count - 1].activation.member;
    if (!activation)
        return;
    if (strcmp(activation->name, record->merges) != 0 &&
        activation->index != BP_ACTIVATION_identity)
        bp_job_warn(work,
                    "%s applies %s itself; after the last layer's %s it sees squashed values, "
                    "which is rarely meant: identity is usual",
                    loss->member->name, record->merges, activation->name);
}

static int64_t count_or(const bp_given_count *given, int64_t absent)
{
    return given->given ? given->value : absent;
}

/* A squared error's gradient grows with targets that are not scaled: without a smaller rate a
 * regression on large numbers diverges. The rate is divided by the largest target, and rounded to one
 * digit so that it reads as the guess that it is. */
static double guess_learning_rate(const bp_job_work *work)
{
    const bp_job_spec *spec = work->spec;
    double largest = 1;
    if (spec->task != BP_TASK_REGRESSION || !work->targets_known ||
        spec->target_scaling.member->index != BP_TARGET_SCALING_none)
        return default_learning_rate;
    for (size_t index = 0; index < spec->target_count; index++) {
        const bp_column_info *column = &work->training->columns[spec->targets[index].index];
        if (fabs(column->minimum) > largest) /* NaN is not */
            largest = fabs(column->minimum);
        if (fabs(column->maximum) > largest)
            largest = fabs(column->maximum);
    }
    char digits[32];
    snprintf(digits, sizeof digits, "%.0e", default_learning_rate / largest);
    double rate = strtod(digits, NULL);
    return rate > 0 ? rate : DBL_MIN; /* a target beyond 10^306 */
}

/* Whether an evaluation can count entities: classes that are tags which say where entities begin. */
static bool finds_entities(const bp_job_work *work)
{
    const bp_labels *tags = &work->spec->classes;
    const bp_member *loss = work->draft.loss.member;
    if (work->spec->task != BP_TASK_TAGGING || !tags->texts || (loss && bp_loss_of(loss)->paired))
        return false;
    bool any = false;
    for (size_t i = 0; i < tags->count; i++) {
        bp_entity_tag tag;
        const char *type;
        size_t type_count;
        const char *const text = tags->texts[i];
        if (bp_entity_tags_parse(&tag, &type, &type_count, &text, 1))
            any = true;
        else if (strcmp(text, "O") != 0)
            return false;
    }
    return any;
}

/* A metric that the run will not have cannot be watched. */
static void check_watched(bp_job_work *work, const char *pointer, bp_watched watched)
{
    const bool of_entities = watched == BP_WATCHED_VALIDATION_ENTITY_F1;
    const bool of_validation = watched == BP_WATCHED_VALIDATION_LOSS ||
                               watched == BP_WATCHED_VALIDATION_ACCURACY || of_entities;
    const bool of_accuracy =
        watched == BP_WATCHED_VALIDATION_ACCURACY || watched == BP_WATCHED_TRAIN_ACCURACY;
    const bp_data_draft *data = &work->draft.data;
    if (bp_faults_at(work->reader.faults, pointer))
        return; /* unknown: what is watched now is the default */
    if (of_entities && work->task_known && !finds_entities(work))
        bp_job_fault(
            work, BP_INVALID, pointer,
            "%s is watched, but no entities are looked for: that takes a tagging with tags "
            "such as B-person, I-person and O, and a loss over classes",
            bp_watched_names[watched]);
    else if (of_validation && !data->validation.json.value)
        bp_job_fault(work, BP_INVALID, pointer,
                     "%s is watched, but there is no validation part: give data.validation, or "
                     "watch train.loss",
                     bp_watched_names[watched]);
    if (of_accuracy && work->task_known && work->spec->task == BP_TASK_REGRESSION)
        bp_job_fault(work, BP_INVALID, pointer, "%s is watched, but a regression has no accuracy",
                     bp_watched_names[watched]);
}

static void resolve_watching(bp_job_work *work)
{
    bp_training_spec *training = &work->spec->training;
    const bp_member *schedule = training->schedule.member;
    training->early_stopping = work->draft.training.early_stopping;
    if (schedule->index == BP_SCHEDULE_plateau)
        check_watched(work, "/schedule/metric",
                      (bp_watched)training->schedule.value[BP_PLATEAU_METRIC]);
    if (training->early_stopping.member)
        check_watched(work, "/training/early_stopping/metric",
                      (bp_watched)training->early_stopping.value[BP_EARLY_STOPPING_METRIC]);
}

static void choose_optimizer(bp_job_work *work)
{
    bp_choice *optimizer = &work->spec->training.optimizer;
    if (work->draft.optimizer.member) {
        *optimizer = work->draft.optimizer;
    } else if (work->corpus) {
        *optimizer = bp_choice_default(bp_optimizer_family.members[BP_OPTIMIZER_adam]);
        optimizer->value[0] = default_token_learning_rate; /* hyperparameter 0 of each */
    } else {
        *optimizer = bp_choice_default(bp_optimizer_family.members[BP_OPTIMIZER_momentum]);
        optimizer->value[0] = guess_learning_rate(work);
    }
}

static void resolve_training(bp_job_work *work)
{
    bp_job_spec *spec = work->spec;
    const bp_job_draft *draft = &work->draft;
    bp_training_spec *training = &spec->training;
    choose_optimizer(work);
    training->schedule = draft->schedule.member
                             ? draft->schedule
                             : bp_choice_default(bp_schedule_family.members[BP_SCHEDULE_constant]);
    resolve_watching(work);
    for (size_t index = 0; index < BP_REGULARIZER_COUNT; index++)
        if (draft->regularizer[index].member)
            training->regularizers[training->regularizer_count++] = draft->regularizer[index];
    training->clip_norm = draft->training.clip_norm.given ? draft->training.clip_norm.value : 0;
    training->seed = (uint64_t)count_or(&draft->training.seed, BP_DEFAULT_SEED);
    training->epochs = (uint64_t)count_or(&draft->training.epochs,
                                          work->corpus ? DEFAULT_TOKEN_EPOCHS : DEFAULT_EPOCHS);
    training->batch_size = (size_t)count_or(&draft->training.batch_size, DEFAULT_BATCH);
    if (!work->corpus)
        training->shuffle = draft->training.shuffle.given ? draft->training.shuffle.value : true;
    training->network.dtype = (bp_dtype)count_or(&draft->training.dtype, BP_FLOAT32);
    spec->gradient_check = draft->training.gradient_check.value; /* false where absent */
    spec->threads = (size_t)count_or(&draft->training.threads, 1);
    spec->metrics_every_steps =
        (uint64_t)count_or(&draft->metrics.every_steps, DEFAULT_METRIC_STEPS);
    if (spec->threads > work->limits->thread_count)
        bp_job_fault(work, BP_TOO_LARGE, "/training/threads",
                     "must be at most %zu, which is what this server gives a job, got %zu",
                     work->limits->thread_count, spec->threads);
    const uint64_t steps = bp_job_step_count(work);
    uint64_t total;
    if (__builtin_mul_overflow(steps, training->epochs, &total) ||
        total > (uint64_t)BP_JSON_INTEGER_MAXIMUM)
        bp_job_fault(work, BP_TOO_LARGE, "/training/epochs",
                     "%llu epochs of %llu steps are more steps than can be counted (2^53 - 1)",
                     (unsigned long long)training->epochs, (unsigned long long)steps);
}

void bp_job_resolve_network(bp_job_work *work)
{
    if (!work->corpus)
        resolve_preparation(work);
    choose_loss(work);
    resolve_layers(work);
    resolve_loss(work);
    resolve_training(work);
    bp_job_spec *spec = work->spec;
    spec->training.network.layers = spec->layers;
    spec->training.network.layer_count = spec->layer_count;
    spec->training.network.input_width = spec->input_width;
    if (work->corpus)
        bp_job_resolve_token_input(work);
}
