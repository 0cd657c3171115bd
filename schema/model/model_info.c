#include "schema/model/model_info.h"

#include <stdlib.h>
#include <string.h>

#include "core/activation/activation.h"
#include "core/initializer/initializer.h"
#include "core/loss/loss.h"
#include "schema/job/job_draft.h"
#include "schema/job/labels.h"
#include "schema/job/layer_json.h"
#include "schema/json/choice.h"
#include "schema/json/json_text.h"
#include "schema/json/packed_numbers.h"
#include "schema/model/model_vocabulary.h"

/* ---- from a job ---- */

/* A list of labels that predictions name. */
static bool has_classes(bp_task_kind task)
{
    return task == BP_TASK_CLASSIFICATION || task == BP_TASK_TAGGING;
}

static bool copy_features(bp_model_info *info, const bp_job_spec *spec)
{
    info->features = calloc(spec->feature_count + 1, sizeof *info->features);
    info->feature_categories = calloc(spec->feature_count + 1, sizeof *info->feature_categories);
    if (!info->features || !info->feature_categories)
        return false;
    info->feature_count = spec->feature_count;
    for (size_t index = 0; index < spec->feature_count; index++) {
        info->features[index] = spec->features[index];
        info->features[index].name = strdup(spec->features[index].name);
        if (!info->features[index].name ||
            bp_labels_copy(&info->feature_categories[index], &spec->feature_categories[index]) !=
                BP_OK)
            return false;
    }
    return true;
}

static bool copy_targets(bp_model_info *info, const bp_job_spec *spec)
{
    if (bp_task_is_of_corpus(spec->task)) {
        info->vocabulary = bp_vocabulary_share(spec->corpus.vocabulary);
        info->vocabulary_rule = spec->corpus.rule;
        info->window_width = spec->corpus.window_width;
    }
    info->target_names = calloc(spec->target_count + 1, sizeof *info->target_names);
    if (!info->target_names)
        return false;
    info->target_count = spec->target_count;
    for (size_t index = 0; index < spec->target_count; index++) {
        info->target_names[index] = strdup(spec->targets[index].name);
        if (!info->target_names[index])
            return false;
    }
    info->target_width = spec->target_width;
    return !has_classes(spec->task) || bp_labels_copy(&info->classes, &spec->classes) == BP_OK;
}

static bool copy_layers(bp_model_info *info, const bp_job_spec *spec)
{
    info->layers = calloc(spec->layer_count, sizeof *info->layers);
    if (!info->layers)
        return false;
    memcpy(info->layers, spec->layers, spec->layer_count * sizeof *info->layers);
    info->layer_count = spec->layer_count;
    return true;
}

static bp_status copy_preparation(bp_preparation *out, const bp_preparation *preparation,
                                  bp_error *error)
{
    bp_status status = bp_preparation_create(out, preparation->columns, preparation->column_count,
                                             preparation->whitening != NULL, error);
    if (status != BP_OK)
        return status;
    size_t bytes = preparation->numeric_width * sizeof(double);
    if (bytes > 0) {
        memcpy(out->fill, preparation->fill, bytes);
        memcpy(out->offset, preparation->offset, bytes);
        memcpy(out->scale, preparation->scale, bytes);
        if (preparation->whitening)
            memcpy(out->whitening, preparation->whitening, bytes * preparation->numeric_width);
    }
    return BP_OK;
}

static bp_status count_parameters(bp_model_info *info, bp_error *error)
{
    bp_network_spec network;
    bp_network_size size;
    bp_model_info_network(&network, info, BP_ISA_BASELINE, 1);
    bp_status status = bp_network_measure(&size, &network, error);
    if (status == BP_OK)
        info->parameter_count = size.parameter_count;
    return status;
}

bp_status bp_model_info_create(bp_model_info **out, const bp_job_spec *spec,
                               const bp_preparation *preparation, const bp_preparation *target,
                               bp_error *error)
{
    bp_status status;
    bp_model_info *info = calloc(1, sizeof *info);
    if (!info)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a model");
    info->task = spec->task;
    info->center = spec->center;
    info->scaling = spec->scaling;
    info->missing = spec->missing;
    info->whiten = spec->whiten;
    info->whiten_epsilon = spec->whiten_epsilon;
    info->target_scaling = spec->target_scaling;
    info->dtype = spec->training.network.dtype;
    info->loss = spec->training.network.loss;
    strcpy(info->dataset_sha256, spec->dataset_sha256);
    info->name = strdup(spec->name);
    info->dataset = strdup(spec->dataset);
    const bool begins = spec->initial_model || spec->initial_job;
    info->initial = begins ? bp_job_initial_json(spec) : NULL;
    if (!info->name || !info->dataset || (begins && !info->initial) || !copy_features(info, spec) ||
        !copy_targets(info, spec) || !copy_layers(info, spec))
        status = bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a model");
    else if (bp_task_is_of_corpus(spec->task))
        status = BP_OK;
    else
        status = copy_preparation(&info->preparation, preparation, error);
    if (status == BP_OK && target && target->column_count > 0)
        status = copy_preparation(&info->target_preparation, target, error);
    if (status == BP_OK)
        status = count_parameters(info, error);
    if (status == BP_OK)
        *out = info;
    else
        bp_model_info_free(info);
    return status;
}

void bp_model_info_free(bp_model_info *info)
{
    if (!info)
        return;
    free(info->name);
    free(info->dataset);
    for (size_t index = 0; index < info->feature_count; index++) {
        free(info->features[index].name);
        bp_labels_done(&info->feature_categories[index]);
    }
    free(info->features);
    free(info->feature_categories);
    bp_texts_free(info->target_names, info->target_count);
    bp_labels_done(&info->classes);
    bp_vocabulary_free(info->vocabulary);
    bp_preparation_done(&info->preparation);
    bp_preparation_done(&info->target_preparation);
    free(info->layers);
    json_decref(info->metrics);
    json_decref(info->initial);
    free(info);
}

void bp_model_info_network(bp_network_spec *out, const bp_model_info *info, bp_isa isa, size_t rows)
{
    *out = (bp_network_spec){.dtype = info->dtype,
                             .isa = isa,
                             .use = BP_USE_PREDICTION,
                             .input_width = info->preparation.prepared_width,
                             .batch_rows = rows,
                             .layer_count = info->layer_count,
                             .layers = info->layers,
                             .loss = info->loss};
    if (bp_task_is_of_corpus(info->task)) {
        out->input_kind = BP_INPUT_TOKENS;
        out->input_width = info->window_width;
        out->token_count = bp_vocabulary_count(info->vocabulary);
    }
    if (info->task == BP_TASK_LANGUAGE_MODEL) {
        out->sequence.streams = 1;
        out->sequence.steps = rows;
    }
}

double bp_model_info_value(const bp_model_info *info, size_t index, double output)
{
    const bp_preparation *target = &info->target_preparation;
    return target->column_count > 0 ? output * target->scale[index] + target->offset[index]
                                    : output;
}

/* ---- the document ---- */

static json_t *shape_json(const bp_job_column *column)
{
    double shape[BP_COLUMN_RANK_LIMIT];
    for (size_t axis = 0; axis < column->rank; axis++)
        shape[axis] = (double)column->shape[axis];
    return bp_numbers_json(shape, column->rank);
}

/* `categories` of the public document are bare; the stored ones say what type they are of. */
static json_t *feature_json(const bp_job_column *column, const bp_labels *categories, bool full)
{
    json_t *json =
        json_pack("{s:s, s:s}", "name", column->name, "type", bp_column_type_name(column->type));
    bool ok = json != NULL;
    if (column->type == BP_COLUMN_TENSOR)
        ok = ok && bp_json_add(json, "shape", shape_json(column));
    if (column->type == BP_COLUMN_CATEGORICAL)
        ok = ok &&
             bp_json_add(json, "categories",
                         full ? bp_labels_stored_json(categories) : bp_labels_json(categories));
    if (full)
        ok = ok && bp_json_add(json, "index", json_integer((json_int_t)column->index)) &&
             bp_json_add(json, "width", json_integer((json_int_t)column->width));
    return bp_json_whole(json, ok);
}

static json_t *features_json(const bp_model_info *info, bool full)
{
    json_t *array = json_array();
    for (size_t index = 0; array && index < info->feature_count; index++)
        if (json_array_append_new(array, feature_json(&info->features[index],
                                                      &info->feature_categories[index], full)) !=
            0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

static json_t *layers_json(const bp_model_info *info)
{
    json_t *array = json_array();
    for (size_t index = 0; array && index < info->layer_count; index++)
        if (json_array_append_new(array, bp_layer_spec_json(&info->layers[index])) != 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

static json_t *preparation_json(const bp_model_info *info)
{
    const bp_preparation *preparation = &info->preparation, *target = &info->target_preparation;
    const size_t width = preparation->numeric_width;
    json_t *json = json_pack("{s:o, s:o, s:o}", "fill", bp_numbers_json(preparation->fill, width),
                             "offset", bp_numbers_json(preparation->offset, width), "scale",
                             bp_numbers_json(preparation->scale, width));
    bool ok = json != NULL;
    if (preparation->whitening)
        ok = ok && bp_json_add(json, "whitening",
                               bp_packed_numbers_json(preparation->whitening, width * width));
    if (target->column_count > 0)
        ok = ok &&
             bp_json_add(json, "target_offset",
                         bp_numbers_json(target->offset, target->numeric_width)) &&
             bp_json_add(json, "target_scale",
                         bp_numbers_json(target->scale, target->numeric_width));
    return bp_json_whole(json, ok);
}

static json_t *preprocess_json(const bp_model_info *info)
{
    json_t *json =
        json_pack("{s:b, s:o, s:b}", "center", (int)info->center, "scale",
                  bp_choice_json(&info->scaling, BP_CHOICE_WORD), "whiten", (int)info->whiten);
    bool ok = json != NULL;
    if (info->whiten)
        ok = ok && bp_json_add(json, "epsilon", bp_json_real(info->whiten_epsilon));
    ok = ok && bp_json_add(json, "missing", bp_choice_json(&info->missing, BP_CHOICE_WORD));
    if (info->task != BP_TASK_CLASSIFICATION)
        ok = ok &&
             bp_json_add(json, "target", bp_choice_json(&info->target_scaling, BP_CHOICE_WORD));
    return bp_json_whole(json, ok);
}

static bool add_columns(json_t *json, const bp_model_info *info, bool full)
{
    bool ok = bp_json_add(json, "features", features_json(info, full));
    ok &= bp_json_add(json, "targets", bp_texts_json(info->target_names, info->target_count));
    if (info->task == BP_TASK_CLASSIFICATION)
        ok &= bp_json_add(json, "classes",
                          full ? bp_labels_stored_json(&info->classes)
                               : bp_labels_json(&info->classes));
    ok &= bp_json_add(json, "preprocess", preprocess_json(info));
    if (full)
        ok &= bp_json_add(json, "preparation", preparation_json(info));
    return ok;
}

static bool add_corpus(json_t *json, const bp_model_info *info, bool full)
{
    bool ok = true;
    if (info->task == BP_TASK_TAGGING) {
        ok &= bp_json_add(json, "tags",
                          full ? bp_labels_stored_json(&info->classes)
                               : bp_labels_json(&info->classes));
        ok &= bp_json_add(json, "window", json_integer((json_int_t)info->window_width));
    }
    ok &= bp_json_add(json, "vocabulary", bp_model_vocabulary_json(info, full));
    return ok;
}

json_t *bp_model_info_json(const bp_model_info *info, bool full)
{
    json_t *json = json_object();
    bool ok = bp_json_add(json, "name", json_string(info->name));
    ok &= bp_json_add(json, "version", json_integer((json_int_t)info->version));
    ok &= bp_json_add(json, "job", json_integer(info->job));
    ok &= bp_json_add(json, "task", json_string(bp_task_names[info->task]));
    ok &=
        bp_json_add(json, "dataset",
                    json_pack("{s:s, s:s}", "name", info->dataset, "sha256", info->dataset_sha256));
    ok &= bp_task_is_of_corpus(info->task) ? add_corpus(json, info, full)
                                           : add_columns(json, info, full);
    if (full)
        ok &= bp_json_add(json, "target_width", json_integer((json_int_t)info->target_width));
    ok &= bp_json_add(json, "dtype", json_string(bp_dtype_name(info->dtype)));
    ok &= bp_json_add(json, "layers", layers_json(info));
    ok &= bp_json_add(json, "loss", bp_choice_json(&info->loss, BP_CHOICE_OBJECT));
    ok &= bp_json_add(json, "parameters", json_integer((json_int_t)info->parameter_count));
    ok &= bp_json_add(json, "metrics", info->metrics ? json_deep_copy(info->metrics) : json_null());
    if (info->initial)
        ok &= bp_json_add(json, "initial", json_deep_copy(info->initial));
    ok &= bp_json_add(json, "created", json_string(info->created));
    return bp_json_whole(json, ok);
}
