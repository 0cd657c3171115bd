/* A stored model's document, read back. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/activation/activation.h"
#include "core/base/checked.h"
#include "core/initializer/initializer.h"
#include "core/loss/loss.h"
#include "schema/job/job_draft.h"
#include "schema/job/labels.h"
#include "schema/job/layer_json.h"
#include "schema/json/choice.h"
#include "schema/json/json_text.h"
#include "schema/json/packed_numbers.h"
#include "schema/model/model_info.h"
#include "schema/model/model_vocabulary.h"

static void read_feature(bp_stored *stored, bp_job_column *column, bp_labels *categories,
                         const json_t *json)
{
    column->name = bp_stored_text(stored, json, "name");
    column->type = (bp_column_type)bp_stored_name(stored, bp_column_type_names, json, "type");
    column->index = (size_t)bp_stored_count(stored, json, "index");
    column->width = (size_t)bp_stored_count(stored, json, "width");
    if (column->type == BP_COLUMN_CATEGORICAL) {
        bp_labels_parse(stored, categories, json_object_get(json, "categories"));
        column->category_count = categories->count;
    }
    if (column->type != BP_COLUMN_TENSOR) {
        if (column->width != 1)
            bp_stored_corrupt(stored);
        return;
    }
    const json_t *shape = bp_stored_array(stored, json, "shape");
    size_t width = 1;
    if (json_array_size(shape) > BP_COLUMN_RANK_LIMIT) {
        bp_stored_corrupt(stored);
        return;
    }
    column->rank = json_array_size(shape);
    for (size_t axis = 0; axis < column->rank; axis++) {
        uint64_t size = 0;
        if (!bp_json_read_count(&size, json_array_get(shape, axis)) ||
            !bp_checked_multiply(&width, width, (size_t)size))
            bp_stored_corrupt(stored);
        column->shape[axis] = (size_t)size;
    }
    if (width != column->width)
        bp_stored_corrupt(stored);
}

static void read_features(bp_stored *stored, bp_model_info *info, const json_t *json)
{
    const json_t *features = bp_stored_array(stored, json, "features");
    size_t count = json_array_size(features);
    info->features = bp_stored_allocate(stored, count, sizeof *info->features);
    info->feature_categories = bp_stored_allocate(stored, count, sizeof *info->feature_categories);
    if (!info->features || !info->feature_categories)
        return;
    info->feature_count = count;
    for (size_t index = 0; index < count; index++)
        read_feature(stored, &info->features[index], &info->feature_categories[index],
                     json_array_get(features, index));
}

static void read_layers(bp_stored *stored, bp_model_info *info, const json_t *json)
{
    const json_t *layers = bp_stored_array(stored, json, "layers");
    size_t count = json_array_size(layers);
    info->layers = bp_stored_allocate(stored, count, sizeof *info->layers);
    if (!info->layers)
        return;
    info->layer_count = count;
    for (size_t index = 0; index < count; index++) {
        const json_t *layer = json_array_get(layers, index);
        const json_t *dropout = json_object_get(layer, "dropout");
        bp_layer_spec *spec = &info->layers[index];
        spec->layer = bp_choice_parse(stored, layer, &bp_layer_family);
        if (!spec->layer.member || bp_layer_type_of(spec->layer.member)->is_mask)
            continue;
        if (!bp_layer_type_of(spec->layer.member)->is_fixed)
            spec->activation = bp_choice_parse(stored, json_object_get(layer, "activation"),
                                               &bp_activation_family);
        spec->initializer =
            bp_layer_spec_is_tied(spec)
                ? bp_choice_default(bp_initializer_family.members[BP_INITIALIZER_xavier_uniform])
                : bp_choice_parse(stored, json_object_get(layer, "init"), &bp_initializer_family);
        if (dropout)
            spec->dropout = bp_styled_choice_parse(stored, dropout, &bp_dropout_style);
    }
}

/* An array of the preparation, which must be as wide as the features say. */
static void read_statistics(bp_stored *stored, double *out, size_t width, const json_t *json,
                            const char *key)
{
    size_t count = 0;
    double *values = bp_stored_numbers(stored, &count, json, key);
    bool fits = values && count == width;
    for (size_t index = 0; fits && index < width; index++) {
        out[index] = values[index];
        fits = isfinite(values[index]);
    }
    if (!fits)
        bp_stored_corrupt(stored);
    free(values);
}

/* The matrix of whitening. */
static void read_whitening(bp_stored *stored, bp_preparation *preparation, const json_t *json)
{
    const size_t count = preparation->numeric_width * preparation->numeric_width;
    bool fits =
        bp_packed_numbers_read(preparation->whitening, count, json_object_get(json, "whitening"));
    for (size_t index = 0; fits && index < count; index++)
        fits = isfinite(preparation->whitening[index]);
    if (!fits)
        bp_stored_corrupt(stored);
}

static void note_failure(bp_stored *stored, const bp_error *error)
{
    if (error->status == BP_NO_MEMORY)
        stored->status = BP_NO_MEMORY;
    else
        bp_stored_corrupt(stored);
}

static void read_target_preparation(bp_stored *stored, bp_model_info *info, const json_t *arrays)
{
    bp_error error = {0};
    const bp_feature_column column = {.width = info->target_width};
    if (info->target_scaling.member->index == BP_TARGET_SCALING_none)
        return;
    if (info->task != BP_TASK_REGRESSION) {
        bp_stored_corrupt(stored);
        return;
    }
    bp_preparation *target = &info->target_preparation;
    if (bp_preparation_create(target, &column, 1, false, &error) == BP_OK) {
        read_statistics(stored, target->offset, info->target_width, arrays, "target_offset");
        read_statistics(stored, target->scale, info->target_width, arrays, "target_scale");
    } else {
        note_failure(stored, &error);
    }
}

static void read_preparation(bp_stored *stored, bp_model_info *info, const json_t *json)
{
    bp_feature_column *columns = bp_stored_allocate(stored, info->feature_count, sizeof *columns);
    if (!columns)
        return;
    for (size_t index = 0; index < info->feature_count; index++)
        columns[index] =
            (bp_feature_column){.categorical = info->features[index].type == BP_COLUMN_CATEGORICAL,
                                .width = info->features[index].width,
                                .category_count = info->features[index].category_count};
    bp_error error = {0};
    bp_preparation *preparation = &info->preparation;
    if (bp_preparation_create(preparation, columns, info->feature_count, info->whiten, &error) ==
        BP_OK) {
        const json_t *arrays = json_object_get(json, "preparation");
        size_t width = preparation->numeric_width;
        read_statistics(stored, preparation->fill, width, arrays, "fill");
        read_statistics(stored, preparation->offset, width, arrays, "offset");
        read_statistics(stored, preparation->scale, width, arrays, "scale");
        if (info->whiten)
            read_whitening(stored, preparation, arrays);
        read_target_preparation(stored, info, arrays);
    } else {
        note_failure(stored, &error);
    }
    free(columns);
}

/* How the preparation was made; its arrays are read when the features are known. */
static void read_preprocess(bp_stored *stored, bp_model_info *info, const json_t *json)
{
    const json_t *preprocess = json_object_get(json, "preprocess");
    info->center = bp_stored_bool(stored, preprocess, "center");
    info->scaling =
        bp_choice_parse(stored, json_object_get(preprocess, "scale"), &bp_scaling_family);
    info->missing =
        bp_choice_parse(stored, json_object_get(preprocess, "missing"), &bp_missing_family);
    /* Members that models of the first release do not have. */
    info->target_scaling =
        bp_choice_default(bp_target_scaling_family.members[BP_TARGET_SCALING_none]);
    if (json_object_get(preprocess, "target"))
        info->target_scaling = bp_choice_parse(stored, json_object_get(preprocess, "target"),
                                               &bp_target_scaling_family);
    if (json_object_get(preprocess, "whiten"))
        info->whiten = bp_stored_bool(stored, preprocess, "whiten");
    if (info->whiten)
        info->whiten_epsilon = bp_stored_number(stored, preprocess, "epsilon");
}

static void read_columns(bp_stored *stored, bp_model_info *info, const json_t *json)
{
    read_features(stored, info, json);
    info->target_names = bp_stored_texts(stored, &info->target_count, json, "targets");
    if (info->task == BP_TASK_CLASSIFICATION)
        bp_labels_parse(stored, &info->classes, json_object_get(json, "classes"));
    read_preprocess(stored, info, json);
}

static void read_corpus(bp_stored *stored, bp_model_info *info, const json_t *json)
{
    info->window_width = 1;
    if (info->task == BP_TASK_TAGGING) {
        bp_labels_parse(stored, &info->classes, json_object_get(json, "tags"));
        info->window_width = (size_t)bp_stored_count(stored, json, "window");
        if (!info->classes.texts || info->window_width % 2 == 0)
            bp_stored_corrupt(stored);
    }
    bp_model_vocabulary_parse(stored, info, json_object_get(json, "vocabulary"));
}

static void read_info(bp_stored *stored, bp_model_info *info, const json_t *json)
{
    info->name = bp_stored_text(stored, json, "name");
    info->version = bp_stored_count(stored, json, "version");
    info->job = (int64_t)bp_stored_count(stored, json, "job");
    info->task = (bp_task_kind)bp_stored_name(stored, bp_task_names, json, "task");
    const json_t *dataset = json_object_get(json, "dataset");
    info->dataset = bp_stored_text(stored, dataset, "name");
    bp_stored_fixed_text(stored, info->dataset_sha256, sizeof info->dataset_sha256, dataset,
                         "sha256");
    if (bp_task_is_of_corpus(info->task))
        read_corpus(stored, info, json);
    else
        read_columns(stored, info, json);
    info->target_width = (size_t)bp_stored_count(stored, json, "target_width");
    info->dtype = (bp_dtype)bp_stored_name(stored, bp_dtype_names, json, "dtype");
    read_layers(stored, info, json);
    info->loss = bp_choice_parse(stored, json_object_get(json, "loss"), &bp_loss_family);
    info->parameter_count = (size_t)bp_stored_count(stored, json, "parameters");
    bp_stored_fixed_text(stored, info->created, sizeof info->created, json, "created");
    const json_t *metrics = json_object_get(json, "metrics");
    if (metrics && !json_is_null(metrics)) {
        info->metrics = json_deep_copy(metrics);
        if (!info->metrics)
            stored->status = BP_NO_MEMORY;
    }
    const json_t *initial = json_object_get(json, "initial");
    if (initial) {
        info->initial = json_deep_copy(initial);
        if (!info->initial)
            stored->status = BP_NO_MEMORY;
    }
    if (stored->status == BP_OK && !bp_task_is_of_corpus(info->task))
        read_preparation(stored, info, json);
}

static size_t shown_width(const bp_model_info *info)
{
    if (bp_loss_of(info->loss.member)->paired)
        return 1; /* a score, whatever the tags */
    switch (info->task) {
    case BP_TASK_CLASSIFICATION:
    case BP_TASK_TAGGING:
        return info->classes.count;
    case BP_TASK_LANGUAGE_MODEL:
        return bp_vocabulary_count(info->vocabulary);
    case BP_TASK_REGRESSION:
        break;
    }
    return info->target_width;
}

/* The parts fit together: the network can be planned, and its output is as wide as the answer. */
static bp_status check_network(const bp_model_info *info, bp_error *error)
{
    bp_network_spec network;
    bp_network_size size;
    bp_model_info_network(&network, info, BP_ISA_BASELINE, 1);
    bp_status status = bp_network_measure(&size, &network, error);
    if (status != BP_OK)
        return status;
    if (size.shown_width != shown_width(info) || size.parameter_count != info->parameter_count)
        return bp_error_set(error, BP_CORRUPT, NULL,
                            "the stored document of a model contradicts "
                            "itself");
    return BP_OK;
}

bp_status bp_model_info_parse(bp_model_info **out, const json_t *json, bp_error *error)
{
    bp_stored stored = {BP_OK};
    bp_model_info *info = bp_stored_allocate(&stored, 1, sizeof *info);
    if (info)
        read_info(&stored, info, json);
    bp_status status = stored.status;
    if (info && status == BP_OK)
        status = check_network(info, error);
    else
        (void)bp_error_set(error, status, NULL,
                           status == BP_NO_MEMORY
                               ? "no memory for a model"
                               : "the stored document of a model cannot be read");
    if (status == BP_OK)
        *out = info;
    else
        bp_model_info_free(info);
    return status;
}
